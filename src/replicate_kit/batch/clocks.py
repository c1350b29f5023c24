"""Our clock, and how far the server's is ahead of it."""

from __future__ import annotations

import math
import time

__all__ = ["Clocks"]


class Clocks:
    """Keeps bounds of what the server's clock is ahead of ours, in seconds.

    Ours shows Unix time, but never jumps while the process lives, so that moments of a run can be compared.
    """

    def __init__(self) -> None:
        self._began = time.time() - time.monotonic()
        self._least, self._most = -math.inf, math.inf

    def now(self) -> float:
        """Our time."""
        return self._began + time.monotonic()

    @property
    def compared(self) -> bool:
        """Whether the server's clock was ever seen."""
        return math.isfinite(self._least)

    @property
    def least(self) -> float:
        """What the server is ahead at least; 0 before it was seen."""
        return self._least if self.compared else 0.0

    @property
    def most(self) -> float:
        """What the server is ahead at most; 0 before it was seen."""
        return self._most if self.compared else 0.0

    def saw(self, moment: float, began: float, *, cut: float = 0.0) -> None:
        """Learn from a request sent at `began` and answered now, while which the server's clock showed `moment`.

        `cut` is by how much that may have been rounded down.
        """
        least, most = moment - self.now(), moment + cut - began
        together = max(least, self._least), min(most, self._most)
        if (
            together[0] > together[1]
        ):  # one of the clocks was set, or slept: both are right for some of the rows
            together = min(least, self._least), max(most, self._most)
        self._least, self._most = together
