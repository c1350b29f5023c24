"""Rate limits and credit."""

from __future__ import annotations

import math
import threading
from typing import NamedTuple

from replicate_kit.simulator._state.clock import Clock
from replicate_kit.simulator._state.problems import insufficient_credit, throttled

__all__ = ["Credit", "Limiter", "RateLimits"]


class RateLimits(NamedTuple):
    """Requests a minute, each with bursts up to as many at once, for one account."""

    # The documentation has both numbers, and tolerates bursts (replicate.com/docs, on rate limits).
    creates: int = 600
    others: int = 3000
    # The API's own 429 names these numbers to an account with little credit.
    low_credit_creates: int = 6
    low_credit_burst: int = 1
    low_credit_below: float = 5.0


class _Bucket:
    """Tokens that come back with time."""

    def __init__(self, per_minute: int, burst: int, now: float) -> None:
        self._rate, self._burst = per_minute / 60, burst
        self._tokens, self._last = float(burst), now

    def take(self, now: float) -> float:
        """Take a token and give 0, or give the seconds until there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate)
        self._last = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate

    @property
    def left(self) -> int:
        """How many tokens there are."""
        return int(self._tokens)


class Credit:
    """Money that predictions cost. `None` is as much as one likes."""

    def __init__(self, amount: float | None = None) -> None:
        self.amount = amount

    def spend(self, price: float) -> None:
        """Pay for a prediction; 402 if there is nothing left to pay with."""
        if self.amount is None:
            return
        if self.amount <= 0:
            raise insufficient_credit()
        self.amount -= price


class Limiter:
    """Counts requests for each account. Without limits it lets all pass and says so in the usual headers."""

    def __init__(self, clock: Clock, limits: RateLimits | None, credit: Credit) -> None:
        self._clock, self._limits, self._credit = clock, limits, credit
        self.lock = threading.Lock()
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def admit(self, account: str, *, create: bool) -> dict[str, str]:
        """Let a request pass and give its headers, or raise 429."""
        if self._limits is None:  # as if every request were the first
            return _headers((RateLimits().creates if create else RateLimits().others) - 1)
        kind = ("low" if self._is_low(self._limits) else "create") if create else "other"
        with self.lock:
            bucket = self._bucket(account, kind, self._limits)
            wait = bucket.take(self._clock.now())
            left = bucket.left
        if wait:
            raise throttled(math.ceil(wait), _explain(self._limits) if kind == "low" else "")
        return _headers(left)

    def _is_low(self, limits: RateLimits) -> bool:
        return self._credit.amount is not None and self._credit.amount < limits.low_credit_below

    def _bucket(self, account: str, kind: str, limits: RateLimits) -> _Bucket:
        sizes = {
            "create": (limits.creates, limits.creates),
            "other": (limits.others, limits.others),
            "low": (limits.low_credit_creates, limits.low_credit_burst),
        }
        key = (account, kind)
        if key not in self._buckets:
            self._buckets[key] = _Bucket(*sizes[kind], self._clock.now())
        return self._buckets[key]


def _headers(left: int) -> dict[str, str]:
    # The reset is always 1 here, as in recorded traffic.
    return {"ratelimit-remaining": str(left), "ratelimit-reset": "1"}


def _explain(limits: RateLimits) -> str:
    return (
        f"Your rate limit for creating predictions is reduced to {limits.low_credit_creates} requests per minute "
        f"with a burst of {limits.low_credit_burst} requests while you have less than "
        f"${limits.low_credit_below} in credit. "
    )
