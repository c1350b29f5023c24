"""A run before anything is paid: its ledger opened, its rows planned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from replicate_kit import errors
from replicate_kit.batch._ledger.limited import limited
from replicate_kit.batch._ledger.places import drop, journal_file
from replicate_kit.batch._ledger.protocol import shares
from replicate_kit.batch._ledger.space import check_space
from replicate_kit.batch._ledger.stores import is_url, store_of
from replicate_kit.batch._money.pricing import Account, Budget
from replicate_kit.batch._money.shared import SharedAccount
from replicate_kit.batch._plan.planning import KnownRows, find_rows, fresh_since, load_rows, pinned
from replicate_kit.batch._plan.preparing import Preparer
from replicate_kit.batch._plan.spool import Spool, spool_folder
from replicate_kit.batch._plan.steps import Rules
from replicate_kit.stores._saving import check_target, plain_output
from replicate_kit.tables._binding import rows_of

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.batch._ledger.entries import Key
    from replicate_kit.batch._ledger.protocol import Ledger
    from replicate_kit.batch._plan.options import Options
    from replicate_kit.batch._plan.plan import Plan
    from replicate_kit.resources._running.running import Runnable
    from replicate_kit.resources.models import Models
    from replicate_kit.resources.predictions import Predictions
    from replicate_kit.storage import SaveTo

__all__ = ["Job", "LeftOpen", "Planned", "planned"]


@dataclass(frozen=True)
class LeftOpen:
    """Rows of a ledger that runs have left open, in place of inputs: their keys, and their canonical inputs."""

    rows: Sequence[tuple[Key, str]]


@dataclass(frozen=True)
class Job:
    """What the caller asked for."""

    ref: Any
    inputs: Iterable[Any] | LeftOpen
    options: Options
    session: Session
    models: Models
    predictions: Predictions


@dataclass(frozen=True)
class Planned:
    """A run that is planned. `journal` is the URL or the path of its ledger, `folder` the one of the ledger's file."""

    job: Job
    run_id: str
    journal: str
    folder: Path | None
    ledger: Ledger
    spool: Spool
    runnable: Runnable
    pin: tuple[str, str] | None
    rules: Rules
    plan: Plan
    known: KnownRows
    budget: Account


@dataclass
class Keeping:
    """Whether a journal that nobody named is kept when the run is over: not if it holds nothing."""

    needed: bool = False


@asynccontextmanager
async def planned(job: Job, keeping: Keeping) -> AsyncIterator[Planned]:
    """Open the ledger, plan the run, and close the ledger in the end.

    A journal that nobody asked for is removed when it holds nothing that anybody may still want.
    """
    place = None if is_url(job.options.journal) else journal_file(job.options.journal)
    journal = str(job.options.journal if place is None else place.path)
    ledger, run_id = limited(store_of(journal).ledger(journal)), uuid4().hex
    spool: Spool | None = None
    remark = None if place is None else place.remark
    folder = None if place is None else place.path.parent
    try:
        try:
            await ledger.open(run_id)
            spool = Spool(spool_folder(place.path if place else None))
            run = await _planned(job, run_id, journal, folder, ledger, spool, remark)
        except errors.ReplicateError:
            if ledger.lost is None:
                raise
            # Earlier runs have paid for what is in a journal that was lost meanwhile.
            said = await ledger.rescue()
            raise errors.JournalError(
                f"{ledger.lost} {said} Nothing was created. Run it again with journal={ledger.url!r}."
            ) from None
        yield run
    finally:
        # In this order: as long as something is written, the run has to count as living.
        try:
            await ledger.close()
        finally:
            if spool is not None:
                spool.close()
        if job.options.journal is None and place is not None and not keeping.needed:
            drop(place.path)


async def _planned(
    job: Job,
    run_id: str,
    journal: str,
    folder: Path | None,
    ledger: Ledger,
    spool: Spool,
    remark: str | None,
) -> Planned:
    """Find out all that can be known before anything is spent."""
    options, session = job.options, job.session
    runnable, plan, pin = await pinned(job.ref, session, job.models, ledger, options)
    if options.saving is not None:
        fields, secret = _fields(runnable, options.saving), runnable.secret_inputs
        await check_target(options.saving, session, fields=fields, secret=secret)
        if runnable.schema is not None and runnable.schema.is_plain:
            plan = replace(plan, no_files=plain_output(plan.model, options.saving))
    job = await _loaded(job, runnable, plan.model, spool)
    plan = replace(plan, journal=None if options.journal is None else journal, remark=remark)
    has_files = runnable.schema is None or runnable.schema.has_files
    # What we canceled, or the service interrupted, is created again; the rest only if it is asked for.
    redo = frozenset({"canceled", *options.retry})
    rules = Rules(redo, options.place, fresh_since(has_files=has_files))
    plan, known = await find_rows(plan, spool, ledger, rules, options)
    plan = replace(
        plan,
        seconds=plan.to_pay / options.creates_per_minute * 60,
        spool=str(spool.folder),
        free=not session.abilities.costs_money,
        unsaved=bool(
            plan.to_pay and options.saving is None and runnable.schema and runnable.schema.has_files
        ),
    )
    if plan.to_pay:
        _check_space(folder, options.saving)
    budget, fits = await _budget(options, ledger, known)
    plan = replace(plan, fits=fits)
    return Planned(job, run_id, journal, folder, ledger, spool, runnable, pin, rules, plan, known, budget)


async def _loaded(job: Job, runnable: Runnable, model: str, spool: Spool) -> Job:
    """Put the rows on disk, checked; give the job with rows in place of a table."""
    if isinstance(job.inputs, LeftOpen):
        spool.take(job.inputs.rows)
        return job
    schema = runnable.schema if job.options.check_input else None
    required = runnable.schema.required if runnable.schema else None
    preparer = Preparer(str(runnable.reference), schema, job.session, runnable.secret_inputs, required)
    rows = rows_of(job.inputs, runnable.schema, model=model)
    inputs = job.inputs if rows is None else rows
    await load_rows(inputs, preparer, spool, dedupe=job.options.dedupe)
    return replace(job, inputs=inputs)


async def _budget(options: Options, ledger: Ledger, known: KnownRows) -> tuple[Account, int | None]:
    """Make the account of the run's budget, with what the ledger has spent where that counts.

    The number is how many rows are sure to fit into it, None where it has no limits.

    What is under way is charged as the most that it may cost: that of other rows for good, since this run does not see
    it end; that of the run's own rows is only reserved. Where runs share limits, they tell each other.
    """
    price, limits = options.cost, options.limits
    limited = limits != Budget(per=limits.per)
    if limits.per != "journal":
        account = Account(limits, price)
        return account, account.room(known.to_pay) if limited else None
    spent, under_way = await ledger.spending(price)
    others = max(0, under_way - known.in_flight)
    before = spent.known(price.mosts).plus(*price.at_most(others))
    account = Account(limits, price, before, known.in_flight)
    fits = account.room(known.to_pay) if limited else None
    return SharedAccount(limits, price, known.in_flight) if limited and shares(ledger) else account, fits


def _check_space(journal: Path | None, saving: SaveTo | None) -> None:
    """Refuse to pay where there is clearly no room for what comes of it."""
    if saving is not None:
        check_space(saving.folder)
    if journal is not None:
        check_space(str(journal), "journal")


def _fields(runnable: Runnable, saving: SaveTo) -> Collection[str]:
    """What a template of names may use: the model's inputs; anything where the API does not show them."""
    if runnable.schema is not None:
        return runnable.schema.properties
    return saving.template.fields if saving.template else ()
