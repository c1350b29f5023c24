"""The plan: what a run would do and cost, known before anything is spent."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit._formats.references import Reference
from replicate_kit._formats.wording import counted, money, with_safe_repr
from replicate_kit._runtime.foreign_code import said_of
from replicate_kit._unresolved.canonical import FILE
from replicate_kit.batch._plan.files import NotedFile
from replicate_kit.batch._plan.preparing import Prepared, Preparer
from replicate_kit.errors import InputError
from replicate_kit.resources._jobs.creating import reference_of

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.batch._ledger.database import Database
    from replicate_kit.batch._plan.options import Options
    from replicate_kit.resources._running.running import Runnable
    from replicate_kit.resources.models import Models

__all__ = ["Pin", "Plan", "Problem", "load_rows", "pinned", "plan_items"]

_CHUNK = 500
_SHOWN = 20
_COUNT = (
    "SELECT COUNT(*), TOTAL(NOT open), TOTAL(state IN ('intent', 'created')), TOTAL(state = 'intent'), "
    "TOTAL(state = 'gone') FROM run.items"
)
# Of files that rows to be paid name: their inputs are looked through only if there is any file.
_UPLOADS = (
    "SELECT COALESCE(SUM(upload), 0) FROM run.files WHERE hash IN (SELECT named.value FROM run.items AS w "
    "JOIN run.rows AS r ON r.pos = w.pos, json_tree(r.input) AS named WHERE NOT w.open AND named.key = ?)"
)


class Problem(NamedTuple):
    """What is wrong with a row: its position, and one line for each fault."""

    row: int
    message: str


class Pin(NamedTuple):
    """The version that a reference without one is held to."""

    reference: str
    version: str

    def record(self, connection: sqlite3.Connection) -> None:
        """Write it down. Plans do not: to ask what a newer version would cost must not make it count."""
        connection.execute("INSERT OR REPLACE INTO pins VALUES (?, ?, ?)", (*self, time.time()))


@with_safe_repr
@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do. `cost` is the most it may cost, None where no price was given; `cost_with_retries` is the
    most if the service interrupts every prediction, and each is created again as often as `retries` allows.

    `rows` are all; `invalid` of them cannot be sent, and the first of those are in `problems`. The others are
    `distinct` predictions: `cached` of these are in the journal and free, `in_flight` were created before and
    are only waited for, `gone` have lost files that were stored on this machine and are looked up again, free,
    `to_pay` are to be created. `uploads` are the bytes of files to upload for those. `newer` is a version of the model
    that has come since the journal's was recorded; `pinned` is False for what cannot be held to a version.
    `no_files` says so where `save_to` will have nothing to store, going by the model's schema.
    `remark` says where the journal is kept if it could not be kept in its usual place.
    """

    model: str
    pinned: bool
    rows: int = 0
    invalid: int = 0
    distinct: int = 0
    cached: int = 0
    in_flight: int = 0
    gone: int = 0
    to_pay: int = 0
    uploads: int = 0
    cost: float | None = None
    cost_with_retries: float | None = None
    newer: str | None = None
    journal: str | None = None
    remark: str | None = None
    no_files: str | None = None
    problems: tuple[Problem, ...] = ()

    def __str__(self) -> str:
        """Say it in words."""
        lines = [
            f"{counted(self.rows, 'row')} of {self.model}: {counted(self.to_pay, 'prediction')} to pay, "
            f"{self.cached} in the journal, {self.in_flight} under way, {counted(self.invalid, 'invalid row')}"
        ]
        if self.gone:
            lines.append(
                f"{counted(self.gone, 'prediction')} with stored files that are gone: looked up again, free, and the "
                "files stored again if the API still has them"
            )
        valid = self.rows - self.invalid
        if self.distinct < valid:
            share = counted(valid - self.distinct, "row shares", "rows share")
            lines.append(f"{share} the prediction of an equal row (dedupe=True)")
        if self.uploads:
            lines.append(f"{self.uploads / 1e6:.1f} MB to upload")
        if self.cost is not None:
            lines.append(f"costs at most {money(self.cost)}")
        if self.cost_with_retries is not None and self.cost_with_retries != self.cost:
            lines[-1] += f", or {money(self.cost_with_retries)} if the service interrupts every prediction"
        if self.newer:
            lines.append(f"there is a newer version, {self.newer} (refresh_version=True uses it)")
        if self.no_files:
            lines.append(self.no_files)
        if self.remark:
            lines.append(self.remark)
        if not self.pinned:
            lines.append("the model has no fixed version: its results may change with the model")
        return "\n".join([*lines, *(f"row {each.row}:\n{each.message}" for each in self.problems)])

    def __repr__(self) -> str:
        first, _, _ = str(self).partition("\n")
        return f"<Plan: {first}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show all of it at IPython's prompt and in notebooks."""
        printer.text(str(self))

    def raise_for_problems(self) -> None:
        """Raise `InputError` that lists the invalid rows, if there are any."""
        if not self.invalid:
            return
        labels = [each.row for each in self.problems]
        raise InputError(self.refusal(labels, "Correct them, or pass errors='collect' to run the others."))

    def refusal(self, labels: Sequence[object], advice: str) -> str:
        """Say which rows cannot be sent, and what to do: the first of them, by these names of theirs."""
        listed = [f"row {label}:\n{each.message}" for label, each in zip(labels, self.problems, strict=False)]
        refused = f"{self.invalid} of {counted(self.rows, 'row')} cannot be sent to {self.model}"
        more = self.invalid - len(listed)
        rest = [f"and {more} more"] if more else []
        return "\n".join([f"{refused}, so nothing was created:", *listed, *rest, advice])


