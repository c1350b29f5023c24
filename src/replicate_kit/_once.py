"""Do something once for each key, however many callers, threads and event loops ask for it at the same
time.
"""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

__all__ = ["Once"]

# A blocking call in a cell of a notebook would wait for ever for a task of the loop that it holds up.
_PATIENCE = 60.0


class Clock(Protocol):
    """What waiting and forgetting need of a session."""

    def now(self) -> float: ...
    async def wait(self, future: concurrent.futures.Future[Any], timeout: float | None, /) -> bool: ...


class Once:
    """Remembers results by key for as long as they are good.

    >>> from replicate_kit import Client
    >>> session = Client(backend="mock").session
    >>> made = []
    >>> async def make():
    ...     made.append(1)
    ...     return "result", 60.0
    >>> async def twice():
    ...     return [await session.once("key", make, session) for _ in range(2)]
    >>> from replicate_kit._blocking import run
    >>> run(twice()), made
    (['result', 'result'], [1])
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: dict[object, concurrent.futures.Future[tuple[Any, float]]] = {}

    async def __call__(
        self, key: object, make: Callable[[], Awaitable[tuple[Any, float]]], clock: Clock
    ) -> Any:
        """Give the result for `key`; `make` gives a new one, and the seconds for which it is good.

        Whoever comes while it is being made waits for it, and makes it in turn if that failed.
        """
        while True:
            future, mine = self._claim(key, clock.now())
            if mine:
                return await self._make(key, future, make, clock)
            if not await clock.wait(future, _PATIENCE):
                return (await make())[0]
            if not future.cancelled():
                return future.result()[0]

    def _claim(self, key: object, now: float) -> tuple[concurrent.futures.Future[tuple[Any, float]], bool]:
        """Find the result, or the promise of one; else promise it, which is told by True."""
        with self._lock:
            known = self._results.get(key)
            if known is not None and not (known.done() and known.result()[1] < now):
                return known, False
            promise: concurrent.futures.Future[tuple[Any, float]] = concurrent.futures.Future()
            self._results[key] = promise
            return promise, True

    async def _make(
        self,
        key: object,
        promise: concurrent.futures.Future[tuple[Any, float]],
        make: Callable[[], Awaitable[tuple[Any, float]]],
        clock: Clock,
    ) -> Any:
        """Keep the promise; if that fails, let the next one try."""
        try:
            result, good_for = await make()
        except BaseException:
            with self._lock:
                del self._results[key]
            promise.cancel()
            raise
        promise.set_result((result, clock.now() + good_for))
        return result
