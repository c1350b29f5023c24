"""Waiting that ends when the server stops."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from replicate_kit._runtime.runtimes import runtime

__all__ = ["StoppableRuntime"]

T = TypeVar("T")


class StoppableRuntime:
    """The event loop's runtime, but that all waiting is over once the server stops.

    A create that is held then answers with what there is, and a stream ends as an idle one does.
    """

    def __init__(self) -> None:
        self._inner = runtime(blocking=False)
        self._waiting: set[asyncio.Event] = set()
        self._stopped = False

    def stop(self) -> None:
        """Let nobody wait any longer. Call it in the loop."""
        self._stopped = True
        for each in self._waiting:
            each.set()

    async def sleep(self, seconds: float, /) -> None:
        """Pause for `seconds`, or until the server stops."""
        await self._wait(asyncio.Event(), seconds)

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        return self._inner.now()

    async def in_thread(self, function: Callable[[], T], /) -> T:
        """Call a function that blocks."""
        return await self._inner.in_thread(function)

    async def shield(self, operation: Coroutine[Any, Any, T], /) -> T:
        """Run `operation` to its end."""
        return await self._inner.shield(operation)

    async def wait(self, future: concurrent.futures.Future[Any], timeout: float | None, /) -> bool:
        """Wait until `future` is done, `timeout` seconds have passed, or the server stops; tell whether it is done."""
        if not future.done():
            event, loop = asyncio.Event(), asyncio.get_running_loop()

            def wake(_: object) -> None:
                with suppress(RuntimeError):  # the loop is gone, and with it whoever waited
                    loop.call_soon_threadsafe(event.set)

            future.add_done_callback(wake)
            await self._wait(event, timeout)
        return future.done()

    async def _wait(self, event: asyncio.Event, timeout: float | None) -> None:
        if self._stopped:
            return
        self._waiting.add(event)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await event.wait()
        finally:
            self._waiting.discard(event)
