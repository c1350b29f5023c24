"""The journal in a file passes what every ledger has to pass."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from replicate_kit.batch._ledger.sqlite import SqliteLedger, SqliteStore
from replicate_kit.batch.ledgers import Ledger, LedgerStore
from replicate_kit.testing.suites import LedgerSuite, SharedLedgerSuite, ledger_machine

pytestmark = pytest.mark.slow


@contextmanager
def new_store() -> Iterator[tuple[LedgerStore, str]]:
    with tempfile.TemporaryDirectory() as folder:
        yield SqliteStore(), str(Path(folder, "journal.sqlite"))


async def kill(ledger: Ledger) -> None:
    """Let go of the lock and the file, as the system does for a process that has died."""
    assert isinstance(ledger, SqliteLedger)
    await ledger.close()


class TestSqliteLedger(LedgerSuite, SharedLedgerSuite):
    @pytest.fixture
    def store(self) -> LedgerStore:
        return SqliteStore()

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return str(tmp_path / "journal.sqlite")

    async def kill(self, ledger: Ledger) -> None:
        await kill(ledger)


TestSqliteMachine = ledger_machine(new_store, kill).TestCase
