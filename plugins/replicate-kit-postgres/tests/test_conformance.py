"""The journal in PostgreSQL passes what every ledger has to pass: directly, and through PgBouncer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from replicate_kit.batch.ledgers import Ledger, LedgerStore
from replicate_kit.testing.suites import LeasedLedgerSuite, LedgerSuite, ledger_machine
from replicate_kit_postgres import recording
from replicate_kit_postgres.ledger import PostgresLedger
from replicate_kit_postgres.store import PostgresStore
from replicate_kit_postgres.testing import Bouncer, Postgres

from .ledgers import expire

pytestmark = pytest.mark.slow


async def kill(ledger: Ledger) -> None:
    """Stop what renews the lease, as it is when a process has died, and let the time pass for which it lasts."""
    assert isinstance(ledger, PostgresLedger)
    assert ledger._lease is not None
    ledger._lease.end()
    ledger._lease.join()
    with psycopg.connect(**ledger.address.parameters) as db:
        statement = "UPDATE {runs} SET lease_until = clock_timestamp() WHERE number = %s"
        db.execute(ledger._tables.sql(statement), [ledger._number])
    ledger._lease = None  # so that `close` tells nobody
    await ledger.close()


class TestPostgresLedger(LedgerSuite, LeasedLedgerSuite):
    @pytest.fixture
    def store(self) -> LedgerStore:
        return PostgresStore()

    @pytest.fixture
    def url(self, server: Postgres) -> str:
        return f"{server.url()}?prefix={server.new()}"

    async def kill(self, ledger: Ledger) -> None:
        await kill(ledger)

    async def lapse(self, ledger: Ledger) -> None:
        assert isinstance(ledger, PostgresLedger)
        expire(ledger)


class TestThroughPgBouncer(TestPostgresLedger):
    @pytest.fixture
    def url(self, server: Postgres, bouncer: Bouncer) -> str:
        return f"{server.url(port=bouncer)}?schema={server.new()}"


class TestLargeOutputs(TestPostgresLedger):
    """As they are written: after a look at which statement is theirs."""

    @pytest.fixture(autouse=True)
    def large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recording, "_LARGE", -1)


class _Servers:
    """Where the machines make their ledgers: they ask for them outside of pytest's fixtures."""

    server: Postgres
    bouncer: Bouncer


@pytest.fixture(scope="module")
def direct(server: Postgres) -> None:
    _Servers.server = server


@pytest.fixture(scope="module")
def pooled(server: Postgres, bouncer: Bouncer) -> None:
    _Servers.server, _Servers.bouncer = server, bouncer


@contextmanager
def new_store() -> Iterator[tuple[LedgerStore, str]]:
    yield PostgresStore(), f"{_Servers.server.url()}?prefix={_Servers.server.new()}"


@contextmanager
def pooled_store() -> Iterator[tuple[LedgerStore, str]]:
    yield PostgresStore(), f"{_Servers.server.url(port=_Servers.bouncer)}?prefix={_Servers.server.new()}"


@pytest.mark.usefixtures("direct")
class TestPostgresMachine(ledger_machine(new_store, kill).TestCase):  # type: ignore[misc]
    pass


@pytest.mark.usefixtures("pooled")
class TestMachineThroughPgBouncer(ledger_machine(pooled_store, kill).TestCase):  # type: ignore[misc]
    pass
