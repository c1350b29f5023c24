"""How far saving lags behind the predictions, and whether another one may be created.

Outputs are removed an hour after the end of their prediction. So no more is created than can be saved in half of that
time, by the rate at which rows were saved last, even if all that is in flight ended at once. Nothing here waits or
sends: the engine asks, and the saver tells what happened.
"""

from __future__ import annotations

import enum
import logging
import time
from collections import deque
from collections.abc import Callable, Hashable

from replicate_kit._formats.wording import counted

__all__ = ["SAFE", "Backlog", "Lag"]

log = logging.getLogger("replicate_kit")

SAFE = 30 * 60.0
"""Seconds from the end of a prediction until its files are to be saved: half of what the API keeps them (its
documentation of data retention), so that a store that fails then may come back, or the user run it again."""

_AT_FIRST = 16  # rows before it is known how fast they are saved: two for each transfer at a time
_IN_LINE = 64  # finished rows that wait, at most: more would not be saved sooner, and saving may become slow
_RECENT = 32  # rows that the rate is measured by
_DOWN = 3  # rows that fail one after the other: it is not they that are at fault


class Lag(enum.Enum):
    """Why nothing more is created for now."""

    UNKNOWN = "it is not known yet how fast files are saved"
    SLOW = "files are saved more slowly than they are made"
    LINE = "many files wait to be saved"
    OLD = "files wait to be saved for too long"
    DOWN = "no file can be saved"


# Seconds that the oldest row waits before it is news that nothing is created.
_WORTH_SAYING = {Lag.UNKNOWN: 5.0, Lag.LINE: 60.0}


class Backlog:
    """Counts the rows that have finished and are not saved, and measures how fast they are.

    `safe` is how many seconds after its end a row is to be saved. `wanted` says that there are rows left to create.

    >>> moment = 0.0
    >>> backlog = Backlog(safe=100.0, now=lambda: moment)
    >>> backlog.finished("a row")
    >>> moment = 10.0  # it took ten seconds: ten rows can be saved in time
    >>> backlog.saved("a row", size=2**20)
    >>> [backlog.lag(in_flight=number) for number in (9, 10)]
    [None, <Lag.SLOW: 'files are saved more slowly than they are made'>]
    """

    def __init__(self, safe: float | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self.safe, self._now = SAFE if safe is None else safe, now
        self._ends: dict[Hashable, float] = {}
        self._failed: set[Hashable] = set()
        self._down_since: float | None = None
        self._busy, self._busy_since = 0.0, now()
        self._marks: deque[float] = deque([0.0], maxlen=_RECENT + 1)
        self._rows, self._bytes = 0, 0
        self._said: set[Lag] = set()
        self.wanted = False

    # What the saver tells.

    def finished(self, row: Hashable, ago: float = 0.0) -> None:
        """Take a row that ended some seconds ago and whose files are to be saved."""
        if not self._ends:
            self._busy_since = self._now()
        self._ends[row] = self._now() - max(0.0, ago)

    def saved(self, row: Hashable, size: int = 0) -> None:
        """Note that a row was saved, and how many bytes it has."""
        self._rows, self._bytes = self._rows + 1, self._bytes + size
        self._marks.append(self._busy_for())
        self._failed.clear()
        self._down_since = None
        self.left(row)

    def failed(self, row: Hashable) -> bool:
        """Note that saving a row failed; tell whether it is to wait for a store that takes nothing from any row."""
        self._failed.add(row)
        if self._down_since is None:
            self._down_since = self._now()
        return self.wanted and self.is_down and not self.gave_up

    def left(self, row: Hashable) -> None:
        """Note that a row is not waited for any more, saved or not."""
        if row in self._ends:
            self._busy = self._busy_for()
            self._busy_since = self._now()
            del self._ends[row]

    # What the engine asks.

    @property
    def unsaved(self) -> int:
        """How many rows have finished and wait to be saved."""
        return len(self._ends)

    @property
    def mean_size(self) -> float:
        """The bytes of a row in the mean; 0 while none is saved."""
        return self._bytes / self._rows if self._rows else 0.0

    @property
    def rate(self) -> float | None:
        """Rows saved a second, over the last ones, while there was something to save; None before the first."""
        if len(self._marks) < 2:
            return None
        return (len(self._marks) - 1) / max(self._busy_for() - self._marks[0], 1e-6)

    @property
    def is_down(self) -> bool:
        """Whether several rows failed and none was saved since."""
        return len(self._failed) >= _DOWN

    @property
    def gave_up(self) -> bool:
        """Whether nothing could be saved for so long that the rest of the hour is left to the user."""
        return self.is_down and self._down_since is not None and self._now() - self._down_since >= self.safe

    def lag(self, in_flight: int) -> Lag | None:
        """Why a prediction that is created now might be saved too late; None where it may be created."""
        if not self._ends and not in_flight:
            return None  # nothing would change by waiting
        if self.is_down:
            return Lag.DOWN
        if self._ends and self._now() - min(self._ends.values()) > self.safe:
            return Lag.OLD
        rows, rate = len(self._ends) + in_flight, self.rate
        if rate is None:
            return Lag.UNKNOWN if rows >= _AT_FIRST else None
        if (rows + 1) / rate > self.safe:
            return Lag.SLOW
        return Lag.LINE if len(self._ends) >= _IN_LINE else None

    def holds(self, in_flight: int) -> bool:
        """Whether nothing may be created for now; the log says why, once for each reason."""
        lag = self.lag(in_flight)
        if lag is not None and lag not in self._said and self._is_worth_saying(lag):
            self._said.add(lag)
            log.warning("%s", self._told(lag, in_flight))
        return lag is not None

    def _is_worth_saying(self, lag: Lag) -> bool:
        """Whether it is more than a moment at the beginning, or after many have ended at once."""
        if lag not in _WORTH_SAYING:
            return True
        return bool(self._ends) and self._now() - min(self._ends.values()) > _WORTH_SAYING[lag]

    def _told(self, lag: Lag, in_flight: int) -> str:
        """Say why nothing is created."""
        said = f"{counted(self.unsaved, 'finished row')} to save, {in_flight} in flight"
        if self.rate is not None:
            said += f", {self.rate * 60:.3g} rows a minute saved ({self.mean_size / 1e6:.3g} MB a row)"
        return (
            f"Creates pause, because {lag.value}: {said}. The API removes files an hour after the end of a "
            "prediction. Creates go on when saving has caught up."
        )

    def _busy_for(self) -> float:
        """Seconds in which there was something to save."""
        return self._busy + (self._now() - self._busy_since if self._ends else 0.0)