async def pinned(
    ref: Any, session: Session, models: Models, db: Database, options: Options
) -> tuple[Runnable, Plan, Pin | None]:
    """Resolve what to run, once; a model without a version runs the one that the journal recorded first."""
    asked = reference_of(ref, session)
    found = await models.async_resolve(asked)
    if asked.version is not None or found.reference.version is None:
        return found, Plan(model=str(found.reference), pinned=asked.version is not None), None
    latest = found.reference.version
    recorded = await db.do(lambda connection: _recorded(connection, str(asked)))
    if recorded is None or recorded == latest or options.refresh_version:
        return found, Plan(model=str(found.reference), pinned=True), Pin(str(asked), latest)
    # The recorded version stays, since it is part of each row's key: with the newer one all rows would be paid again.
    runnable = await models.async_resolve(Reference(asked.owner, asked.name, recorded))
    plan = Plan(model=str(runnable.reference), pinned=True, newer=latest)
    return runnable, plan, Pin(str(asked), recorded)


def _recorded(connection: sqlite3.Connection, ref: str) -> str | None:
    """The version that counts, if one was recorded."""
    found = connection.execute("SELECT version FROM pins WHERE reference = ?", (ref,)).fetchone()
    return None if found is None else str(found[0])


async def load_rows(inputs: Iterable[Any], preparer: Preparer, db: Database) -> None:
    """Prepare all rows and put them on disk, a chunk at a time."""
    rows: Iterator[tuple[int, Any]] = _numbered(inputs)
    # In a thread: the caller's own iterable may wait for a file or for a service.
    while chunk := await preparer.session.in_thread(lambda: list(islice(rows, _CHUNK))):
        ready = [await preparer.prepare(pos, row) for pos, row in chunk]
        files = preparer.files.taken()
        await db.do(lambda connection, ready=ready, files=files: _insert(connection, ready, files))  # type: ignore[misc]


