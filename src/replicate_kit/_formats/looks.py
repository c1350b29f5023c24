"""When to look at what runs elsewhere, so that its end is seen soon and with few looks: pure functions of seconds.

What is known is how long others of its kind ran. Looks then stand where the times of those end, so that lateness and
looks cost the least together. Where nothing is known, and beyond all that is known, pauses grow with the time that
has passed.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate

__all__ = ["Durations", "Times", "given_pause", "unknown_pause"]

_SHORTEST = 0.1  # seconds between two looks while nothing is known, at least
_LONGEST = 5.0  # seconds between two looks beyond what is known, at most
_GROWTH = 0.1  # of the time that has passed: so much later than its end a prediction is seen, at most
_SLACK = 0.01  # seconds after a known time, and a thousandth of that: clocks, timers and models are not exact
_FIRST_STEP = 0.05  # seconds until a look that follows one in vain, at least
_PRICE = 0.01  # of the typical time: a look is worth so many seconds
_LEAST_PRICE = 0.02  # seconds
_FAR = 0.25  # of the time before: times that lie further apart are of two kinds, such as warm and cold starts
_BLIND = 15.0  # seconds without a look, at most, where no end is expected: some fail early
_EARLY = 0.005  # seconds by which a timer may wake us before a look
_KEPT = 20  # times; half of them would hardly say less, and a change would be seen no sooner with more
_CHANGED = 3  # times in a row unlike all before: what was known holds no longer
_UNLIKE = 1.1  # times longer or shorter
_MOST = 1e7  # seconds
_KINDS = 1000  # that are remembered
_LOOKS_A_SECOND = 40  # by all who wait: the API allows 50 requests besides creates


def given_pause(interval: float, passed: float) -> float:
    """Seconds until the next look where somebody said how often to look.

    What takes long is looked at less often: a twentieth of the time so far, up to five seconds. Who asks for no pause
    gets none.

    >>> given_pause(0.5, 3), given_pause(0.5, 40), given_pause(0.5, 3600), given_pause(0, 3600)
    (0.5, 2.0, 5.0, 0.0)
    """
    if interval == 0:
        return 0.0
    return min(max(interval, passed / 20), max(interval, _LONGEST))


def unknown_pause(passed: float, growth: float = _GROWTH, least: float = 0.0) -> float:
    """Seconds until the next look where nothing is known: a part of the time that has passed, and at `least` so many.

    >>> unknown_pause(0), unknown_pause(20), unknown_pause(3600)
    (0.1, 2.0, 5.0)
    """
    return min(max(_SHORTEST, passed * growth, least), _LONGEST)


class Times:
    """How long the last ones of a kind ran, in seconds. It never changes."""

    def __init__(self, *runs: float) -> None:
        self._runs = runs

    def and_then(self, ran: float) -> Times:
        """Give what is known when one more has ended. A few that are unlike all before say that times have changed."""
        runs = (*self._runs, ran)[-_KEPT:]
        before, last = runs[:-_CHANGED], runs[-_CHANGED:]
        if before and (min(last) > max(before) * _UNLIKE or max(last) * _UNLIKE < min(before)):
            return Times(*last)
        return Times(*runs)

    @cached_property
    def looks(self) -> tuple[float, ...]:
        """Seconds after its start at which to look at the next one: where lateness and looks cost the least together.

        A look after the n-th shortest time sees all end that are no longer. What is best after that look does not
        depend on those before it, so that it is found from the last one backwards.
        """
        runs = sorted(self._runs)
        count, sums = len(runs), [0.0, *accumulate(runs)]
        price = max(_LEAST_PRICE, _PRICE * runs[count // 2])
        # By the number of those that were seen: what the rest costs, and how many are seen with the next look.
        costs, then = [0.0] * (count + 1), [count] * (count + 1)
        for seen in reversed(range(count)):
            costs[seen], then[seen] = min(
                (
                    price * (count - seen)
                    + _after(runs[last - 1]) * (last - seen)
                    - (sums[last] - sums[seen])
                    + costs[last],
                    last,
                )
                for last in range(seen + 1, count + 1)
            )
        looks, seen = list[float](), 0
        while seen < count:
            seen = then[seen]
            looks.append(_after(runs[seen - 1]))
        return tuple(looks)

    def queue_pause(self, passed: float, least: float = 0.0) -> float:
        """Seconds until the next look at one that has not started: it cannot end much sooner than all others did."""
        return min(max(unknown_pause(passed, least=least), self.looks[0] / 2), _BLIND)

    def pause(self, ran: float, least: float = 0.0) -> float:
        """Seconds until the next look at one that has run for `ran` seconds: at `least` so many where it was looked at
        in vain when others like it had ended.

        >>> times = Times(20.0)
        >>> [round(times.pause(ran), 2) for ran in (0, 10.1, 20.03, 20.13, 40)]
        [10.02, 9.93, 0.1, 0.1, 4.0]
        """
        done = bisect_right(self.looks, ran + _EARLY)
        last = self.looks[done - 1] if done else 0.0
        following = self.looks[done] if done < len(self.looks) else math.inf
        left = following - ran
        if not done:  # one look on the way shows when it has started, and those that failed early
            half = following / 2 - ran
            return min(half if half > _EARLY and following / 2 >= _SHORTEST else left, _BLIND)
        if following - last <= last * _FAR:
            return left
        step = max(_FIRST_STEP, last / 200, least)
        if following < math.inf:
            return min(left, max(step, 3 * (ran - last)), _BLIND)
        return min(max(step, ran - last), max(step, ran * _GROWTH), _LONGEST)


def _after(run: float) -> float:
    """When to look for the end of one that runs for so long."""
    return run + _SLACK + run / 1000


class Durations:
    """How long predictions of each kind ran. Threads may share it: the worst is that a time is forgotten."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Times] = {}
        self._waiting = set[object]()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count one more that is waited for by looks of its own, within the block."""
        one = object()
        self._waiting.add(one)
        try:
            yield
        finally:
            self._waiting.discard(one)

    @property
    def least_pause(self) -> float:
        """Seconds between two looks at the same one, at least: all who wait share the rate of an account."""
        return min(len(self._waiting) / _LOOKS_A_SECOND, _LONGEST)

    def of(self, kind: Hashable) -> Times | None:
        """Give the times of a kind; None if there are none."""
        return self._known.get(kind)

    def note(self, kind: Hashable, ran: float) -> None:
        """Note how long one ran, in seconds. What is too long for any is none."""
        if not 0 <= ran <= _MOST:
            return
        if len(self._known) >= _KINDS:
            self._known.clear()
        known = self._known.get(kind)
        self._known[kind] = Times(ran) if known is None else known.and_then(ran)
