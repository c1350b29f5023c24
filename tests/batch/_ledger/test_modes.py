"""Nobody but its owner can read a journal, and those with whom it is shared know of each other's runs."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from replicate_kit import Client
from replicate_kit.batch import journals
from replicate_kit.batch._ledger.guard import rescued
from replicate_kit.batch._ledger.locks import RunLock, is_alive
from replicate_kit.batch._ledger.tables import make_private, open_journal
from replicate_kit.errors import JournalError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="files have no such modes")


def modes(folder: Path) -> set[int]:
    return {each.stat().st_mode & 0o777 for each in folder.iterdir()}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_journal_is_its_owners_from_the_beginning(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        connection = open_journal(tmp_path / "j.sqlite")
        connection.execute("CREATE TABLE x (y)")
        assert {each.name for each in tmp_path.iterdir()} == {"j.sqlite", "j.sqlite-wal", "j.sqlite-shm"}
        assert modes(tmp_path) == {0o600}
        connection.close()
    finally:
        os.umask(before)


def test_one_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    # SQLite makes files as 644 at most: who gave a group the right to write has meant it.
    for mode, after in (
        *((0o644, 0o600), (0o604, 0o600), (0o600, 0o600)),
        *((0o666, 0o660), (0o664, 0o660), (0o660, 0o660), (0o640, 0o640)),
    ):
        open_journal(path).close()
        path.chmod(mode)
        reader = sqlite3.connect(path)
        open_journal(path).close()
        assert path.stat().st_mode & 0o777 == after
        reader.close()
        path.unlink()


def test_a_run_leaves_nothing_that_others_can_read(tmp_path: Path) -> None:
    list(Client(backend="mock").map("demo/poet", [{"prompt": "sea"}], journal=tmp_path / "j.sqlite"))
    assert {each & 0o077 for each in modes(tmp_path)} == {0}


def test_where_a_file_cannot_be_linked_the_journal_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    make_private(tmp_path / "j.sqlite")
    assert list(tmp_path.iterdir()) == []
    open_journal(tmp_path / "j.sqlite").close()
    open_journal(tmp_path / "j.sqlite").close()
    assert modes(tmp_path) == {0o600}


GROUP = 64_000
RUN = """
import json, os, sys
from pathlib import Path
from replicate_kit.batch._ledger.guard import rescued
from replicate_kit.batch._ledger.locks import RunLock, is_alive
from replicate_kit.errors import JournalError
# Only now: another user may not read what is imported.
os.setgroups([int(sys.argv[2])]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[3]))
os.umask(int(sys.argv[4], 8))
journal = Path(sys.argv[1])
lock = RunLock(journal)
def ask(run):
    try:
        return is_alive(journal, run)
    except JournalError as error:
        return str(error)
print(lock.id, flush=True)
for line in sys.stdin:
    print(json.dumps(ask(line.strip())), flush=True)
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can get to."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def users(shared: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start runs of other users of a group, on one journal."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        pytest.skip("only root can be somebody else")
    os.chown(shared, 0, GROUP)
    shared.chmod(0o2770)
    begun: list[subprocess.Popen[str]] = []

    def start(user: int, mask: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", RUN, str(shared / "j.sqlite"), str(GROUP), str(user), mask]
        begun.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return begun[-1]

    yield start
    for each in begun:
        each.communicate()


def say(process: subprocess.Popen[str], text: str | None = None) -> str:
    """Say a line to a process, and give the one that it answers."""
    assert process.stdin is not None
    assert process.stdout is not None
    if text is not None:
        process.stdin.write(f"{text}\n")
        process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.mark.parametrize("mask", ["002", "022", "027", "077"])
def test_users_who_share_a_journal_know_of_each_others_runs(
    shared: Path, users: Callable[..., subprocess.Popen[str]], mask: str
) -> None:
    journal = shared / "j.sqlite"
    open_journal(journal).close()
    os.chown(journal, 64_001, GROUP)
    journal.chmod(0o660)
    first = say(one := users(64_001, mask))
    second = say(two := users(64_002, mask))
    assert say(two, first) == say(one, second) == "true"
    one.kill()
    one.communicate()
    assert say(two, first) == "false"


def test_a_run_of_which_nothing_tells_whether_it_lives_is_not_taken_for_dead(
    shared: Path, users: Callable[..., subprocess.Popen[str]]
) -> None:
    # There is no journal yet that says who shares it.
    first = say(users(64_001, "002"))
    say(two := users(64_002, "002"))
    assert "its lock" in (told := say(two, first))
    assert "chmod g+r" in told


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_where_no_file_can_be_opened_a_run_counts_as_living(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    lock = RunLock(tmp_path / "j.sqlite")
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert is_alive(tmp_path / "j.sqlite", lock.id)
    lock.release()
    assert not is_alive(tmp_path / "j.sqlite", lock.id)


@pytest.mark.parametrize("linked", [True, False], ids=["with links", "without links"])
def test_the_copy_of_a_lost_journal_is_its_owners(
    tmp_path: Path, linked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    connection = open_journal(tmp_path / "j.sqlite")
    if not linked:
        monkeypatch.setattr(os, "link", refuse)
    before = os.umask(0)
    try:
        copy = rescued(connection, tmp_path / "j.sqlite")
    finally:
        os.umask(before)
        connection.close()
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_journal_is_described_though_nothing_tells_whether_it_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    journal = tmp_path / "j.sqlite"
    open_journal(journal).close()
    lock = RunLock(journal)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert journals.describe(journal).in_use
        with pytest.raises(JournalError, match="its lock"):
            journals.remove(journal)
    lock.release()
    assert journal.exists()
    assert not journals.describe(journal).in_use
