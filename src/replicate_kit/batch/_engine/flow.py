"""Where the rows of a run are while they wait, and whether the run goes on."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from replicate_kit._runtime.foreign_code import described
from replicate_kit.batch._ledger.journal import Work

__all__ = ["Flow", "first_of"]

log = logging.getLogger("replicate_kit")


@dataclass
class Flow:
    """The state that the parts of the engine share.

    Rows are in `again` when they are to be created (again), in `look_ups` when it is unknown whether they
    were, in `elsewhere` when another process has them; `pausing` counts those that back off. `left` says that
    whoever takes the results wants no more.
    """

    again: deque[Work] = field(default_factory=deque)
    look_ups: set[Work] = field(default_factory=set)
    elsewhere: set[Work] = field(default_factory=set)
    pausing: int = 0
    creating: int = 0
    canceling: bool = False
    detach: bool = False
    left: bool = False
    failure: Exception | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

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
        self.stopping.set()
        self.wake()

    @property
    def stopped(self) -> bool:
        """Whether nothing more is created."""
        return self.stopping.is_set()

    @property
    def parked(self) -> bool:
        """Whether rows wait that will come back."""
        return bool(self.again or self.look_ups or self.elsewhere or self.pausing)

    def pause(self, work: Work, seconds: float) -> None:
        """Bring a row back after a while."""
        self.pausing += 1

        def come_back() -> None:
            self.pausing -= 1
            self.again.append(work)
            self.wake()

        asyncio.get_running_loop().call_later(seconds, come_back)

    def wake(self) -> None:
        """Let whoever waits for a change look again."""
        self._changed.set()

    async def change(self, timeout: float | None = None) -> None:
        """Wait for a change of anything, or for `timeout` seconds."""
        await first_of(self._changed, timeout)
        self._changed.clear()


async def first_of(event: asyncio.Event, seconds: float | None) -> None:
    """Wait for an event, but not longer than some seconds."""
    # Not `asyncio.wait_for`: up to Python 3.11 it takes no notice of a cancellation that comes with the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
