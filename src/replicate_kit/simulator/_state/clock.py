"""The simulated service's clock, and how it writes times."""

from __future__ import annotations

import concurrent.futures
import functools
import math
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["Clock", "format_time", "http_date", "parse_time"]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive on purpose: everything here is UTC
_MICROSECOND = timedelta(microseconds=1)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Clock:
    """Wall time, in unix seconds, that tests can move forward.

    `start` is where it begins (now, if left out). `rate` is how many of its seconds pass in a real one: 60 makes a
    minute of simulated time last a second, 0 stops the clock, so that only `advance` moves it.

    >>> clock = Clock(start=0, rate=0)
    >>> clock.advance(3600)
    >>> clock.now()
    3600.0
    """

    def __init__(self, start: float | None = None, *, rate: float = 1.0) -> None:
        self.rate = rate
        self._start = time.time() if start is None else start
        # A clock that nobody can set: the machine's own may be put back while this one runs.
        self._began = time.monotonic()
        self.lock = threading.Lock()
        self._moved: Future[None] = Future()
        self._last = 0

    def now(self) -> float:
        """Unix seconds."""
        return self._start + (time.monotonic() - self._began) * self.rate

    def stamp(self) -> int:
        """Unix microseconds, different each time they are asked for, so that what is stamped has an order."""
        with self.lock:
            self._last = max(self._last + 1, int(self.now() * 1e6))
            return self._last

    def pass_by(self, stamp: int) -> None:
        """Give only stamps that are later than this one."""
        with self.lock:
            self._last = max(self._last, stamp)

    def advance(self, seconds: float) -> None:
        """Move the clock forward and wake whoever waits for it."""
        with self.lock:
            self._start += seconds
            moved, self._moved = self._moved, Future()
        moved.set_result(None)

    def wait_until(self, future: Future[Any], until: float, *, at_most: float = math.inf) -> bool:
        """Block until `future` is done, this clock shows `until` (unix seconds), or `at_most` real seconds passed.

        Tell whether it is done. It takes a time, and no seconds from now: those would grow by whatever the clock is
        moved before the wait begins, on a thread that begins late.
        """
        latest = time.monotonic() + at_most
        while not future.done():
            # Taken before the time is read: the clock may be moved in between, and that has to end the wait, too.
            moved = self._moved
            if (left := until - self.now()) <= 0:
                break
            timeout = min(left / self.rate if self.rate else math.inf, latest - time.monotonic())
            if timeout <= 0:
                break
            real = None if timeout == math.inf else timeout
            concurrent.futures.wait((future, moved), real, concurrent.futures.FIRST_COMPLETED)
        return future.done()


def format_time(microseconds: int, *, digits: int = 6) -> str:
    """Write unix microseconds in UTC with 3 or 6 digits after the second.

    >>> format_time(1728065260328504, digits=3)
    '2024-10-04T18:07:40.328Z'
    """
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{f'{fraction:06d}'[:digits]}Z"


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """Write a whole second; what is written together mostly happened within few of them."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


def http_date(seconds: float) -> str:
    """Write unix seconds as headers have them (https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7).

    >>> http_date(1728065260.3)
    'Fri, 04 Oct 2024 18:07:40 GMT'
    """
    return _date(math.floor(seconds))


@functools.lru_cache(maxsize=64)
def _date(seconds: int) -> str:
    """Write a whole second, as many answers have."""
    # Not by strftime, which writes names of days and months in the language of the user.
    when = time.gmtime(seconds)
    day, month = _DAYS[when.tm_wday], _MONTHS[when.tm_mon - 1]
    return f"{day}, {when.tm_mday:02} {month} {when.tm_year:04} {time.strftime('%H:%M:%S', when)} GMT"


def parse_time(text: str) -> int:
    """Read an ISO 8601 time as unix microseconds; one without a zone is UTC. Raises ValueError.

    >>> parse_time("2024-10-04T18:07:40.328Z")
    1728065260328000
    """
    when = datetime.fromisoformat(text)
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return (aware.astimezone(UTC).replace(tzinfo=None) - _EPOCH) // _MICROSECOND
