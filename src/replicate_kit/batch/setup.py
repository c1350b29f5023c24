"""The parts of a run, put together: its journal and lock, its plan, its limits."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replicate_kit import errors
from replicate_kit.batch.calls import Calls
from replicate_kit.batch.database import Database
from replicate_kit.batch.delivery import Delivery
from replicate_kit.batch.endings import Trouble
from replicate_kit.batch.flow import Flow
from replicate_kit.batch.journal import Journal
from replicate_kit.batch.limits import Window
from replicate_kit.batch.locks import RunLock, is_alive
from replicate_kit.batch.places import drop, journal_file
from replicate_kit.batch.plan import Pin, Plan, load_rows, pinned, plan_items
from replicate_kit.batch.preparing import Preparer
from replicate_kit.batch.pricing import Purse
from replicate_kit.batch.progress import Tally
from replicate_kit.batch.results import Results
from replicate_kit.batch.saver import Saver
from replicate_kit.batch.spending import NOTHING, Spending, read_spending
from replicate_kit.batch.tables import connect
from replicate_kit.batch.watcher import Watcher
from replicate_kit.saving import check_target
from replicate_kit.wording import counted, money

if TYPE_CHECKING:
    from replicate_kit.batch.options import Options
    from replicate_kit.refs import Reference
    from replicate_kit.resources.models import Models
    from replicate_kit.resources.running import Runnable
    from replicate_kit.session import Session
    from replicate_kit.storage import SaveTo

__all__ = ["Job", "Setup", "prepared"]

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
    pin: Pin | None = None
    flow: Flow = field(default_factory=Flow)
    rest: errors.ReplicateError | None = None
    before: Spending = NOTHING

    def __post_init__(self) -> None:
        self.options, session = self.job.options, self.job.session
        self.window = Window(self.options.concurrency)
        self.trouble = Trouble(self.options.patience)
        self.calls = Calls(session, self.window, self.options.creates_per_minute, self.flow.stopping)
        self.watcher = Watcher(self.calls, session.config.poll_interval, self.trouble)
        self.purse = Purse(self.options.limits, self.options.cost, *self.before)
        source = self.job.inputs if isinstance(self.job.inputs, Sequence) else None
        self.results = Results(self.db, self.runnable, session, source)
        self.saver = Saver(self.db, self.journal, self.results, self.options)
        self.flow.detach = self.options.on_interrupt == "detach"
        self.delivery = Delivery(self.db, self.results, self.flow.wake, ordered=self.options.ordered)

    @property
    def target(self) -> Reference:
        """What is run."""
        return self.runnable.reference

    @property
    def defaults(self) -> dict[str, Any]:
        """What the model takes for inputs that are left out: the API may show them as if they had been sent."""
        properties = self.runnable.schema.properties if self.runnable.schema else {}
        return {name: each["default"] for name, each in properties.items() if "default" in each}

    @property
    def is_quick(self) -> bool:
        """Whether the model ends so fast that a create may be held for it."""
        typical = self.watcher.typical
        return typical is None or typical < _QUICK

    async def begin(self) -> None:
        """Write down that the plan is run."""
        run = (self.journal.run, self.plan.model, self.plan.rows, time.time())
        await self.db.do(lambda db: db.execute("INSERT INTO runs VALUES (?, ?, ?, ?)", run))
        if self.pin is not None:
            await self.db.do(self.pin.record)

    async def is_needed(self) -> bool:
        """Whether the journal holds what nobody was given, or what another run may still get."""
        if not (self.tally.is_complete and self.delivery.all_given):
            return True
        return await self.db.do(self.journal.at_stake) > 0

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
    path = journal_file(job.options.journal)
    lock = RunLock(path)
    db = Database(partial(connect, path), repr(str(path)))
    needed = True
    try:
        await db.open()
        setup = await _planned(job, path, lock, db)
        try:
            yield setup
        finally:
            await setup.saver.finish()
        needed = job.options.journal is not None or await setup.is_needed()
    finally:
        needed = needed and await _holds_rows(db)
        await db.aclose()
        lock.release()
        if job.options.journal is None and not needed:
            drop(path)


async def _holds_rows(db: Database) -> bool:
    """Whether a journal knows of anything; one that cannot be read is kept."""
    try:
        return await db.do(lambda db: db.execute("SELECT 1 FROM items LIMIT 1").fetchone() is not None)
    except errors.JournalError:
        return True


async def _planned(job: Job, path: Path, lock: RunLock, db: Database) -> Setup:
    """Find out all that can be known before anything is spent."""
    options, session = job.options, job.session
    runnable, plan, pin = await pinned(job.ref, session, job.models, db, options)
    if options.saving is not None:
        await check_target(options.saving, session, fields=_fields(runnable, options.saving))
    preparer = Preparer(str(runnable.reference), runnable.schema if options.check_input else None, session)
    await load_rows(job.inputs, preparer, db)
    # What we canceled, or the service interrupted, is created again; the rest only if it is asked for.
    redo = frozenset({"canceled", *options.retry})
    plan = replace(plan, journal=None if options.journal is None else str(path))
    has_files = runnable.schema is None or runnable.schema.has_files
    fresh_since = time.time() - _EXPIRES if has_files else 0.0
    plan = await db.do(lambda connection: plan_items(connection, plan, options, redo, fresh_since))
    journal = Journal(
        lock.id, str(runnable.reference), partial(is_alive, path), redo, options.place, fresh_since
    )
    tally = await db.do(lambda connection: Tally.of(connection, plan.rows))
    before = NOTHING
    if options.limits.per == "journal":
        before = await db.do(lambda connection: read_spending(connection, options.cost))
    return Setup(job, path, runnable, plan, db, journal, tally, pin, before=before)


def _fields(runnable: Runnable, saving: SaveTo) -> Collection[str]:
    """What a template of names may use: the model's inputs; anything where the API does not show them."""
    if runnable.schema is not None:
        return runnable.schema.properties
    return saving.template.fields if saving.template else ()
