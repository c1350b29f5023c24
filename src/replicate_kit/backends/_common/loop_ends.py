"""Closing connections with the event loop to which they belong."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["UntilTheLoopEnds"]


class UntilTheLoopEnds:
    """Calls `close` when the loop finalizes its generators, as asyncio.run and trio.run do before they return."""

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        self._keeper = _closed_at_its_end(close)
        self._started = False

    async def begin(self) -> None:
        """Let the loop know; nothing after the first time."""
        if not self._started:
            self._started = True
            # A loop that finalizes none, as that of nest_asyncio, would leave it to the collector, which cannot wait.
            if sys.get_asyncgen_hooks().finalizer is not None:
                await anext(self._keeper)

    async def aclose(self) -> None:
        """Call `close` now, if it has begun."""
        # A generator that is left to the loop would be closed late, and with a warning.
        await self._keeper.aclose()


async def _closed_at_its_end(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Wait for the end."""
    try:
        yield
    finally:
        await close()
