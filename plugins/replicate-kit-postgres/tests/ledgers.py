"""Ledgers of one test, in asyncio, and rows for them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from replicate_kit.batch.ledgers import Created, Intent, Key, Run
from replicate_kit_postgres.ledger import PostgresLedger
from replicate_kit_postgres.store import store

__all__ = ["expire", "intent", "opened", "prediction"]

KEYS = [Key(bytes([n])) for n in range(8)]


def intent(n: int) -> Intent:
    """A create of a row."""
    return Intent(KEYS[n], '{"prompt":"a wombat"}', b"", 1.0, 61.0)


def prediction(n: int) -> Created:
    """The prediction of a row."""
    return Created(KEYS[n], f"p{n}")


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[PostgresLedger]:
    """The ledger of a run that may pay."""
    ledger, id = store.ledger(url), uuid.uuid4().hex
    try:
        await ledger.open(id)
        await ledger.begin(Run(id, "acme/poet", **options))
        yield ledger
    finally:
        await ledger.close()


def expire(ledger: PostgresLedger) -> None:
    """Let the time pass for which a lease lasts: the run has not been heard of."""
    with psycopg.connect(**ledger.address.parameters) as db:
        statement = "UPDATE {runs} SET lease_until = clock_timestamp() WHERE number = %s"
        db.execute(ledger._tables.sql(statement), [ledger._number])
