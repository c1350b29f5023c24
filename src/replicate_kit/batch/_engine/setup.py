"""The parts of a run, put together: its journal and lock, its plan, its limits."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replicate_kit import errors
from replicate_kit._formats.store_urls import local_path
from replicate_kit._formats.wording import counted, money
from replicate_kit.batch._engine.calls import Calls
from replicate_kit.batch._engine.endings import Trouble
from replicate_kit.batch._engine.flow import Flow
from replicate_kit.batch._engine.limits import Window
from replicate_kit.batch._engine.watcher import Watcher
from replicate_kit.batch._ledger.database import Database
from replicate_kit.batch._ledger.guard import Guard, JournalLost
from replicate_kit.batch._ledger.hashing import count_kept, leaks
from replicate_kit.batch._ledger.journal import Journal
from replicate_kit.batch._ledger.locks import RunLock, is_alive
from replicate_kit.batch._ledger.places import drop, journal_file
from replicate_kit.batch._ledger.space import Need, Space, check_space
from replicate_kit.batch._ledger.spending import NOTHING, Spending, read_spending
from replicate_kit.batch._ledger.tables import connect
from replicate_kit.batch._money.pricing import Purse
from replicate_kit.batch._plan.plan import Pin, Plan, load_rows, pinned, plan_items
from replicate_kit.batch._plan.preparing import Preparer
from replicate_kit.batch._results.delivery import Delivery
from replicate_kit.batch._results.progress import Tally
from replicate_kit.batch._results.results import Results
from replicate_kit.batch._results.saver import Saver
from replicate_kit.stores._saving import check_target, plain_output

if TYPE_CHECKING:
    import sqlite3

    from replicate_kit._formats.references import Reference
    from replicate_kit._http.session import Session
    from replicate_kit.batch._plan.options import Options
    from replicate_kit.resources._running.running import Runnable
    from replicate_kit.resources.models import Models
    from replicate_kit.storage import SaveTo

__all__ = ["Job", "Setup", "prepared"]

log = logging.getLogger("replicate_kit")

# Seconds; the API removes outputs an hour after the end (its documentation of data retention).
_EXPIRES = 55 * 60.0
_QUICK = 1.5  # seconds; holding the create of a slower model would only delay its id


@dataclass(frozen=True)
class Job:
    """What the caller asked for."""

    ref: Any
    inputs: Iterable[Any]
    options: Options
    session: Session
    models: Models


@dataclass
class Setup:
    """What the parts of the engine share."""

    job: Job
    path: Path
    runnable: Runnable
    plan: Plan
    db: Database
    journal: Journal
    tally: Tally
    guard: Guard
    pin: Pin | None = None
    flow: Flow = field(default_factory=Flow)
    rest: errors.ReplicateError | None = None
    before: Spending = NOTHING

    def __post_init__(self) -> None:
        self.options, session = self.job.options, self.job.session
        self.window = Window(self.options.concurrency)
        self.trouble = Trouble(self.options.patience)
        pace, secret = self.options.creates_per_minute, self.runnable.secret_inputs
        self.calls = Calls(session, self.window, pace, self.flow.stopping, secret)
        self.watcher = Watcher(self.calls, session.config.poll_interval, self.trouble)
        self.purse = Purse(self.options.limits, self.options.cost, *self.before)
        source = self.job.inputs if isinstance(self.job.inputs, Sequence) else None
        self.results = Results(self.db, self.runnable, session, source)
        self.saver = Saver(self.db, self.journal, self.results, self.options)
        saving = self.options.saving
        files = None if saving is None else local_path(saving.folder)
        self.space = Space(files, str(self.path.parent))
        self.flow.detach = self.options.on_interrupt == "detach"
        self.delivery = Delivery(
            self.db, self.results, self.flow.wake, self._undecodable, ordered=self.options.ordered
        )
        self._undecoded = 0

    @property
    def target(self) -> Reference:
        """What is run."""
        return self.runnable.reference

    @property
    def is_quick(self) -> bool:
        """Whether the model ends so fast that a create may be held for it."""
        typical = self.watcher.typical
        return typical is None or typical < _QUICK

    @property
    def saves_files(self) -> bool:
        """Whether files are stored, of a model that may give some."""
        return self.saver.wanted and (self.runnable.schema is None or self.runnable.schema.has_files)

    def takes_more(self, under_way: int) -> bool:
        """Whether what one more prediction makes can be stored, beside those of the rows under way.

        If not, the run ends when what is paid for is saved.
        """
        saver, to_come = self.saver, self.plan.to_pay - self.tally.created
        need = Need(under_way=under_way, to_come=to_come, mean_size=saver.backlog.mean_size)
        saver.failure = saver.failure or self.space.missing(need)
        return saver.failure is None

    async def begin(self) -> None:
        """Write down that the plan is run."""
        # From here on predictions are paid for. A journal that is lost stops the run in order; before this, whoever
        # plans gets the error.
        self.db.on_lost = self._lost
        run = (self.journal.run, self.plan.model, self.plan.rows, time.time())
        await self.db.do(lambda db: db.execute("INSERT INTO runs VALUES (?, ?, ?, ?)", run))
        if self.pin is not None:
            await self.db.do(self.pin.record)
        if not self.journal.keeps_inputs:
            for each in leaks(await self.db.do(count_kept), self.options):
                log.warning("%s", each)

    def _lost(self, lost: errors.JournalError) -> None:
        """Create nothing more; what another run may have taken over is not ours to cancel."""
        self.flow.detach = self.flow.detach or not (isinstance(lost, JournalLost) and lost.copyable)
        self.flow.fail(lost)

    async def look(self) -> None:
        """Raise `JournalError` if the journal was lost."""
        await self.db.do(lambda db: None)
        if self.db.lost is not None:
            raise self.db.lost

    async def rescue(self) -> str:
        """Copy a journal that was lost; say where to, or why not. Empty where it is still there."""
        said, self.path = await _rescue(self.db, self.guard)
        return said

    async def is_needed(self) -> bool:
        """Whether the journal holds what nobody was given, or what another run may still get."""
        if self._undecoded or not (self.tally.is_complete and self.delivery.all_given):
            return True
        return await self.db.do(self.journal.at_stake) > 0

    def _undecodable(self, error: errors.ReplicateError) -> None:
        """Count a row that went well, and whose output cannot be given."""
        self._undecoded += 1
        self.tally.failed += 1
        if self.options.errors == "raise":
            self.flow.fail(error)

    def exhausted(self) -> None:
        """Note that the rest of the rows cannot be afforded."""
        self.rest = errors.BudgetExhausted(
            f"This row was left out: its prediction might cost more than is left of the budget{self._of_journal()}. "
            f"Raise budget= and run it again with journal={str(self.path)!r}; what is done is free then."
        )

    def _of_journal(self) -> str:
        """Say what was spent of a budget before this run, if that counts."""
        if not self.purse.counts_journal:
            return ""
        spent = self.purse.before
        cost = f" for {money(spent.money)}" if self.options.cost.known else ""
        return f", which counts the {counted(spent.predictions, 'prediction')}{cost} of earlier runs with the journal"


@asynccontextmanager
async def prepared(job: Job) -> AsyncIterator[Setup]:
    """Open the journal, plan the run, and close the journal in the end.

    A journal that nobody asked for is removed when it holds nothing that anybody may still want.
    """
    path, remark = journal_file(job.options.journal)
    # Before the journal is opened: from the first row on that names this run, others must find that it lives.
    lock = RunLock(path)
    guard = Guard(path, lock)
    db = Database(connect, path, guard)
    needed = True
    try:
        setup = await _begun(job, guard, db, remark)
        yield setup
        needed = job.options.journal is not None or await setup.is_needed()
    finally:
        needed = needed and (db.lost is not None or await _holds_rows(db))
        # In this order: as long as something is written, the run has to count as living.
        await db.aclose()
        lock.release()
        if job.options.journal is None and not needed:
            drop(path)


async def _begun(job: Job, guard: Guard, db: Database, remark: str | None) -> Setup:
    """Open the journal and plan the run. A journal that is lost meanwhile is copied: earlier runs have paid for it."""
    try:
        await db.open()
        return await _planned(job, guard, db, remark)
    except errors.ReplicateError:
        if db.lost is None:
            raise
        said, path = await _rescue(db, guard)
        raise errors.JournalError(
            f"{db.lost} {said} Nothing was created. Run it again with journal={str(path)!r}."
        ) from None


async def _rescue(db: Database, guard: Guard) -> tuple[str, Path]:
    """Copy a journal that was lost; say where to, or why not, and give the file to go on with."""
    if not (isinstance(db.lost, JournalLost) and db.lost.copyable):
        return "", guard.path

    def copy(connection: sqlite3.Connection) -> Path:
        # SQLite copies no database that has a transaction under way.
        connection.execute("COMMIT")
        try:
            return guard.rescue(connection)
        finally:
            connection.execute("BEGIN")

    try:
        target = await db.do(copy)
    except errors.JournalError as error:
        return (
            f"What it had could not be copied ({error}). Put the journal back from a copy of yours before you run "
            "this again: what it does not know is paid for again.",
            guard.path,
        )
    return f"All that it had was copied to {str(target)!r}.", target


async def _holds_rows(db: Database) -> bool:
    """Whether a journal knows of anything; one that cannot be read is kept."""
    try:
        return await db.do(lambda db: db.execute("SELECT 1 FROM items LIMIT 1").fetchone() is not None)
    except errors.JournalError:
        return True


async def _planned(job: Job, guard: Guard, db: Database, remark: str | None) -> Setup:
    """Find out all that can be known before anything is spent."""
    options, session, path = job.options, job.session, guard.path
    runnable, plan, pin = await pinned(job.ref, session, job.models, db, options)
    if options.saving is not None:
        fields, secret = _fields(runnable, options.saving), runnable.secret_inputs
        await check_target(options.saving, session, fields=fields, secret=secret)
        if runnable.schema is not None and runnable.schema.is_plain:
            plan = replace(plan, no_files=plain_output(plan.model, options.saving))
    schema = runnable.schema if options.check_input else None
    preparer = Preparer(str(runnable.reference), schema, session, runnable.secret_inputs)
    await load_rows(job.inputs, preparer, db)
    # What we canceled, or the service interrupted, is created again; the rest only if it is asked for.
    redo = frozenset({"canceled", *options.retry})
    plan = replace(plan, journal=None if options.journal is None else str(path), remark=remark)
    has_files = runnable.schema is None or runnable.schema.has_files
    fresh_since = time.time() - _EXPIRES if has_files else 0.0
    plan = await db.do(lambda connection: plan_items(connection, plan, options, redo, fresh_since))
    if plan.to_pay:
        _check_space(path, options.saving)
    journal = Journal(
        guard.lock.id,
        str(runnable.reference),
        partial(is_alive, path),
        redo,
        options.place,
        fresh_since,
        keeps_inputs=options.journal_inputs == "keep",
    )
    tally = await db.do(lambda connection: Tally.of(connection, plan.rows))
    before = NOTHING
    if options.limits.per == "journal":
        before = await db.do(lambda connection: read_spending(connection, options.cost))
    return Setup(job, path, runnable, plan, db, journal, tally, guard, pin, before=before)


def _check_space(journal: Path, saving: SaveTo | None) -> None:
    """Refuse to pay where there is clearly no room for what comes of it."""
    if saving is not None:
        check_space(saving.folder)
    check_space(str(journal.parent), "journal")


def _fields(runnable: Runnable, saving: SaveTo) -> Collection[str]:
    """What a template of names may use: the model's inputs; anything where the API does not show them."""
    if runnable.schema is not None:
        return runnable.schema.properties
    return saving.template.fields if saving.template else ()
