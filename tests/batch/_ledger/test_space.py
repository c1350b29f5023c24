"""Disks that are full: that of the journal, or that of the rows of a run."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from replicate_kit import BatchError, Client
from replicate_kit.batch._ledger import locks, space, sqlite
from replicate_kit.batch._ledger.database import explained
from replicate_kit.batch._ledger.locks import RunLock
from replicate_kit.batch._plan.spool import Spool
from replicate_kit.errors import JournalError, ReplicateError

from ..conftest import Service, numbers

pytestmark = pytest.mark.usefixtures("closed_databases")


@contextmanager
def small(monkeypatch: pytest.MonkeyPatch, which: str, more: int) -> Iterator[None]:
    """Let the journal, or the file in which the rows of a run wait, grow by a few pages only."""
    with monkeypatch.context() as patches:
        if which == "journal":
            open_journal = sqlite.open_journal
            patches.setattr(sqlite, "open_journal", lambda path: _limited(open_journal(path), more))
        else:
            made = Spool.__init__

            def make(self: Spool, folder: Path) -> None:
                made(self, folder)
                _limited(self._db, more)

            patches.setattr(Spool, "__init__", make)
        yield


def _limited(connection: sqlite3.Connection, more: int) -> sqlite3.Connection:
    """Let a database grow by some pages."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + more}")
    return connection


@pytest.mark.slow
@pytest.mark.parametrize("more", [0, 1, 3, 8, 20])
@pytest.mark.parametrize("which", ["journal", "spool"])
def test_a_full_disk_is_named_and_nothing_is_lost(
    service: Service, client: Client, journal: Path, monkeypatch: pytest.MonkeyPatch, which: str, more: int
) -> None:
    rows = [{"n": number} for number in range(700)]
    with small(monkeypatch, which, more), pytest.raises(ReplicateError) as caught:
        list(client.map("acme/double", rows, journal=journal, creates_per_minute=60000))
    assert isinstance(caught.value, BatchError | JournalError)
    said = str(caught.value)
    assert "Free some space" in said
    assert (f"The journal {str(journal)!r}" in said.splitlines()[0]) == (which == "journal")
    assert ("REPLICATE_KIT_SPOOL" in said) == (which == "spool")
    if isinstance(caught.value, BatchError):
        assert all(each.output == 2 * each.index for each in caught.value.results)
    results = list(client.map("acme/double", rows, journal=journal, creates_per_minute=60000))
    assert [each.output for each in results] == [2 * number for number in range(700)]
    assert service.creates == 700


SCRIPT = """
import resource, sys
from replicate_kit import Client
from replicate_kit.backends.mock import MockBackend
from replicate_kit.batch._engine import requests
from replicate_kit.errors import ReplicateError
from replicate_kit.simulator import Simulator

simulator = Simulator()
requests.SETTLING = 0.0  # it acts and lists at once


@simulator.model("acme/echo", workers=64)
def echo(text: str) -> str:
    return text * 3


journal, most = sys.argv[1], int(sys.argv[2])
rows = [{"text": f"{number} " + "x" * 3000} for number in range(300)]
client = Client(backend=MockBackend(simulator), poll_interval=0.02, timeout=0.5)
free = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, free[1]))
try:
    list(client.map("acme/echo", rows, journal=journal))
except ReplicateError as error:
    print(type(error).__name__, str(error).splitlines()[0])
resource.setrlimit(resource.RLIMIT_FSIZE, free)
results = list(client.map("acme/echo", rows, journal=journal))
print(len(results), all(each.error is None for each in results), simulator.created)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
@pytest.mark.parametrize("most", [20_000, 900_000, 1_500_000, 2_500_000])
def test_a_limit_of_the_process_is_met_as_a_full_disk(journal: Path, most: int) -> None:
    command = [sys.executable, "-c", SCRIPT, str(journal), str(most)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    first, second = run.stdout.splitlines()
    assert "a limit for files is reached (ulimit -f, quotas)" in first, (first, run.stderr)
    assert second == "300 True 300"


def test_a_folder_without_room_for_locks_says_so(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(locks, "_locked", full)
    with pytest.raises(JournalError, match="Free some space in"):
        RunLock(journal)


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (sqlite3.OperationalError("database or disk is full"), True),
        (OSError(errno.ENOSPC, "no space"), True),
        (OSError(errno.EFBIG, "too big"), True),
        (OSError(errno.EACCES, "denied"), False),
        (sqlite3.OperationalError("database is locked"), False),
    ],
)
def test_errors_of_space_are_told_from_others(error: Exception, is_full: bool, journal: Path) -> None:
    assert space.is_of_space(error) is is_full
    assert ("Free some space" in str(explained(error, journal))) is is_full


def test_results_are_read_while_the_disk_is_full(
    client: Client, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(client.map("acme/double", numbers(50), journal=journal))
    with small(monkeypatch, "journal", 2), pytest.raises(BatchError) as caught:
        list(client.map("acme/double", numbers(2000), journal=journal, creates_per_minute=60000))
    assert [each.output for each in caught.value.results][:50] == [2 * number for number in range(50)]


def test_rows_whose_file_keeps_its_name_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EPERM, "not yours")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(JournalError, match="not yours"):
        Spool(tmp_path)
