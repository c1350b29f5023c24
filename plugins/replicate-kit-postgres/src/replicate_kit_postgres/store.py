"""What the entry points `postgresql` and `postgres` name: the store of journals in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicate_kit_postgres.addresses import address_of
from replicate_kit_postgres.ledger import PostgresLedger

if TYPE_CHECKING:
    from replicate_kit_postgres.administrator import PostgresAdministrator

__all__ = ["PostgresStore", "store"]


class PostgresStore:
    """Makes ledgers for URLs as `postgresql://host/db?prefix=wombats`."""

    def ledger(self, url: str, /) -> PostgresLedger:
        """Make the ledger of a run; its tables are made when it is opened. Raises `ConfigError` for a URL of no use."""
        return PostgresLedger(address_of(url))

    def administrator(self, url: str, /, *, make: bool = False) -> PostgresAdministrator:
        """Open a journal that exists. Where there is none, make its tables, or raise `JournalError`."""
        from replicate_kit_postgres.administrator import PostgresAdministrator

        return PostgresAdministrator(address_of(url), make=make)


store = PostgresStore()
"""The one store: what differs between journals is in their URLs."""
