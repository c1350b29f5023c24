"""Reads rows that rules are about, locked, and writes what the rules have made of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple
from typing import Any

from replicate_kit.batch.ledgers import Key
from replicate_kit_postgres.connecting import Connection
from replicate_kit_postgres.rows import Row, Rows
from replicate_kit_postgres.tables import Tables

__all__ = ["USE", "read_rows", "split", "write_rows"]

_TYPES = {
    "key": "bytea",
    "sample": "integer",
    "number": "bigint",
    "run": "bigint",
    "sender": "bigint",
    "payer": "bigint",
    "fingerprint": "bytea",
    "attempts": "integer",
    "has_output": "boolean",
} | dict.fromkeys(("sent_at", "settled_at", "seconds", "cost", "finished_at"), "float8")
# In the order of `Row`'s fields.
_READ = (
    *(
        "key",
        "sample",
        "number",
        "state",
        "run",
        "sender",
        "model",
        "before",
        "fingerprint",
        "attempts",
        "sent_at",
    ),
    *(
        "settled_at",
        "clock",
        "prediction_id",
        "payer",
        "status",
        "stored",
        "stored_in",
        "error",
        "seconds",
        "cost",
    ),
    "finished_at",
)
_WRITTEN = (*_READ, "input", "output", "has_output")
_SET = [each for each in _READ if each not in ("key", "sample", "number", "model")]
_INSERTED = [each for each in _WRITTEN if each not in ("number", "has_output")]


def _arrays(columns: Iterable[str]) -> str:
    """A table of arrays, one for each column."""
    names = list(columns)
    types = [_TYPES.get(each, "text") for each in names]
    # As text, psycopg writes bytes in a way that depends on the server's standard_conforming_strings.
    values = ", ".join(f"{'%b' if each == 'bytea' else '%s'}::{each}[]" for each in types)
    return f"unnest({values}) WITH ORDINALITY AS a ({', '.join(names)}, ordinal)"


# Locked in the order of the keys: two runs that want the same rows wait for each other, and not both in turn.
_LOCK = (
    f"SELECT {', '.join(f'i.{each}' for each in _READ)} FROM {_arrays(('key', 'sample'))} "
    "JOIN {items} AS i USING (key, sample) ORDER BY i.key, i.sample FOR UPDATE OF i"
)
_OWNERS = "SELECT id, key, sample FROM {predictions} WHERE id = ANY(%s)"
_DROP = f"DELETE FROM {{items}} AS i USING {_arrays(('key', 'sample'))} WHERE (i.key, i.sample) = (a.key, a.sample)"
_FREE = "DELETE FROM {predictions} WHERE id = ANY(%s)"
_NAME = (
    f"INSERT INTO {{predictions}} SELECT id, key, sample FROM {_arrays(('id', 'key', 'sample'))} ORDER BY id"
)
_ASIDE = (
    "INSERT INTO {attempts} (key, sample, prediction_id, payer, status, error, seconds, cost, ended_at) "
    "SELECT key, sample, prediction_id, payer, status, error, seconds, cost, finished_at FROM "
    + _arrays(
        ("key", "sample", "prediction_id", "payer", "status", "error", "seconds", "cost", "finished_at")
    )
)
_ADD = (
    f"INSERT INTO {{items}} ({', '.join(_INSERTED)}) SELECT {', '.join(_INSERTED)} FROM {_arrays(_WRITTEN)} "
    "ORDER BY ordinal"
)
_CHANGE = (
    f"UPDATE {{items}} AS i SET {', '.join(f'{each} = a.{each}' for each in _SET)}, "
    "input = COALESCE(a.input, i.input), output = CASE WHEN a.has_output THEN a.output ELSE i.output END "
    f"FROM {_arrays(_WRITTEN)} WHERE (i.key, i.sample) = (a.key, a.sample)"
)


USE = (
    "UPDATE {predictions} AS p SET used = a.used FROM unnest(%s::text[], %s::jsonb[]) AS a (id, used) "
    "WHERE p.id = a.id AND p.used IS NULL"
)
"""Notes what predictions used of metrics."""


def split(keys: Collection[Key]) -> tuple[list[bytes], list[int]]:
    """The two columns of keys."""
    return [each.digest for each in keys], [each.sample for each in keys]


def read_rows(db: Connection, tables: Tables, keys: Collection[Key], ids: Collection[str]) -> Rows:
    """Read and lock rows, and look up the owners of predictions."""
    asked = sorted(set(keys))
    found = db.execute(tables.sql(_LOCK), split(asked), binary=True).fetchall() if asked else []
    rows = [Row(Key(row[0], row[1]), *row[2:]) for row in found]
    owned = db.execute(tables.sql(_OWNERS), [list(ids)], binary=True).fetchall() if ids else []
    return Rows({each.key: each for each in rows}, {id: Key(key, sample) for id, key, sample in owned})


def write_rows(db: Connection, tables: Tables, rows: Rows) -> None:
    """Write what has changed. Fails where another process has made the same row, or taken a prediction, meanwhile."""
    if rows.gone:
        db.execute(tables.sql(_DROP), split(rows.gone))
    if rows.freed:
        db.execute(tables.sql(_FREE), [list(rows.freed)])
    if rows.named:
        db.execute(tables.sql(_NAME), [list(rows.named), *split(rows.named.values())])
    if rows.aside:
        columns = zip(*(_flat(astuple(each)) for each in rows.aside), strict=True)
        db.execute(tables.sql(_ASIDE), [list(each) for each in columns])
    changed = rows.changed.values()
    for statement, part in (
        (_ADD, [each for each in changed if each.number is None or each.key in rows.gone]),
        (_CHANGE, [each for each in changed if each.number is not None and each.key not in rows.gone]),
    ):
        if part:
            columns = zip(*(_flat(astuple(each)) for each in part), strict=True)
            db.execute(tables.sql(statement), [list(each) for each in columns])


def _flat(values: Sequence[Any]) -> list[Any]:
    """The values of columns, of which the first two are the key."""
    return [*values[0], *values[1:]]
