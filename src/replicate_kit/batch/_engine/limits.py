"""How fast a run may go: token buckets, one cool-down for all, and a window of what is in flight.

Nothing here waits or sends; the engine asks "how long?" and tells what happened. So another limiter, shared by
the workers of a cluster, can take this one's place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["Bucket", "Ticket", "Window", "remaining_of", "stated_limit"]

_STATED = re.compile(r"(\d+(?:\.\d+)?) requests per minute(?: with a burst of (\d+))?")
_SLOWEST = 0.05  # of the rate that is known: refusals without end must not end in a standstill
_RECOVERY = 0.002  # of it is won back with each request that was let through, where the server counts none
_MOST_REQUESTS = 1e6  # a thousand times what the API lets an account send in a minute
_FIRST_WINDOW = 64  # predictions
_RESERVE = 1.0  # requests left unused, for what others send with the same account


# What a bucket knows, and another one can go on with.
_STATE = ("rate", "burst", "_known", "_level", "_at", "_closed_until", "_sent", "_seen", "_most_seen")


class Ticket(NamedTuple):
    """One request that was let through: the how-manieth it was, and when."""

    number: int
    at: float


class Bucket:
    """A token bucket that learns the server's own from what it says.

    `rate` is in requests a second. The level follows the server's `ratelimit-remaining`, less what was sent
    since the request that it came with; between two answers it rises by `rate`, which is corrected by what
    the server's count rose meanwhile.
    """

    def __init__(self, rate: float, burst: float, now: Callable[[], float]) -> None:
        self.rate, self.burst, self._now = rate, burst, now
        self._known = rate
        self._level, self._at, self._closed_until = burst, now(), 0.0
        self._sent = 0
        self._seen: tuple[float, Ticket] | None = None
        self._most_seen = 0.0

    def ready_in(self) -> float:
        """Seconds until the next request may be sent; 0 for now."""
        now = self._now()
        self._rise(now)
        if now < self._closed_until:
            return self._closed_until - now
        return max(0.0, (1.0 - self._level) / self.rate) if self._level < 1.0 else 0.0

    def take(self) -> Ticket:
        """Count one request."""
        self._rise(self._now())
        self._level -= 1.0
        self._sent += 1
        return Ticket(self._sent, self._now())

    def give_back(self) -> None:
        """Uncount one request that was not sent after all."""
        self._level += 1.0
        self._sent -= 1

    def told(self, headers: Mapping[str, str], ticket: Ticket) -> None:
        """Learn from the headers of an answer."""
        remaining = remaining_of(headers)
        if remaining is None:
            self.let_through(1)
        else:
            self.counted(remaining, ticket)

    def told_level(self, remaining: float, ticket: Ticket, since: int) -> float:
        """The level now by the server's count at a request, where `since` were sent since then.

        The count knows neither of those, nor what time has refilled of them.
        """
        reserve = min(_RESERVE, self.burst - 1.0)  # of a burst of one nothing can be left
        return remaining - since - reserve + min(self.rate * (self._now() - ticket.at), since)

    def let_through(self, number: int) -> None:
        """Learn that so many requests were let through by a server that tells no count."""
        self.rate = max(self.rate, min(self._known, self.rate + self._known * _RECOVERY * number))

    def counted(self, remaining: float, ticket: Ticket) -> None:
        """Learn from the server's count, which came with the answer to a request."""
        self._learn_rate(remaining, ticket)
        self.burst = max(self.burst, remaining)
        self._level = self.told_level(remaining, ticket, self._sent - ticket.number)
        self._at = self._now()

    def refused(self, wait: float, stated: tuple[float, float] | None = None) -> None:
        """Learn from a 429: nothing for `wait` seconds, and then at the rate it stated, or a lower one."""
        now = self._now()
        # What was sent before the bucket closed is refused together, and lowers the rate only once.
        if now >= self._closed_until and stated is None:
            self.rate = max(self.rate * 0.9, min(self.rate, self._known * _SLOWEST))
        if stated is not None:
            self.rate, self.burst = stated
            self._known = self.rate
        self._closed_until = max(self._closed_until, now + wait)
        # After the pause one request goes first, and not a burst that might be refused as a whole.
        self._level, self._at = min(self._level, 1.0), self._closed_until
        self._seen = None

    def pause(self, seconds: float) -> None:
        """Let nothing through for a while, for another reason than a limit."""
        self._closed_until = max(self._closed_until, self._now() + seconds)

    def ahead(self, most: int, seconds: float) -> list[Ticket]:
        """Let requests through of which the last may be sent within some seconds: a ticket for each, with its time."""
        now = self._now()
        self._rise(now)
        tickets: list[Ticket] = []
        while len(tickets) < most:
            at = max(now, self._closed_until) + max(0.0, 1.0 - self._level) / self.rate
            if at > now + seconds:
                break
            self._level -= 1.0
            self._sent += 1
            tickets.append(Ticket(self._sent, at))
        return tickets

    @property
    def closed_for(self) -> float:
        """Seconds until anything is let through again."""
        return max(0.0, self._closed_until - self._now())

    @property
    def state(self) -> dict[str, Any]:
        """All that it knows, as JSON."""
        return {name: getattr(self, name) for name in _STATE}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on with what another bucket knows."""
        for name in _STATE:
            setattr(self, name, state[name])
        if self._seen is not None:
            self._seen = (self._seen[0], Ticket(*self._seen[1]))

    def _rise(self, now: float) -> None:
        """Add what time has brought."""
        if now > self._at:
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
            self._at = now

    def _learn_rate(self, remaining: float, ticket: Ticket) -> None:
        """Compare two counts of the server, half a second or more apart, the earlier not of a full bucket."""
        self._most_seen = max(self._most_seen, remaining)
        if self._seen is None or ticket.number < self._seen[1].number:
            self._seen = (remaining, ticket)
            return
        before, earlier = self._seen
        elapsed = ticket.at - earlier.at
        if elapsed < 0.5:
            return
        rose = remaining - before + ticket.number - earlier.number
        # A full bucket does not rise, and so shows no rate.
        if rose > 0 and before < self._most_seen - 1:
            self.rate += (rose / elapsed - self.rate) * 0.5
        self._seen = (remaining, ticket)


class Window:
    """How many predictions may be in flight: grows as they end, shrinks when the service is overloaded.

    It is clocked by completions, not by wall time, so that slow models do not make it grow blindly. `most` is
    the user's own limit, which is allowed from the beginning. Without one the window grows by one with each end as long
    as nothing is refused, that is twofold in the time of a prediction, and after a refusal by one in that time.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = float(most or math.inf)
        self._size = float(most or _FIRST_WINDOW)
        self._threshold = self._most
        self._ended_since_cut = 0
        self.in_flight = 0

    @property
    def size(self) -> int:
        """The present limit."""
        return int(self._size)

    @property
    def free(self) -> bool:
        """Whether one more may start."""
        return self.in_flight < int(self._size)

    def ended(self) -> None:
        """A prediction came to an end: there may be one more, at first; later one more per window."""
        self._ended_since_cut += 1
        if self.in_flight * 2 >= int(self._size):  # a window that is not used says nothing
            self._size = min(
                self._most, self._size + (1.0 if self._size < self._threshold else 1 / self._size)
            )

    def overloaded(self) -> None:
        """The service refused or failed: fewer, but not again for what was sent before the last cut."""
        if self._ended_since_cut or self._threshold == self._most:
            self._size = self._threshold = max(1.0, self._size * 0.7)
            self._ended_since_cut = 0


def stated_limit(text: str) -> tuple[float, float] | None:
    """Read the rate (a second) and burst out of a refusal's own words.

    >>> stated_limit("reduced to 6 requests per minute with a burst of 1 requests while you have less than $5.0")
    (0.1, 1.0)
    """
    found = _STATED.search(text)
    rate = _count(found[1]) if found else None
    if found is None or not rate:
        return None
    return rate / 60.0, max(1.0, _count(found[2]) or 1.0)  # a burst of none would let nothing through, ever


def remaining_of(headers: Mapping[str, str]) -> float | None:
    """How many requests more the server takes, where it says so."""
    return _count(headers.get("ratelimit-remaining"))


def _count(text: str | None) -> float | None:
    """Read a number of requests that a server tells; None for what can be none, which would undo all pacing."""
    if not text:
        return None
    try:
        count = float(text)
    except ValueError:
        return None
    return count if 0 <= count <= _MOST_REQUESTS else None  # neither is true of NaN
