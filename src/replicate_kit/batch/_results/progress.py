"""How far a run is."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from replicate_kit._formats.wording import with_safe_repr

__all__ = ["Progress", "Tally"]


@with_safe_repr
@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of rows at one moment. `cost` is what was spent in this run, None where no price is known.

    `done` rows have a result, good or bad; of these, `failed` have an error and `cached` were paid for
    before. `in_flight` predictions are running. `rate` is in rows a second that were not cached, over the last
    while, `seconds` since the run began, `remaining` the seconds that the rest may take, None while that is
    unknown. `skipped` rows were left out to stay within the budget, which is known when the run ends: they are
    not `done`, and have not failed.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    cached: int = 0
    in_flight: int = 0
    created: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    cost: float | None = None
    skipped: int = 0

    @property
    def remaining(self) -> float | None:
        """The seconds that the rest may take at the present rate."""
        return (self.total - self.done - self.skipped) / self.rate if self.rate > 0 else None

    @property
    def finished(self) -> bool:
        """Whether every row has its result, or was left out."""
        return self.done + self.skipped >= self.total > 0


@dataclass
class Tally:
    """Counts while a run goes on."""

    total: int
    done: int
    failed: int
    cached: int
    created: int = 0
    canceled: int = 0
    skipped: int = 0
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._first = (self.began, self._run)
        self._marks = deque([self._first], maxlen=64)

    @property
    def is_complete(self) -> bool:
        """Whether every row has its result."""
        return self.done >= self.total

    def leave_out_the_rest(self) -> None:
        """Count what has no result as left out."""
        self.skipped = self.total - self.done

    def now(self, in_flight: int, cost: float | None) -> Progress:
        """How far it is."""
        moment = time.monotonic()
        if moment - self._marks[-1][0] >= 0.5:
            self._marks.append((moment, self._run))
        return Progress(
            total=self.total,
            done=self.done,
            failed=self.failed,
            cached=self.cached,
            in_flight=in_flight,
            created=self.created,
            seconds=moment - self.began,
            rate=self._rate(moment),
            cost=cost,
            skipped=self.skipped,
        )

    @property
    def _run(self) -> int:
        """How many rows were not known before; those that were come at once, and say nothing of the rest."""
        return self.done - self.cached

    def _rate(self, moment: float) -> float:
        """Measure the last while; where nothing came in it, and in the end, all of the run."""
        for since, before in [self._first] if self.is_complete else [self._marks[0], self._first]:
            if self._run > before and moment > since:
                return (self._run - before) / (moment - since)
        return 0.0