def _numbered(inputs: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Number the rows; what the caller's own iterable raises says after which row that was."""
    count = 0
    with said_of(f"the inputs (a {type(inputs).__name__})"):
        try:
            for row in inputs:
                yield count, row
                count += 1
        except Exception as error:
            error.add_note(f"{counted(count, 'row')} came before that. Nothing was created.")
            raise


def _insert(connection: sqlite3.Connection, rows: list[Prepared], files: list[NotedFile]) -> None:
    """Store rows and the files that they name."""
    connection.executemany("INSERT INTO run.rows (pos, key, input, problem) VALUES (?, ?, ?, ?)", rows)
    connection.executemany("INSERT OR IGNORE INTO run.files VALUES (?, ?, ?, ?, ?)", files)


def plan_items(
    connection: sqlite3.Connection, plan: Plan, options: Options, redo: frozenset[str], fresh_since: float
) -> Plan:
    """Fold equal rows, subtract what the journal has, and count."""
    connection.execute("CREATE INDEX run.rows_by_key ON rows (key, sample, pos)")
    if not options.dedupe:
        connection.execute(
            "UPDATE run.rows AS r SET sample = n.nth FROM (SELECT pos, row_number() OVER (PARTITION BY key "
            "ORDER BY pos) - 1 AS nth FROM run.rows WHERE key IS NOT NULL) AS n WHERE n.pos = r.pos"
        )
    connection.execute(
        # Materialized, so that files are looked for once.
        "WITH known AS MATERIALIZED (SELECT d.*, COALESCE(i.finished_at, i.sent_at, 0) AS since, i.state AS was, "
        "state_now(i.state, i.stored, i.stored_in) AS state, i.stored_in, i.finished_at, i.error "
        "FROM (SELECT MIN(pos) AS pos, key, sample, COUNT(*) AS copies FROM run.rows WHERE key IS NOT NULL "
        "GROUP BY key, sample) AS d LEFT JOIN main.items AS i ON i.key = d.key AND i.sample = d.sample) "
        f"INSERT INTO run.items SELECT pos, key, sample, copies, COALESCE({_ready(options)}, 0), "
        "COALESCE(state NOT IN (SELECT value FROM json_each(:redo)), 0), since, state FROM known ORDER BY pos",
        {
            "redo": json.dumps(sorted(redo)),
            "save_to": options.place,
            "fresh": fresh_since,
            "now": time.time(),
        },
    )
    connection.execute("CREATE INDEX run.items_by_key ON items (key, sample)")
    connection.execute("CREATE INDEX run.items_by_age ON items (since, pos) WHERE ready = 0 AND open = 1")
    return _counted(connection, plan, options)


def _ready(options: Options) -> str:
    """The condition under which a row needs nothing more: its result is in the journal."""
    # `state = was` says that no stored file has gone or come back. What was finished before `fresh` may have expired,
    # and a time after `now` is that of a clock that was set. A saved row has an error where another run could not store
    # it in another location: that is nothing to this run, and `Journal` clears it.
    ended = (
        "state = was AND NOT (state = 'finished' AND :fresh > 0 AND finished_at NOT BETWEEN :fresh AND :now) "
        "AND state NOT IN ('intent', 'created') "
        "AND NOT (state = 'saved' AND error IS NOT NULL) "
        "AND state NOT IN (SELECT value FROM json_each(:redo))"
    )
    if options.place is None:
        return f"({ended} AND :save_to IS NULL)"
    return f"({ended} AND state != 'finished' AND (state != 'saved' OR stored_in = :save_to))"


def _counted(connection: sqlite3.Connection, plan: Plan, options: Options) -> Plan:
    """Fill in the numbers."""
    rows, invalid = connection.execute("SELECT COUNT(*), COUNT(problem) FROM run.rows").fetchone()
    problems = connection.execute(
        "SELECT pos, problem FROM run.rows WHERE problem IS NOT NULL ORDER BY pos LIMIT ?", (_SHOWN,)
    )
    distinct, to_pay, in_flight, intended, gone = map(int, connection.execute(_COUNT).fetchone())
    most = options.cost.most
    cost = None if most is None else most * (to_pay + intended)  # intents may have come to nothing
    return replace(
        plan,
        rows=rows,
        invalid=invalid,
        distinct=distinct,
        in_flight=in_flight,
        gone=gone,
        cached=distinct - to_pay - in_flight - gone,
        to_pay=to_pay,
        uploads=connection.execute(_UPLOADS, (FILE,)).fetchone()[0],
        cost=cost,
        cost_with_retries=None if cost is None else cost * (1 + options.retries),
        problems=tuple(Problem(*each) for each in problems),
    )
