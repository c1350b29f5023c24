"""How long a run waits for a service that fails."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from replicate_kit.batch._engine.state import first_of
from replicate_kit.errors import RateLimited, ServerError, TransportError

__all__ = ["PASSING", "Patience"]

T = TypeVar("T")

PASSING = (TransportError, ServerError, RateLimited)
"""What may have passed when something is tried again."""

_TIMES = 2  # failures before the one that ends a run: two with a long wait in between tell of no service that is down


class Patience:
    """Keeps count of a service that fails: how long to wait, and when it has been down for too long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._times, self._pausing_until = 0, 0.0

    def happened(self, error: Exception) -> float:
        """Note a failure and give the seconds to wait; raises it when patience has run out, or waiting cannot help."""
        now = time.monotonic()
        self._since = self._since or now
        is_down = now - self._since > self._seconds and self._times >= _TIMES
        if is_down or not getattr(error, "temporary", True):
            raise error
        # What fails together, or while it is waited already, is one failure. It makes the wait no longer: of many rows
        # one fails at any time.
        is_new = now >= self._pausing_until
        self._times += is_new
        most = min(15.0, self._seconds / 4, 0.25 * 2.0 ** min(self._times, 10))
        pause = most * random.uniform(0.5, 1.0)
        if is_new:
            self._pausing_until = now + pause
        return pause

    def is_over(self) -> None:
        """Note that the service works."""
        self._since, self._times, self._pausing_until = None, 0, 0.0

    async def repeat(self, call: Callable[[], Awaitable[T]], stopping: asyncio.Event | None = None) -> T:
        """Repeat a request that does no harm, until it works or the service has been down for too long.

        With `stopping`, a run that is stopped meanwhile is not kept waiting: the last error is raised.
        """
        while True:
            try:
                found = await call()
            except PASSING as error:
                pause = self.happened(error)
                if stopping is None:
                    await asyncio.sleep(pause)
                    continue
                await first_of(stopping, pause)
                if stopping.is_set():
                    raise
            else:
                self.is_over()
                return found
