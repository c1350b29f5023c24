"""The engine: starts rows at the pace that limits, budget and whoever takes the results allow.

One dispatcher decides the pace. It waits, in this order, for a slot among what is in flight, for saving to keep up,
for the budget, and for a token of the creates; then it starts a task for the row. A row that has to wait for something
else gives its slot back and comes again later. `docs/batches.md` tells the whole story on one page.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from replicate_kit import errors
from replicate_kit.batch._engine.endings import ACCOUNT
from replicate_kit.batch._engine.reconciler import Reconciler
from replicate_kit.batch._engine.rows import Rows
from replicate_kit.batch._ledger.journal import Work

if TYPE_CHECKING:
    import sqlite3

    from replicate_kit.batch._engine.setup import Setup

__all__ = ["Engine"]

log = logging.getLogger("replicate_kit")

_CHUNK = 200
_MOST_CREATES = 64  # requests at once: connections are not made without end
_LOOK_AGAIN = 5.0  # seconds between two looks at how far saving lags behind, if nothing else happens
_WIND_UP = 20.0  # seconds that a run is given to end in order; with what follows it must fit in 30
_GLANCE = 0.5  # seconds between two cancels of what could not be canceled
_UNREACHABLE = (
    errors.JournalError,
    errors.TransportError,
    errors.ServerError,
    errors.AuthenticationError,
)
_ROWS = (
    "SELECT w.since, w.key, w.sample, w.pos, r.input, w.copies, w.state IN ('intent', 'created') FROM run.items AS w "
    "JOIN run.rows AS r ON r.pos = w.pos WHERE w.ready = 0 AND "
)
# What is paid for comes oldest first, since outputs expire; the rest in the order of the rows.
_OPEN = _ROWS + "w.open = 1 AND (w.since, w.pos) > (:since, :pos) ORDER BY w.since, w.pos LIMIT :most"
_FRESH = _ROWS + "w.open = 0 AND w.pos > :pos ORDER BY w.pos LIMIT :most"

_CANCELED_WITHIN = (
    "The work on a row was canceled from within, by something that it called, such as a plugin. What was paid for is "
    "in the journal."
)


class Engine:
    """Runs the rows of one plan that need something done."""

    def __init__(self, setup: Setup) -> None:
        self._setup, self._flow = setup, setup.flow
        self._tasks: set[asyncio.Task[None]] = set()
        self._helpers: list[asyncio.Task[None]] = []
        self._canceling = False
        self._rows = Rows(setup)
        self._reconciler = Reconciler(setup, self._rows, self._start)

    async def run(self) -> None:
        """Work until every row has its end, or the run is stopped. Raises what stopped it."""
        helpers = self._helpers = [
            asyncio.create_task(self._setup.watcher.run()),
            asyncio.create_task(self._reconciler.run()),
        ]
        for each in helpers:
            each.add_done_callback(self._ended)
        try:
            await self._dispatch()
            self._setup.saver.backlog.wanted = (
                False  # nothing more is created: a store that is away is not waited for
            )
            while self._tasks or self._flow.look_ups or self._flow.elsewhere:
                if self._flow.stopped:
                    await self._wind_up()
                    break
                await self._flow.change()
        finally:
            # Whatever raised, no task outlives the run: it would use a journal that is closed.
            self._canceling = True
            for each in (*helpers, *self._tasks):
                each.cancel()
            await asyncio.gather(*helpers, *self._tasks, return_exceptions=True)
        if (failure := self._flow.failure or self._setup.saver.failure) is not None:
            raise failure

    # The dispatcher: the only place where the pace is decided.

    async def _dispatch(self) -> None:
        """Start rows until there are none left, or the run is stopped."""
        # What is paid for, or may be, comes first. It needs a slot, but no budget and no token: nothing is created for
        # it here.
        async for work in self._waiting(_OPEN):
            if not await self._place():
                return
            self._start(self._rows.resume(work))
        async for work in self._to_create():
            if not await self._afford():
                return
            ticket = await self._setup.calls.turn_to_create()
            if ticket is None:
                self._setup.purse.release()
                return
            work.reserved = True
            self._start(self._rows.create(work, ticket))

    async def _waiting(self, query: str) -> AsyncIterator[Work]:
        """Rows of the plan without a result, read from disk a chunk at a time."""
        place = {"since": -1.0, "pos": -1, "most": _CHUNK}
        while rows := await self._setup.db.do(partial(_fetched, query, place)):
            for _, *row, under_way in rows:
                work = Work(*row)
                # The budget of a journal has reserved these from the beginning (`read_spending`).
                work.reserved = bool(under_way) and self._setup.purse.counts_journal
                yield work
            place |= {"since": rows[-1][0], "pos": rows[-1][3]}

    async def _to_create(self) -> AsyncIterator[Work]:
        """Rows to be paid, those that come again first, until nothing is under way that may come again."""
        fresh, backlog = self._waiting(_FRESH), self._setup.saver.backlog
        while not self._flow.stopped:
            work = self._flow.again.popleft() if self._flow.again else await anext(fresh, None)
            backlog.wanted = work is not None
            if work is not None:
                yield work
            elif not self._tasks and not self._flow.parked:
                return
            else:
                await self._flow.change()

    async def _place(self) -> bool:
        """Wait for a place in the window and for whoever takes the results; False if the run stops."""
        setup = self._setup
        while not self._flow.stopped:
            crowded = len(self._tasks) > 2 * setup.window.size + 64  # files that are being stored count too
            busy = self._flow.creating >= _MOST_CREATES
            if setup.window.free and setup.delivery.has_room and not crowded and not busy:
                return True
            await self._flow.change()
        return False

    async def _afford(self) -> bool:
        """Wait for a place and set the money aside; False if there is none for the rest, or the run stops."""
        backlog = self._setup.saver.backlog
        while await self._place() and self._setup.takes_more(len(self._tasks)):
            # Rows that have ended and are being written down are neither in flight nor unsaved: they will be.
            if self._setup.saves_files and backlog.holds(len(self._tasks) - backlog.unsaved):
                await self._flow.change(_LOOK_AGAIN)
            elif self._setup.purse.reserve():
                return True
            elif not self._setup.purse.waits:
                self._setup.exhausted()
                return False
            else:
                await self._flow.change()
        return False

    def _start(self, row: Coroutine[Any, Any, None]) -> None:
        """Run a row's task; whatever it raises stops the run."""
        # Counted here: the task itself begins later, and the dispatcher would start too many rows until then.
        self._setup.window.in_flight += 1
        task = asyncio.create_task(row)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Take note of a task's end."""
        self._tasks.discard(task)
        if task.cancelled():
            if not self._canceling:
                self._flow.fail(errors.ReplicateError(_CANCELED_WITHIN))
        elif (error := task.exception()) is not None:
            self._flow.fail(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        self._flow.wake()

    # The end of a run that is stopped.

    async def _wind_up(self) -> None:
        """End in order, within a limit: let creates get their ids, then cancel what is in flight, or leave it."""
        try:
            await self._to_its_end()
            async with asyncio.timeout(_WIND_UP):
                await self._leave()
        except errors.ReplicateError as error:  # a request that timed out is a TimeoutError as well
            self._flow.fail(error)
        except TimeoutError:
            log.warning("Not everything in flight has ended or was found; the next run looks after the rest.")
        except Exception as error:
            self._flow.fail(error)
        self._abandon()

    async def _to_its_end(self) -> None:
        """Keep what is in flight when the account may not create any more: it is paid for, and nobody asked to stop."""
        while (
            isinstance(self._flow.failure, ACCOUNT)
            and not (self._flow.left or self._flow.detach or self._is_blind)
            and (self._tasks or self._flow.look_ups)
        ):
            await self._flow.change()

    async def _leave(self) -> None:
        """Cancel what is in flight, or leave it, while creates without an answer get their ids."""
        finding = asyncio.create_task(self._find_held())
        try:
            if not (self._flow.detach or self._is_unreachable):
                await self._cancel_all(finding)
            await finding
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
        failed = isinstance(self._flow.failure, _UNREACHABLE) and self._setup.db.lost is None
        return failed or self._is_blind

    async def _find_held(self) -> None:
        """Look for what was created and never answered: it has no id to cancel it by."""
        while self._flow.creating:  # each has its own timeout
            await self._flow.change(_GLANCE)
        if not self._is_unreachable:
            await self._reconciler.look_up()

    async def _cancel_all(self, finding: asyncio.Task[None]) -> None:
        """Cancel what is in flight, and wait until it has ended; what is found meanwhile comes along."""
        self._flow.canceling = True
        # Some could not be canceled at once, or are only now in flight; of what cannot be watched no end is seen.
        while (self._tasks or not finding.done()) and not self._is_blind:
            # Written down before the cancels are sent. If the run dies among them, the next one has to know that it was
            # us, and creates these rows again. What somebody else cancels is an error of its row.
            await self._setup.db.do(self._setup.journal.canceling)
            await self._setup.watcher.cancel_all()
            await asyncio.wait({*self._tasks, finding}, timeout=_GLANCE)

    def _abandon(self) -> None:
        """Leave the rest to the next run: the journal knows of it."""
        self._canceling = True
        for each in self._tasks:
            each.cancel()


def _fetched(query: str, place: dict[str, float], db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Read rows."""
    rows: list[tuple[Any, ...]] = db.execute(query, place).fetchall()
    return rows
