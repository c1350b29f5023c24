"""Do something once for each key, however many callers, threads and event loops ask for it at the same
time: a single flight.
"""

from __future__ import annotations

import concurrent.futures
import copy
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from replicate_kit._runtime.blocking import is_blocking

__all__ = ["SingleFlight", "again"]

E = TypeVar("E", bound=BaseException)
Make = Callable[[], Awaitable[tuple[Any, float]]]

# An event loop may have stopped in the middle of a flight, and a thread may hold up the loop that it waits for.
_PATIENCE = 60.0


class Clock(Protocol):
    """What waiting and forgetting need of a session."""

    def now(self) -> float: ...
    async def wait(self, future: concurrent.futures.Future[Any], timeout: float | None, /) -> bool: ...


class _Flight(concurrent.futures.Future[tuple[Any, float]]):
    """A result that somebody is making; canceled where its maker was stopped and somebody else must."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def end(self) -> None:
        """Cancel it, and tell threads that wait for it."""
        if self.cancel():
            self.set_running_or_notify_cancel()  # `concurrent.futures.wait` does not see a cancellation before that

    def stands_still(self) -> bool:
        """Whether it cannot go on before the caller does: a blocking call holds up the loop of its own thread,
        in a notebook for example.
        """
        return not self.done() and is_blocking() and self._thread == threading.get_ident()

    def is_over(self, now: float) -> bool:
        """Whether its result is good no more."""
        return self.done() and self.result()[1] < now


class SingleFlight:
    """Remembers results by key for as long as they are good.

    >>> from replicate_kit import Client
    >>> session = Client(backend="mock").session
    >>> made = []
    >>> async def make():
    ...     made.append(1)
    ...     return "result", 60.0
    >>> async def twice():
    ...     return [await session.single_flight("key", make, session) for _ in range(2)]
    >>> from replicate_kit._runtime.blocking import run
    >>> run(twice()), made
    (['result', 'result'], [1])
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[object, _Flight] = {}
        _every.add(self)

    async def __call__(self, key: object, make: Make, clock: Clock, *, patience: float = _PATIENCE) -> Any:
        """Give the result for `key`; `make` gives a new one, and the seconds for which it is good: 0 for those
        who wait for it now, and nobody else.

        Whoever comes while it is being made waits for it. If that fails, one of them makes it in turn; if that
        fails as well, all who waited fail with it, so that a service that is down is not asked by each of them.
        A caller that is canceled cancels nobody else. After `patience` seconds one of them makes it anyway.
        """
        failed = False
        while True:
            flight, mine = self._claim(key, clock.now())
            if mine:
                return await self._make(key, flight, make, clock)
            if flight.stands_still():
                return (await make())[0]
            if not await clock.wait(flight, patience):
                self._forget(key, flight)
            elif not flight.cancelled():
                if (error := flight.exception()) is None:
                    return flight.result()[0]
                if failed:
                    # Not made a third time: where two have failed, the service is down, and many may wait.
                    raise again(error)
                failed = True

    def _claim(self, key: object, now: float) -> tuple[_Flight, bool]:
        """Find the result, or who makes it; else begin to make it, which is told by True."""
        with self._lock:
            known = self._flights.get(key)
            if known is not None and not known.is_over(now):
                return known, False
            flight = self._flights[key] = _Flight()
            return flight, True

    async def _make(self, key: object, flight: _Flight, make: Make, clock: Clock) -> Any:
        """Make it for everybody who waits."""
        try:
            result, good_for = await make()
            if good_for <= 0:
                self._forget(key, flight)
            flight.set_result((result, clock.now() + good_for))
        except Exception as error:
            self._forget(key, flight)
            flight.set_exception(again(error))
            raise
        except BaseException:  # Ctrl-C or a canceled task, which concern nobody else
            self._forget(key, flight)
            flight.end()
            raise
        return result

    def _forget(self, key: object, flight: _Flight) -> None:
        """Let the next one make it anew, if nobody does so already."""
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]

    def _begin_in_child(self) -> None:
        """Keep what is there; what other threads of the parent were making comes to no end here."""
        self._lock = threading.Lock()
        self._flights = {key: each for key, each in self._flights.items() if each.done()}


def again(error: E) -> E:
    """Copy an error, so that each who raises it has its own traceback and notes."""
    try:
        twin = copy.copy(error)
    except Exception:  # some cannot be copied
        return error
    twin.__dict__.update(error.__dict__)
    if hasattr(error, "__notes__"):
        twin.__notes__ = list(error.__notes__)
    twin.__cause__, twin.__suppress_context__ = error.__cause__, True
    return twin


_every: weakref.WeakSet[SingleFlight] = weakref.WeakSet()


def _after_fork() -> None:
    """Forget the flights whose threads only the parent has."""
    for each in list(_every):
        each._begin_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
