"""All that a journal in an SQLite file holds, read and written value by value."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from replicate_kit.batch._ledger.contents import Content, EarlierTry, KeptRow, PastRun, Pin, Used
from replicate_kit.batch._ledger.entries import Key, Name
from replicate_kit.batch._ledger.paying import LABEL, LABEL_OF_INTENT
from replicate_kit.batch._ledger.reading import entry_columns, entry_of
from replicate_kit.batch._ledger.spending import add_used

__all__ = ["holds_anything", "read_contents", "write_contents"]

Connection = sqlite3.Connection

_RUNS = (
    "SELECT r.id, r.model, COALESCE(r.rows, 0), r.began_at, a.token, a.prediction_id, l.label FROM runs AS r "
    "LEFT JOIN accounts AS a ON a.run = r.id LEFT JOIN labels AS l ON l.run = r.id ORDER BY r.rowid"
)
_PINS = "SELECT reference, version, pinned_at FROM pins ORDER BY rowid"
_ROWS = (
    "SELECT i.key, i.sample, i.model, i.input, i.attempts, i.run, "
    f"iif(i.state = 'intent', {LABEL_OF_INTENT}, NULL), {LABEL.format('i')}, {entry_columns()} FROM items AS i "
    "LEFT JOIN accounts AS a ON a.run = i.run ORDER BY i.rowid"
)
_EARLIER = (
    "SELECT t.key, t.sample, t.prediction_id, t.status, t.error, t.seconds, t.cost, t.ended_at, "
    f"{LABEL.format('t')} FROM attempts AS t ORDER BY t.rowid"
)
_NAMES = "SELECT folder, name, key, sample FROM names ORDER BY rowid"

_ADD_ROW = (
    "INSERT INTO items (key, sample, state, run, model, input, before, attempts, prediction_id, status, output, "
    "stored, stored_in, error, seconds, cost, finished_at, fingerprint, sent_at, settled_at, clock) "
    f"VALUES ({', '.join('?' * 21)})"
)
_ADD_TRY = (
    "INSERT OR REPLACE INTO attempts (key, sample, prediction_id, status, error, seconds, cost, ended_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_CREATOR = "INSERT OR REPLACE INTO creators VALUES (?, ?, ?, ?)"


def holds_anything(db: Connection) -> bool:
    """Whether a journal is not empty: a run has begun with it."""
    tables = " UNION ALL ".join(
        f"SELECT 1 FROM {each}" for each in ("runs", "items", "attempts", "names", "pins")
    )
    return db.execute(f"{tables} LIMIT 1").fetchone() is not None


def read_contents(db: Connection) -> Iterator[Content]:
    """Give all that there is, as it is read."""
    yield from map(PastRun._make, db.execute(_RUNS))
    yield from map(Pin._make, db.execute(_PINS))
    for digest, sample, model, input, attempts, run, sender, payer, *row in db.execute(_ROWS):
        entry = entry_of(Key(digest, sample), row, lambda _: "nobody")
        # A label may be noted of a create that somebody knows by now to be absent.
        yield KeptRow(entry, model, input, attempts, run, sender, payer if entry.is_known else None)
    for digest, sample, *rest in db.execute(_EARLIER):
        yield EarlierTry(Key(digest, sample), *rest)
    for id, metrics in db.execute("SELECT prediction_id, metrics FROM used ORDER BY rowid"):
        yield Used(id, json.loads(metrics))
    for folder, name, digest, sample in db.execute(_NAMES):
        yield Name(folder, name, Key(digest, sample))


def write_contents(db: Connection, contents: Iterable[Content]) -> None:
    """Write it, as it comes."""
    labels = dict[str, str | None]()
    for each in contents:
        match each:
            case PastRun():
                labels[each.id] = each.label
                _add_run(db, each)
            case Pin():
                db.execute("INSERT INTO pins VALUES (?, ?, ?)", each)
            case KeptRow():
                _add_row(db, each, labels)
            case EarlierTry():
                db.execute(_ADD_TRY, (*each.key, *each[1:-1]))
                _add_creator(db, each.key, each.prediction_id, each.payer, labels)
            case Used():
                add_used(db, [each])
            case Name():
                db.execute("INSERT INTO names VALUES (?, ?, ?, ?)", (each.folder, each.name, *each.key))


def _add_run(db: Connection, run: PastRun) -> None:
    """Add a run, with its account and its label."""
    db.execute("INSERT INTO runs VALUES (?, ?, ?, ?)", run[:4])
    if run.account is not None:
        db.execute("INSERT INTO accounts VALUES (?, ?, ?)", (run.id, run.account, run.shown))
    if run.label is not None:
        db.execute("INSERT INTO labels VALUES (?, ?)", (run.id, run.label))


def _add_row(db: Connection, row: KeptRow, labels: dict[str, str | None]) -> None:
    """Add a row, and whose its create and its prediction are; `labels` are those of the runs."""
    entry, key = row.entry, row.entry.key
    values: list[Any] = [*key, entry.state, row.run, row.model, row.input, entry.before, row.attempts]
    values += entry[4:13]
    values += [entry.fingerprint or None, entry.sent_at or None, entry.settled_at or None, entry.clock]
    db.execute(_ADD_ROW, values)
    if entry.is_known:
        _add_creator(db, key, entry.prediction_id, row.payer, labels)
    if entry.state == "intent" and row.sender != labels.get(row.run):
        db.execute(
            "INSERT INTO senders VALUES (?, ?, ?, ?)", (*key, entry.sent_at, _run_of(row.sender, labels))
        )


def _add_creator(
    db: Connection, key: Key, id: str | None, label: str | None, labels: dict[str, str | None]
) -> None:
    """Note whose a prediction is."""
    if label is not None:
        db.execute(_ADD_CREATOR, (id or "", *key, _run_of(label, labels)))


def _run_of(label: str | None, labels: dict[str, str | None]) -> str:
    """A run with a label, whichever; for none one that is not there."""
    return next((id for id, its in labels.items() if its == label), "") if label else ""
