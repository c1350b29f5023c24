"""A clock for what must also end while the computer sleeps."""

from __future__ import annotations

import sys
import time

__all__ = ["elapsed"]


def _clock() -> int | None:
    """The clock that counts sleep, where `time.monotonic` does not: that of Windows does."""
    if sys.platform == "darwin":
        return time.CLOCK_MONOTONIC  # Python's own reads another one there
    return getattr(time, "CLOCK_BOOTTIME", None)


_CLOCK = _clock()


def elapsed() -> float:
    """Seconds on a clock that nobody sets, and that goes on while the computer sleeps.

    >>> elapsed() <= elapsed()
    True
    """
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
