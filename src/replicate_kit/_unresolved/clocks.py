"""Our clock, and how far the server's is ahead of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from replicate_kit._runtime.elapsed import elapsed

__all__ = ["SETTLING", "Clocks", "Span", "hull"]

SETTLING = 60.0
"""Seconds after which a create has been acted on and listed, if it ever is, however short our own timeout is: gateways
hold requests, and lists lag behind by seconds."""

_MARGIN = 2.0  # seconds by which the clocks of one service may differ
_UNCOMPARED = 120.0  # and those of two computers, where nothing tells the server's time


class Span(NamedTuple):
    """Between which moments something happened, or may happen (Unix times in seconds)."""

    first: float
    last: float


_OURS = Span(0.0, 0.0)


def hull(spans: Iterable[Span]) -> Span:
    """The shortest span that has them all in it."""
    firsts, lasts = zip(*spans, strict=True)
    return Span(min(firsts), max(lasts))


class Clocks:
    """Tells what the server's clock shows, by what it has shown last.

    Ours shows Unix time, but nobody sets it while the process lives, so that moments of a run can be compared. The
    server's may be set: so only what was seen last counts. Each sighting is a moment that the server's clock showed
    between `began`, when a request was sent, and now.
    """

    def __init__(self) -> None:
        self._began = time.time() - elapsed()
        self._by_date: Span | None = None
        self._by_creation: Span | None = None
        self._has_created = False
        self._ahead: Span | None = None  # what is asked for with each create, and changes with each date

    def now(self) -> float:
        """Our time."""
        return self._began + elapsed()

    @property
    def compared(self) -> bool:
        """Whether the server's clock was ever seen."""
        return self._by_date is not None or self._by_creation is not None

    def dated(self, timestamp: float, began: float) -> None:
        """Learn from the date of an answer, which is cut to seconds."""
        self._by_date, self._ahead = Span(timestamp - self.now(), timestamp + 1.0 - began), None

    def created(self, timestamp: float, began: float) -> None:
        """Learn from the `created_at` of a new prediction, which is what our times are compared with.

        It is kept only where the dates are by another clock, as a gateway's may be: dates are seen more often.
        """
        self._has_created, self._ahead = True, None
        seen, dates = Span(timestamp - self.now(), timestamp - began), self._by_date
        same = dates is not None and dates.first <= seen.last + _MARGIN and seen.first <= dates.last + _MARGIN
        self._by_creation = None if same else seen

    def theirs(self, ours: Span) -> Span:
        """What the server's clock showed meanwhile: no less than the first, no more than the last."""
        ahead = self._ahead or self._seen()
        return Span(ours.first + ahead.first, ours.last + ahead.last)

    def earliest(self) -> float:
        """What the server's clock shows now, at the least."""
        return self.now() + (self._ahead or self._seen()).first

    def _seen(self) -> Span:
        """By how much the server's clock may be ahead of ours, at the least and at the most."""
        if self.compared:
            firsts, lasts = zip(*self._sightings(), strict=True)
            self._ahead = Span(min(firsts) - _MARGIN, max(lasts) + _MARGIN)
        else:
            self._ahead = Span(-_UNCOMPARED, _UNCOMPARED)
        return self._ahead

    def readings(self, ours: Span) -> list[Span]:
        """What it showed meanwhile by each of the clocks that may be its own."""
        return [
            Span(ours.first + each.first - _MARGIN, ours.last + each.last + _MARGIN)
            for each in self._sightings()
        ]

    def _sightings(self) -> list[Span]:
        """By how much each of the clocks that may be its own is ahead of ours.

        Until a creation was seen, dates may be those of a gateway or a cache: then our own clock counts as well.
        """
        seen = [each for each in (self._by_date, self._by_creation) if each is not None]
        return seen if self._has_created else [*seen, _OURS]
