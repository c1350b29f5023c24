"""Whether a run goes on, and what its parts wait for."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from replicate_kit._runtime.foreign_code import described

__all__ = ["RunState", "Stopped", "first_of"]

log = logging.getLogger("replicate_kit")


class Stopped(Exception):
    """The run stops, and so does the work on a row. Nobody outside of the engine sees it."""


class RunState:
    """How a run stands. It has one owner, the engine; the others ask it, and tell it of failures.

    `left` says that whoever takes the results wants no more, `detach` that what is in flight is left to the next run,
    `canceling` that it is being canceled. Once nothing more is created it is `stopped`, and `stopping` is set.
    """

    def __init__(self, *, detach: bool = False) -> None:
        self.detach, self.left, self.canceling = detach, False, False
        self.failure: Exception | None = None
        self.stopped, self.stopping = False, asyncio.Event()
        self._changed = asyncio.Event()
        self.wake = self._changed.set
        """Let whoever waits for a change look again."""

    def fail(self, error: Exception) -> None:
        """Stop because of an error; the first one counts, others are logged."""
        if self.failure is None:
            self.failure = error
        elif described(error) != described(self.failure):  # what stops many rows is one failure
            log.info("The run is being stopped, and this failed as well: %s", described(error))
        self.stop()

    def leave(self, *, detach: bool) -> None:
        """Stop because whoever takes the results wants no more."""
        self.left, self.detach = True, self.detach or detach
        self.stop()

    def stop(self) -> None:
        """Create nothing more."""
        self.stopped = True
        self.stopping.set()
        self.wake()

    async def change(self, timeout: float | None = None) -> None:
        """Wait for a change of anything, or for `timeout` seconds."""
        self._changed.clear()
        await first_of(self._changed, timeout)


async def first_of(event: asyncio.Event, seconds: float | None) -> None:
    """Wait for an event, but not longer than some seconds."""
    if seconds is None:
        await event.wait()
        return
    # Not `asyncio.wait_for`: up to Python 3.11 it takes no notice of a cancellation that comes with the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
