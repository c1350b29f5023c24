"""The engine: starts rows at the pace that limits, budget and whoever takes the results allow, and ends them in order.

`docs/batches-inside.md` tells the whole story.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from replicate_kit import errors
from replicate_kit.batch._engine.pace import Exhausted
from replicate_kit.batch._engine.state import Stopped
from replicate_kit.batch._ledger.entries import Canceling
from replicate_kit.batch._results.outcomes import ACCOUNT

if TYPE_CHECKING:
    from replicate_kit.batch._engine.pace import Pace
    from replicate_kit.batch._engine.poller import Poller
    from replicate_kit.batch._engine.reconciler import Reconciler
    from replicate_kit.batch._engine.recorder import Recorder
    from replicate_kit.batch._engine.rows import Rows
    from replicate_kit.batch._engine.state import RunState
    from replicate_kit.batch._ledger.protocol import Ledger
    from replicate_kit.batch._plan.spool import Spool
    from replicate_kit.batch._results.saver import Saver

__all__ = ["Engine"]

log = logging.getLogger("replicate_kit")

_WIND_UP = 20.0  # seconds that a run is given to end in order; with what follows it must fit in 30
_JOURNAL = 10.0  # of these, that it waits for a journal without which it can do nothing more
_GLANCE = 0.5  # seconds between two cancels of what could not be canceled
_UNREACHABLE = (
    errors.JournalError,
    errors.TransportError,
    errors.ServerError,
    errors.AuthenticationError,
)
_CANCELED_WITHIN = (
    "The work on a row was canceled from within, by something that it called, such as a plugin. What was paid for is "
    "in the journal."
)


@dataclass(kw_only=True)
class Engine:
    """Runs the rows of one plan that need something done.

    `reserved` says that the budget has counted rows that were under way from the beginning; `exhausted` is called when
    the budget has nothing left.
    """

    spool: Spool
    ledger: Ledger
    state: RunState
    pace: Pace
    rows: Rows
    poller: Poller
    reconciler: Reconciler
    recorder: Recorder
    saver: Saver
    reserved: bool
    exhausted: Callable[[], None]
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _helpers: list[asyncio.Task[None]] = field(default_factory=list)
    _abandoned: bool = False

    async def run(self) -> None:
        """Work until every row has its result, or the run is stopped. Raises what stopped it."""
        self._helpers = [asyncio.create_task(each) for each in (self.poller.run(), self.reconciler.run())]
        for each in self._helpers:
            each.add_done_callback(self._ended)
        try:
            await self._dispatch()
            while self._tasks:
                if self.state.stopped:
                    await self._wind_up()
                    break
                await self.state.change()
        finally:
            # Whatever raised, no task outlives the run: it would use a ledger that is closed.
            self._abandoned = True
            for task in (*self._helpers, *self._tasks):
                task.cancel()
            await asyncio.gather(*self._helpers, *self._tasks, return_exceptions=True)
        if (failure := self.state.failure or self.saver.failure) is not None:
            raise failure

    async def _dispatch(self) -> None:
        """Start rows until there are none left, or the run is stopped."""
        try:
            # What is paid for, or may be, comes first. It needs no budget and no token: nothing is created for it here.
            for item in self.spool.items(known=True):
                held = self.spool.left_open(item.pos)
                slot = await self.pace.to_resume(reserved=self.reserved and held, held=held)
                self._start(self.rows.bring(item, slot, known=True))
            self.saver.backlog.wanted = True
            for item in self.spool.items(known=False):
                slot = await self.pace.to_create()
                self._start(self.rows.bring(item, slot, known=False))
        except Stopped:
            pass
        except Exhausted:
            self.exhausted()
        # Nothing more is created, but what comes again: a store that is away is not waited for.
        self.saver.backlog.wanted = False

    def _start(self, row: Coroutine[Any, Any, None]) -> None:
        """Run a row's task; whatever it raises stops the run."""
        task = asyncio.create_task(row)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Take note of a task's end."""
        self._tasks.discard(task)
        if task.cancelled():
            if not self._abandoned:
                self.state.fail(errors.ReplicateError(_CANCELED_WITHIN))
        elif isinstance(error := task.exception(), Exhausted):
            self.exhausted()
        elif error is not None:
            self.state.fail(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        self.state.wake()

    # The end of a run that is stopped.

    async def _wind_up(self) -> None:
        """End in order, within a limit: let creates get their ids, then cancel what is in flight, or leave it."""
        try:
            await self._to_its_end()
            async with asyncio.timeout(_WIND_UP):
                await self._leave()
        except errors.ReplicateError as error:  # a request that timed out is a TimeoutError as well
            self.state.fail(error)
        except TimeoutError:
            log.warning("Not everything in flight has ended or was found; the next run looks after the rest.")
        except Exception as error:
            self.state.fail(error)

    async def _to_its_end(self) -> None:
        """Keep what is in flight when the account may not create any more: it is paid for, and nobody asked to stop."""
        while (
            isinstance(self.state.failure, ACCOUNT)
            and not (self.state.left or self.state.detach or self._is_blind)
            and self._tasks
        ):
            await self.state.change()

    async def _leave(self) -> None:
        """Cancel what is in flight, or leave it, while creates without an answer get their ids."""
        finding = asyncio.create_task(self._find_unresolved())
        try:
            if not (self.state.detach or self._is_unreachable):
                await self._cancel_all(finding)
            await finding
            async with asyncio.timeout(_JOURNAL):
                await self.recorder.flush()
        finally:
            finding.cancel()

    @property
    def _is_blind(self) -> bool:
        """Whether what is in flight cannot be watched any more: the service refused that, too."""
        return any(each.done() for each in self._helpers)

    @property
    def _is_unreachable(self) -> bool:
        """Whether there is no use in talking to the service, or no journal to write its answers to."""
        # A journal that was lost is still open: what is in flight can be canceled, and its end written down.
        failed = isinstance(self.state.failure, _UNREACHABLE) and self.ledger.lost is None
        return failed or self._is_blind

    async def _find_unresolved(self) -> None:
        """Look for what was created and never answered: it has no id to cancel it by."""
        while self.rows.creating:  # each has its own timeout
            await self.state.change(_GLANCE)
        if not self._is_unreachable:
            await asyncio.sleep(0)  # those that have failed just now
            await self.reconciler.look()

    async def _cancel_all(self, finding: asyncio.Task[None]) -> None:
        """Cancel what is in flight, and wait until it has ended; what is found meanwhile comes along."""
        self.state.canceling = True
        # Some could not be canceled at once, or are only now in flight; of what cannot be watched no end is seen.
        while (len(self._tasks) > self.reconciler.waiting or not finding.done()) and not self._is_blind:
            # Written down before the cancels are sent. If the run dies among them, the next one has to know that it was
            # us, and creates these rows again. What somebody else cancels is an error of its row.
            flights = [self.rows.owners[id].item.key for id in self.poller.flights if id in self.rows.owners]
            async with asyncio.timeout(_JOURNAL):
                await asyncio.gather(*(self.recorder.record(Canceling(key)) for key in flights))
            await self.poller.cancel_all()
            await asyncio.wait({*self._tasks, finding}, timeout=_GLANCE)
