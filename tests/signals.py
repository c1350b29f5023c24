"""Ctrl-C for tests, however they were started."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["interruptible"]


@contextmanager
def interruptible() -> Iterator[None]:
    """Have SIGINT raise `KeyboardInterrupt` in the main thread for the block, and in Python programs begun in it.

    `nohup`, a script's background job and some runners of continuous integration start programs that ignore SIGINT.
    Python leaves it so, and programs inherit it: whoever waits to be interrupted would wait for ever.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
