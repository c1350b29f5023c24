"""How long a request waits for a connection."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

__all__ = ["Patience"]


class Patience(NamedTuple):
    """How long a request waits for a connection: for so many seconds in which no other gets one, until its deadline.

    Where the others get theirs, one by one, to wait is right, however many there are.
    """

    seconds: float | None
    deadline: float | None

    def left(self, moved_at: float) -> float:
        """Seconds for which it waits from now on, where the others last got one at a time."""
        ends = math.inf if self.seconds is None else moved_at + self.seconds
        return min(ends, math.inf if self.deadline is None else self.deadline) - time.monotonic()
