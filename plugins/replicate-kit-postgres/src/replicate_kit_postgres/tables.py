"""The tables of a journal: made by whoever comes first, and checked by all others."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, LiteralString

import psycopg

from replicate_kit.errors import JournalError
from replicate_kit_postgres.addresses import Address

__all__ = ["SETTINGS", "VERSION", "Tables", "check", "find", "lock", "make"]

SETTINGS: LiteralString = (
    "set_config('idle_in_transaction_session_timeout', '10000', true), "
    "set_config('synchronous_commit', 'on', true), set_config('statement_timeout', '0', true), "
    "set_config('lock_timeout', '0', true)"
)
"""What holds for a transaction that writes, whatever the database's defaults are.

A process that is stopped within it holds others up for ten seconds at most, and a commit waits for the disk. Hosted
servers limit statements, and how long they wait for others; ours have limits of their own.
"""

VERSION = 2
"""The version of the tables. A package that knows less refuses them."""

_NAMES = ("meta", "runs", "items", "attempts", "predictions", "names", "pins")

# `number` counts rows in the order in which they came. `run` is the run that wrote to a row last, `sender` the one that
# has sent its latest create, `payer` the one that has sent the create of its prediction. `predictions` has the owner of
# each prediction that any row has or had, and what it used of metrics: its primary key decides between processes.
# A row is changed three times, and no column that has an index: there is room for that beside it (HOT).
_MAKE = """
CREATE TABLE {meta} (version integer NOT NULL, changed_at timestamptz NOT NULL, shared text);
INSERT INTO {meta} VALUES ({version}, clock_timestamp());
CREATE TABLE {runs} (
    number bigserial PRIMARY KEY, id text NOT NULL UNIQUE, model text, rows bigint, label text, account text,
    shown text, lease_until timestamptz NOT NULL, over boolean NOT NULL DEFAULT false, began_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
);
CREATE INDEX ON {runs} (account, number) WHERE account IS NOT NULL;
CREATE INDEX ON {runs} (id) WHERE NOT over;
CREATE TABLE {items} (
    key bytea NOT NULL, sample integer NOT NULL, number bigserial UNIQUE, state text NOT NULL, run bigint NOT NULL,
    sender bigint, model text NOT NULL, input text NOT NULL, before text, fingerprint bytea,
    attempts integer NOT NULL DEFAULT 0, sent_at float8, settled_at float8, clock text NOT NULL DEFAULT 'server',
    prediction_id text, payer bigint, status text, output text, stored text, stored_in text, error text,
    seconds float8, cost float8, finished_at float8, PRIMARY KEY (key, sample)
) WITH (fillfactor = 60);
CREATE TABLE {attempts} (
    number bigserial PRIMARY KEY, prediction_id text, key bytea NOT NULL, sample integer NOT NULL, payer bigint,
    status text, error text, seconds float8, cost float8, ended_at float8
);
CREATE INDEX ON {attempts} (key, sample);
CREATE TABLE {predictions} (id text PRIMARY KEY, key bytea NOT NULL, sample integer NOT NULL, used jsonb);
CREATE TABLE {names} (
    folder text NOT NULL, name text NOT NULL, key bytea NOT NULL, sample integer NOT NULL, PRIMARY KEY (folder, name)
);
CREATE TABLE {pins} (reference text PRIMARY KEY, version text NOT NULL, pinned_at timestamptz NOT NULL)
"""


class Tables:
    """The names of a journal's tables, and statements with them."""

    def __init__(self, schema: str, prefix: str) -> None:
        self.schema, self.prefix = schema, prefix
        self._names = {each: f'"{schema}"."{prefix}_{each}"' for each in _NAMES}
        self.sql = lru_cache(maxsize=None)(self._sql)

    def _sql(self, statement: str) -> bytes:
        """A statement with names of tables in braces; psycopg takes no text that was put together, but bytes."""
        return statement.format_map(self._names).encode()

    @property
    def all(self) -> tuple[str, ...]:
        """The names of all of them."""
        return tuple(self._names.values())


def find(db: psycopg.Connection[Any], address: Address) -> Tables | None:
    """The tables of a journal, None where it is not there. Raises `JournalError` for those of a newer package."""
    tables = Tables(_schema(db, address), address.prefix)
    if not _is_there(db, tables):
        return None
    check(db, address, tables)
    return tables


def lock(db: psycopg.Connection[Any], address: Address) -> Tables:
    """Have the making and unmaking of a journal to ourselves till the end of the transaction."""
    tables = Tables(_schema(db, address), address.prefix)
    key = f"replicate-kit {tables.schema}.{tables.prefix}"
    db.execute(f"SELECT {SETTINGS}")
    db.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
    return tables


def make(db: psycopg.Connection[Any], address: Address, tables: Tables) -> None:
    """Make the tables of a journal that is not there, else check them. The caller has the lock."""
    if _is_there(db, tables):
        check(db, address, tables)
        return
    if not db.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [tables.schema]).fetchone():
        # Others may make it at the same time, for a journal with another prefix.
        db.execute(f'CREATE SCHEMA IF NOT EXISTS "{tables.schema}"'.encode())
    for statement in _MAKE.replace("{version}", str(VERSION)).split(";"):
        db.execute(tables.sql(statement))


def check(db: psycopg.Connection[Any], address: Address, tables: Tables) -> None:
    """Refuse tables of another version."""
    found = db.execute(tables.sql("SELECT version FROM {meta}")).fetchone()
    version = None if found is None else found[0]
    if version == VERSION:
        return
    if version is None or version < VERSION:
        raise JournalError(
            f"The journal {address.url!r} is of a version ({version}) that this package does not know. Finish its rows "
            "with the version of replicate-kit-postgres that made it, or pass another prefix= in the URL."
        )
    raise JournalError(
        f"The journal {address.url!r} was written by a newer replicate-kit-postgres (its version is {version}, known "
        f"is {VERSION}). Update with: pip install -U replicate-kit-postgres"
    )


def _schema(db: psycopg.Connection[Any], address: Address) -> str:
    """The schema of the tables: the one that the URL names, else the one where tables are made without a name."""
    if address.schema is not None:
        return address.schema
    found = db.execute("SELECT current_schema()").fetchone()
    schema = None if found is None else found[0]
    if schema is None or set(schema) & set("\"'%{};\\"):  # those have a meaning in statements
        raise JournalError(
            f"The journal {address.url!r} cannot be in the schema where this database makes tables ({schema}). Pass "
            "one in the URL, such as ?schema=replicate_kit: it is made where it is not there."
        )
    return str(schema)


def _is_there(db: psycopg.Connection[Any], tables: Tables) -> bool:
    """Whether a journal has been made."""
    found = db.execute("SELECT to_regclass(%s)", [f'"{tables.schema}"."{tables.prefix}_meta"']).fetchone()
    return found is not None and found[0] is not None
