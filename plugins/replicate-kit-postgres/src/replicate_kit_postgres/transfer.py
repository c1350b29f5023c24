"""All that a journal holds, read and written value by value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from replicate_kit.batch.ledgers import Content, EarlierTry, KeptRow, Key, Name, PastRun, Pin, Used
from replicate_kit_postgres.connecting import Connection
from replicate_kit_postgres.reading import entry_columns, entry_of
from replicate_kit_postgres.tables import Tables
from replicate_kit_postgres.writing import USE

__all__ = ["holds_anything", "read_contents", "write_contents"]

_PAGE = 1000  # rows that are in memory at once

# A run that has not begun has written nothing.
_RUNS = (
    "SELECT number, id, model, COALESCE(rows, 0), extract(epoch FROM began_at)::float8, account, shown, label "
    "FROM {runs} WHERE number > %s AND model IS NOT NULL ORDER BY number LIMIT %s"
)
_PINS = "SELECT reference, version, extract(epoch FROM pinned_at)::float8 FROM {pins} ORDER BY pinned_at, reference"
_ROWS = (
    "SELECT i.number, i.model, i.input, i.attempts, COALESCE(r.id, ''), "
    f"CASE i.state WHEN 'intent' THEN s.label END, p.label, {entry_columns()} FROM {{items}} AS i "
    "LEFT JOIN {runs} AS r ON r.number = i.run LEFT JOIN {runs} AS s ON s.number = i.sender "
    "LEFT JOIN {runs} AS p ON p.number = i.payer AND (i.prediction_id IS NOT NULL OR i.status = 'unknown') "
    "WHERE i.number > %s ORDER BY i.number LIMIT %s"
)
_EARLIER = (
    "SELECT t.number, t.key, t.sample, t.prediction_id, t.status, t.error, t.seconds, t.cost, t.ended_at, p.label "
    "FROM {attempts} AS t LEFT JOIN {runs} AS p ON p.number = t.payer "
    "WHERE t.number > %s ORDER BY t.number LIMIT %s"
)
_USED = "SELECT id, used::text FROM {predictions} WHERE used IS NOT NULL AND id > %s ORDER BY id LIMIT %s"
_NAMES = "SELECT folder, name, key, sample FROM {names} WHERE (folder, name) > (%s, %s) ORDER BY folder, name LIMIT %s"

# These runs are over: what they have left open is nobody's.
_ADD_RUN = (
    "INSERT INTO {runs} (id, model, rows, began_at, account, shown, label, over, lease_until, seen_at) "
    "VALUES (%s, %s, %s, to_timestamp(%s), %s, %s, %s, true, clock_timestamp(), clock_timestamp())"
)
_ADD_PIN = "INSERT INTO {pins} VALUES (%s, %s, to_timestamp(%s))"
_ADD_ROWS = (
    "COPY {items} (key, sample, state, run, sender, payer, model, input, attempts, before, prediction_id, status, "
    "output, stored, stored_in, error, seconds, cost, finished_at, fingerprint, sent_at, settled_at, clock) FROM STDIN"
)
_ADD_EARLIER = (
    "COPY {attempts} (key, sample, prediction_id, status, error, seconds, cost, ended_at, payer) FROM STDIN"
)
_ADD_NAMES = "COPY {names} (folder, name, key, sample) FROM STDIN"
_OWN = (
    "INSERT INTO {{predictions}} SELECT prediction_id, key, sample FROM {{{0}}} WHERE prediction_id IS NOT NULL "
    "ON CONFLICT DO NOTHING"
)


def holds_anything(db: Connection, tables: Tables) -> bool:
    """Whether a journal is not empty: a run has begun with it."""
    looks = [f"EXISTS (SELECT 1 FROM {{{each}}})" for each in ("items", "attempts", "names", "pins")]
    looks.append("EXISTS (SELECT 1 FROM {runs} WHERE model IS NOT NULL)")
    found = db.execute(tables.sql(f"SELECT {' OR '.join(looks)}")).fetchone()
    return found is None or bool(found[0])


def read_contents(db: Connection, tables: Tables) -> Iterator[Content]:
    """Give all that there is, page by page."""
    yield from (PastRun(*run) for run in _paged(db, tables, _RUNS))
    yield from map(Pin._make, db.execute(tables.sql(_PINS), binary=True))
    for model, input, attempts, run, sender, payer, *entry in _paged(db, tables, _ROWS, 0):
        yield KeptRow(entry_of(entry), model, input, attempts, run, sender, payer)
    for key, sample, *rest in _paged(db, tables, _EARLIER):
        yield EarlierTry(Key(key, sample), *rest)
    id = ""
    while page := db.execute(tables.sql(_USED), [id, _PAGE], binary=True).fetchall():
        yield from (Used(id, json.loads(used)) for id, used in page)
        id = page[-1][0]
    last = ("", "")
    while page := db.execute(tables.sql(_NAMES), [*last, _PAGE], binary=True).fetchall():
        yield from (Name(folder, name, Key(key, sample)) for folder, name, key, sample in page)
        last = page[-1][:2]


def _paged(db: Connection, tables: Tables, statement: str, *values: Any) -> Iterator[Sequence[Any]]:
    """Read rows by their numbers, and give them without."""
    number = 0
    while page := db.execute(tables.sql(statement), [*values, number, _PAGE], binary=True).fetchall():
        yield from (row[1:] for row in page)
        number = page[-1][0]


def write_contents(db: Connection, tables: Tables, contents: Iterable[Content]) -> None:
    """Write it, as it comes."""
    runs, labels = dict[str, int](), dict[str | None, int]()
    for kind, group in groupby(contents, type):
        values: Iterable[Any] = group
        if kind is PastRun:
            db.cursor().executemany(tables.sql(_ADD_RUN), values)
            found = db.execute(tables.sql("SELECT id, number, label FROM {runs}")).fetchall()
            runs = {id: number for id, number, _ in found}
            labels = {label: number for _, number, label in found if label is not None}
        elif kind is Pin:
            db.cursor().executemany(tables.sql(_ADD_PIN), values)
        elif kind is KeptRow:
            _copy(db, tables, _ADD_ROWS, (_flat(each, runs, labels) for each in values))
            db.execute(tables.sql(_OWN.format("items")))
        elif kind is EarlierTry:
            rows = ([*each.key, *each[1:-1], labels.get(each.payer)] for each in values)
            _copy(db, tables, _ADD_EARLIER, rows)
            db.execute(tables.sql(_OWN.format("attempts")))
        elif kind is Used:
            used = (([each.prediction_id], [json.dumps(each.metrics)]) for each in values)
            db.cursor().executemany(tables.sql(USE), used)
        else:
            _copy(db, tables, _ADD_NAMES, ([each.folder, each.name, *each.key] for each in values))


def _flat(row: KeptRow, runs: dict[str, int], labels: dict[str | None, int]) -> list[Any]:
    """The columns of a row. Of runs with one label any will do, and 0 is none that is there."""
    entry = row.entry
    whose = [runs.get(row.run, 0), labels.get(row.sender), labels.get(row.payer)]
    values = [*entry.key, entry.state, *whose, row.model, row.input, row.attempts, entry.before, *entry[4:13]]
    times = [entry.sent_at or None, entry.settled_at or None]
    return [*values, entry.fingerprint or None, *times, entry.clock]


def _copy(db: Connection, tables: Tables, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    """Send rows as one stream."""
    with db.cursor() as cursor, cursor.copy(tables.sql(statement)) as stream:
        for row in rows:
            stream.write_row(row)
