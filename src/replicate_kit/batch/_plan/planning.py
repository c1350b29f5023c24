"""Makes the plan of a run: its model, its rows, and what the ledger knows of them. Nothing is spent."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, get_args

from replicate_kit._formats.references import Reference
from replicate_kit._formats.wording import counted, nothing_created
from replicate_kit._runtime.foreign_code import said_of
from replicate_kit._unresolved.canonical import FILE
from replicate_kit.batch._ledger.entries import State
from replicate_kit.batch._plan.plan import SHOWN, Plan, Problem
from replicate_kit.batch._plan.spool import Spool, Standing
from replicate_kit.batch._plan.steps import Rules, Step, as_it_is, next_step
from replicate_kit.resources._jobs.creating import reference_of

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.batch._ledger.entries import Entry
    from replicate_kit.batch._ledger.protocol import Ledger
    from replicate_kit.batch._plan.options import Options
    from replicate_kit.batch._plan.preparing import Preparer
    from replicate_kit.resources._running.running import Runnable
    from replicate_kit.resources.models import Models

__all__ = ["KnownRows", "find_rows", "fresh_since", "load_rows", "pinned"]

_CHUNK = 500
# Seconds; the API removes outputs an hour after the end (its documentation of data retention).
_EXPIRES = 55 * 60.0


async def pinned(
    ref: Any, session: Session, models: Models, ledger: Ledger, options: Options
) -> tuple[Runnable, Plan, tuple[str, str] | None]:
    """Resolve what to run, once; a model without a version runs the one that the ledger recorded first.

    Gives the reference and the version that it is to be held to, too.
    """
    asked = reference_of(ref, session)
    found = await models.async_resolve(asked)
    if asked.version is not None or found.reference.version is None:
        return found, Plan(model=str(found.reference), pinned=asked.version is not None), None
    latest = found.reference.version
    recorded = await ledger.version_of(str(asked))
    if recorded is None or recorded == latest or options.refresh_version:
        return found, Plan(model=str(found.reference), pinned=True), (str(asked), latest)
    # The recorded version stays, since it is part of each row's key: with the newer one all rows would be paid again.
    runnable = await models.async_resolve(Reference(asked.owner, asked.name, recorded))
    plan = Plan(model=str(runnable.reference), pinned=True, newer=latest)
    return runnable, plan, (str(asked), recorded)


async def load_rows(inputs: Iterable[Any], preparer: Preparer, spool: Spool, *, dedupe: bool) -> None:
    """Prepare all rows and put them on disk, a chunk at a time; then fold equal ones."""
    rows: Iterator[tuple[int, Any]] = _numbered(inputs)
    read = False
    # In a thread: the caller's own iterable may wait for a file or for a service.
    while chunk := await preparer.session.in_thread(lambda: list(islice(rows, _CHUNK))):
        if not read:
            preparer.check_kinds([row for _, row in chunk])
            read = True
        ready = [preparer.at_once(pos, row) or await preparer.prepare(pos, row) for pos, row in chunk]
        spool.add(ready, preparer.files.taken())
    await asyncio.to_thread(spool.fold, dedupe=dedupe)


def _numbered(inputs: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Number the rows; what the caller's own iterable raises says after which row that was."""
    count = 0
    with said_of(f"the inputs (a {type(inputs).__name__})"):
        try:
            for row in inputs:
                yield count, row
                count += 1
        except Exception as error:
            error.add_note(f"{counted(count, 'row')} came before that.{nothing_created(error)}")
            raise


@dataclass
class KnownRows:
    """What the ledger knows of the rows of a run: counts of distinct rows, and of rows with their copies.

    `accounts` counts those under way by the digest of the token of the run that has them.
    """

    distinct: int = 0
    in_flight: int = 0
    intended: int = 0
    gone: int = 0
    to_pay: int = 0
    ready: int = 0
    failed: int = 0
    cached: int = 0
    accounts: Counter[str] = field(default_factory=Counter)

    def add(self, copies: int, entry: Entry | None, rules: Rules) -> Standing | None:
        """Count a row, and say how it stands; None where nothing is known of it."""
        self.distinct += 1
        if entry is None:
            self.to_pay += 1
            return None
        now = as_it_is(entry)
        step = next_step(now, rules)
        # A file that has come back, and the error of a run that could not store it elsewhere, are written down yet.
        as_noted = now is entry or now == entry
        if step is Step.GIVE and as_noted and not (entry.state == "saved" and entry.error):
            return self._add_ready(copies, entry)
        gone = now.state == "finished" and entry.state in ("saved", "expired")
        self.to_pay += step is Step.CREATE
        self.in_flight += entry.is_open
        self.intended += entry.state == "intent"
        self.gone += gone
        if entry.is_open and entry.account is not None:
            self.accounts[entry.account] += 1
        since = entry.finished_at or entry.sent_at
        known = step is not Step.CREATE
        state = "gone" if gone else now.state
        return Standing(False, known, since, entry.error is not None, entry.is_open, state)

    def _add_ready(self, copies: int, entry: Entry) -> Standing:
        """Count a row that has its result."""
        failed = entry.error is not None
        self.ready += copies
        self.failed += copies * failed
        self.cached += copies * entry.is_known
        return _READY[entry.state, failed]


# How rows stand that have their results: alike, and often all rows of a run.
_READY = {
    (state, failed): Standing(True, True, 0.0, failed, False, state)
    for state in get_args(State)
    for failed in (False, True)
}


async def find_rows(
    plan: Plan, spool: Spool, ledger: Ledger, rules: Rules, options: Options
) -> tuple[Plan, KnownRows]:
    """Subtract what the ledger has, and count."""
    known = KnownRows()
    for chunk in spool.keys(_CHUNK):
        entries = await ledger.find([key for _, _, key in chunk], outputs=False)
        standings: dict[Standing, list[int]] = {}
        for (pos, copies, _), entry in zip(chunk, entries, strict=True):
            if (standing := known.add(copies, entry, rules)) is not None:
                standings.setdefault(standing, []).append(pos)
        if standings:
            spool.stand(standings)
    return _counted(plan, spool, known, options), known


def _counted(plan: Plan, spool: Spool, known: KnownRows, options: Options) -> Plan:
    """Fill in the numbers."""
    rows, invalid = spool.counts()
    most = options.cost.most
    cost = (
        None if most is None else most * (known.to_pay + known.intended)
    )  # intents may have come to nothing
    return replace(
        plan,
        rows=rows,
        invalid=invalid,
        distinct=known.distinct,
        in_flight=known.in_flight,
        gone=known.gone,
        cached=known.distinct - known.to_pay - known.in_flight - known.gone,
        to_pay=known.to_pay,
        uploads=spool.uploads(FILE),
        cost=cost,
        cost_with_retries=None if cost is None else cost * (1 + options.retries),
        problems=tuple(Problem(*each) for each in spool.problems(SHOWN)),
    )


def fresh_since(*, has_files: bool) -> float:
    """Since when an output with files has to be finished to be there yet (Unix time); 0 for outputs without files."""
    return time.time() - _EXPIRES if has_files else 0.0
