"""The journal as a file: what it survives, what it refuses, and who may use it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import BatchError, Client
from replicate_kit.batch import journals
from replicate_kit.batch._ledger import archive, locks, places
from replicate_kit.batch._ledger.database import Database, explained
from replicate_kit.batch._ledger.locks import RunLock, is_alive
from replicate_kit.batch._ledger.tables import APPLICATION, VERSION, open_journal
from replicate_kit.errors import ConfigError, InputError, JournalError, NotFound

from ..conftest import Service, numbers


def test_a_journal_of_a_newer_version_is_refused(client: Client, journal: Path) -> None:
    open_journal(journal).close()
    with sqlite3.connect(journal) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(JournalError, match=r"newer replicate-kit.*pip install -U"):
        list(client.map("acme/double", numbers(1), journal=journal))


ALTERED = {
    "an older version": "PRAGMA user_version = 0",
    "without a column": "ALTER TABLE items DROP COLUMN clock",
    "with a column of another name": "ALTER TABLE attempts RENAME COLUMN cost TO price",
    "without a table": "DROP TABLE pins",
}


@pytest.mark.parametrize("how", sorted(ALTERED))
@pytest.mark.parametrize(
    "act", [journals.describe, journals.retry, lambda path: list(journals.entries(path))]
)
def test_a_journal_of_another_version_is_refused_with_words(
    service: Service, client: Client, journal: Path, how: str, act: Callable[[Path], Any]
) -> None:
    list(client.map("acme/double", numbers(3), journal=journal))
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute(ALTERED[how])
    for use in (act, lambda path: list(client.map("acme/double", numbers(5), journal=path))):
        with pytest.raises(JournalError, match=r"another version of replicate-kit .* pass another file"):
            use(journal)
    assert service.creates == 3


@pytest.mark.parametrize(
    "addition", ["ALTER TABLE items ADD COLUMN mood TEXT", "CREATE TABLE moods (x)", "DROP TABLE accounts"]
)
def test_what_another_version_has_more_does_no_harm(
    service: Service, client: Client, journal: Path, addition: str
) -> None:
    list(client.map("acme/double", numbers(3), journal=journal))
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute(addition)
    assert len(list(client.map("acme/double", numbers(5), journal=journal))) == 5
    assert service.creates == 5


@pytest.mark.parametrize("cut", [True, False])
def test_a_log_without_its_journal_is_not_thrown_away(
    service: Service, client: Client, journal: Path, cut: bool
) -> None:
    list(client.map("acme/double", numbers(3), journal=journal))
    kept = journal.read_bytes()
    if cut:
        journal.write_bytes(b"")
    else:
        journal.unlink()
    log = journal.with_name("journal.sqlite-wal")
    log.write_bytes(b"x" * 1000)
    with pytest.raises(JournalError, match="move the log away"):
        list(client.map("acme/double", numbers(3), journal=journal))
    assert (log.stat().st_size, service.creates) == (1000, 3)
    journal.write_bytes(kept)
    assert len(list(client.map("acme/double", numbers(3), journal=journal))) == 3
    assert service.creates == 3


def _notes(path: Path) -> None:
    path.write_bytes(b"these are notes" * 1000)


def _table(path: Path, *pragmas: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    connection.close()


FOREIGN: dict[str, Callable[[Path], None]] = {
    "notes": _notes,
    "a few bytes": lambda path: path.write_bytes(b"key=1\n") and None,
    "a picture": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(5000)) and None,
    "a database": _table,
    "a database of another program": lambda path: _table(path, "application_id = 252006674"),
    "a database with a version": lambda path: _table(path, "user_version = 1"),
    "a journal of a version to come": lambda path: _table(
        path, f"application_id = {APPLICATION}", "user_version = 9"
    ),
    "a journal without its tables": lambda path: _table(
        path, f"application_id = {APPLICATION}", "user_version = 1"
    ),
}
USES: dict[str, Callable[[Client, Path], object]] = {
    "map": lambda client, path: list(client.map("acme/double", numbers(1), journal=path)),
    "plan": lambda client, path: client.plan("acme/double", numbers(1), journal=path),
    "entries": lambda client, path: list(journals.entries(path)),
    "prune": lambda client, path: journals.prune(path, older_than=0),
    "retry": lambda client, path: journals.retry(path, states=["failed"]),
    "hash_inputs": lambda client, path: journals.hash_inputs(path),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_somebody_else_is_refused_and_left_as_it_is(
    service: Service, client: Client, tmp_path: Path, kind: str, use: str
) -> None:
    path = tmp_path / "folder" / "theirs"
    path.parent.mkdir()
    FOREIGN[kind](path)
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"Pass another file|Update with|Finish its rows"):
        USES[use](client, path)
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in path.parent.iterdir()] == ["theirs"]
    assert service.creates == 0


@pytest.mark.parametrize("said", ["unable to open database file", "attempt to write a readonly database"])
def test_a_journal_of_another_user_says_whose_it_is(
    journal: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    journal.touch(0o600)
    error = sqlite3.OperationalError(said)
    assert "Check that its folder exists" in str(explained(error, journal))
    monkeypatch.setattr(
        os, "access", lambda path, mode: False
    )  # tests may run as root, who may do everything
    told = str(explained(error, journal))
    assert re.search(r"It is the file of \S+.* \(mode 600\), and this program runs as \S+", told)
    assert "chmod 660 journal.sqlite" in told


def test_a_torn_journal_says_so_and_creates_nothing(service: Service, client: Client, journal: Path) -> None:
    list(client.map("acme/double", numbers(400), journal=journal))
    size, made = journal.stat().st_size, service.creates
    with journal.open("r+b") as file:
        file.truncate(size // 2)
    with pytest.raises((JournalError, BatchError), match="damaged"):
        list(client.map("acme/double", numbers(400), journal=journal))
    assert service.creates == made


def test_a_torn_log_of_the_journal_costs_nothing_but_its_end(
    service: Service, client: Client, journal: Path
) -> None:
    list(client.map("acme/double", numbers(20), journal=journal))
    wal = journal.with_name("journal.sqlite-wal")
    keeper = sqlite3.connect(journal)  # keeps the log from being folded into the file
    keeper.execute("SELECT COUNT(*) FROM items").fetchone()
    list(client.map("acme/double", numbers(20, 20), journal=journal))
    before, log = journal.read_bytes(), wal.read_bytes()
    keeper.close()  # which works off the log
    journal.write_bytes(before)
    wal.write_bytes(log[: len(log) // 2])
    results = list(client.map("acme/double", numbers(40), journal=journal))
    assert [each.output for each in results] == [2 * number for number in range(40)]


def test_a_journal_that_is_not_in_its_mode_yet_is_waited_for(journal: Path) -> None:
    with closing(open_journal(journal)) as other:
        other.execute("PRAGMA journal_mode = DELETE")  # as it is while another run makes it
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.3, other.execute, ("COMMIT",)).start()
        with closing(open_journal(journal)) as ours:
            assert ours.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_folder_is_no_journal(client: Client, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="is a folder"):
        list(client.map("acme/double", numbers(1), journal=tmp_path))


def test_a_journal_whose_folder_cannot_be_made_says_what_to_do(client: Client, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="in a folder that you may write to"):
        list(client.map("acme/double", numbers(1), journal=tmp_path / "file" / "more" / "journal.sqlite"))


def test_the_folder_of_a_journal_is_made(client: Client, tmp_path: Path) -> None:
    list(client.map("acme/double", numbers(1), journal=tmp_path / "new" / "newer" / "journal.sqlite"))
    assert (tmp_path / "new" / "newer" / "journal.sqlite").is_file()


def test_a_network_file_system_is_refused(
    client: Client, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_file_system", lambda folder: "nfs4")
    with pytest.raises(JournalError, match=r"network file system.*local disk"):
        list(client.map("acme/double", numbers(1), journal=journal))


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="only Linux has it")
def test_the_kind_of_a_file_system_is_read_where_linux_says_it() -> None:
    assert places._file_system(Path("/proc/self")) == "proc"
    assert places._mount(r"36 35 98:0 / /mnt/my\040disk rw - nfs4 host:/x rw") == ("/mnt/my disk", "nfs4")


def test_a_journal_that_nobody_asked_for_goes_when_all_is_done(service: Service, client: Client) -> None:
    with client.map("acme/double", numbers(3)) as batch:
        assert batch.journal is not None
        assert Path(batch.journal).parent == places.cache_folder()
        list(batch)
    assert list(places.cache_folder().iterdir()) == []


def test_a_journal_that_nobody_asked_for_goes_when_nothing_was_created(client: Client) -> None:
    client.plan("acme/double", numbers(3))
    with pytest.raises(NotFound):
        list(client.map("acme/nothing", numbers(1)))
    with pytest.raises(InputError):
        list(client.map("acme/double", [{}], errors="raise"))
    assert list(places.cache_folder().iterdir()) == []


def test_a_journal_that_nobody_asked_for_stays_when_something_goes_wrong(
    service: Service, client: Client
) -> None:
    with pytest.raises(BatchError) as caught:
        list(client.map("acme/picky", numbers(40), errors="raise"))
    made = service.creates
    assert caught.value.journal is not None
    results = list(client.map("acme/picky", numbers(37), journal=caught.value.journal))
    assert [each.output for each in results] == list(range(37))
    assert service.creates <= made + 37
    assert all(each.cached for each in results[:5])


def test_journals_that_nobody_came_back_for_are_removed(client: Client) -> None:
    folder = places.cache_folder()
    folder.mkdir(parents=True)
    old = folder / "old.sqlite"
    open_journal(old).close()
    os.utime(old, (time.time() - 40 * 24 * 3600,) * 2)
    list(client.map("acme/double", numbers(1)))
    assert not old.exists()


def test_a_run_is_alive_as_long_as_its_lock_is_held(journal: Path) -> None:
    lock = RunLock(journal)
    assert is_alive(journal, lock.id)
    assert locks.in_use(journal)
    lock.release()
    assert not is_alive(journal, lock.id)
    assert not locks.in_use(journal)
    assert not is_alive(journal, "never")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_run_is_dead_when_its_process_was_killed(journal: Path) -> None:
    reader, writer = os.pipe()
    if not (pid := os.fork()):
        os.write(writer, RunLock(journal).id.encode())
        time.sleep(60)
    run = os.read(reader, 100).decode()
    os.close(reader)
    os.close(writer)
    assert is_alive(journal, run)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not is_alive(journal, run)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_child_does_not_keep_its_parents_run_alive(journal: Path) -> None:
    lock = RunLock(journal)
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    lock.release()
    assert not is_alive(journal, lock.id)
    child.kill()
    child.join()
    child.close()


def test_what_a_living_run_has_is_waited_for(service: Service, journal: Path) -> None:
    with service.client() as client:
        first = client.map("acme/patient", numbers(5), journal=journal)
        first.start()
        second = client.map("acme/patient", numbers(8), journal=journal)
        second.start()
        while service.creates < 8:
            time.sleep(0.01)
        time.sleep(0.3)
        assert service.creates == 8
        service.gate.set()
        assert [each.output for each in second] == list(range(8))
        assert [each.output for each in first] == list(range(5))


def test_commits_are_shared_by_what_is_asked_at_once(journal: Path) -> None:
    async def main() -> tuple[int, int]:
        database = Database(open_journal, journal)
        await database.open()
        before = database.commits

        def pin(connection: sqlite3.Connection, number: int) -> None:
            connection.execute("INSERT INTO pins VALUES (?, 'v', 0)", (f"a/{number}",))

        await asyncio.gather(*(database.do(lambda db, n=n: pin(db, n)) for n in range(500)))  # type: ignore[misc]
        count = await database.do(lambda db: db.execute("SELECT COUNT(*) FROM pins").fetchone()[0])
        await database.aclose()
        return database.commits - before, count

    commits, count = asyncio.run(main())
    assert count == 500
    assert commits < 100


def test_journals_are_described_exported_pruned_and_retried(
    service: Service, client: Client, journal: Path
) -> None:
    list(client.map("acme/picky", numbers(5, 35), journal=journal, price=0.5))
    found = journals.describe(journal)
    assert found.models == ("acme/picky",)
    assert found.states == {"failed": 1, "finished": 4}
    assert found.cost == 2.5
    assert not found.in_use
    rows = list(journals.entries(journal))
    assert [tuple(each) for each in rows] == [journals.COLUMNS] * 5
    (failed,) = journals.entries(journal, states=["failed"])
    assert failed["error"] == "no 37"
    assert failed["input"] == '{"n":37}'
    assert journals.retry(journal) == 1
    made = service.creates
    list(client.map("acme/picky", numbers(5, 35), journal=journal))
    assert service.creates == made + 1
    assert journals.prune(journal, older_than=3600) == 0
    assert journals.prune(journal, states=["finished"]) == 4
    assert journals.describe(journal).states == {"failed": 1}
    journals.remove(journal)
    assert not journal.exists()


def test_exported_structures_are_json_that_people_can_read(journal: Path) -> None:
    with closing(open_journal(journal)) as db:
        db.execute(
            "INSERT INTO items (key, sample, state, run, model, input, output, stored) "
            "VALUES (x'00', 0, 'saved', '', 'acme/lists', '{}', NULL, ?)",
            ['{"output": ["\\u00e9"], "files": ["\\u00e9.png"]}'],
        )
    (entry,) = journals.entries(journal)
    assert (entry["output"], entry["files"]) == ('["é"]', '["é.png"]')


def test_journals_in_the_cache_are_listed(client: Client) -> None:
    assert journals.journals() == []
    with pytest.raises(BatchError) as caught:
        list(client.map("acme/picky", numbers(40), errors="raise"))
    (listed,) = journals.journals()
    assert str(listed.path) == caught.value.journal
    (places.cache_folder() / "broken.sqlite").write_bytes(b"no" * 4000)
    assert len(journals.journals()) == 1


@pytest.mark.parametrize(
    "act", [journals.describe, lambda path: list(journals.entries(path)), journals.prune, journals.retry]
)
def test_a_journal_that_is_not_there_is_not_made(act: Callable[[Path], Any], journal: Path) -> None:
    with pytest.raises(JournalError, match="no journal"):
        act(journal)
    assert not journal.exists()


def test_what_may_be_paid_for_is_neither_pruned_nor_retried(journal: Path) -> None:
    open_journal(journal).close()
    with pytest.raises(ConfigError, match="run them to their end"):
        journals.prune(journal, states=["created"])
    with pytest.raises(ConfigError, match="nothing to retry"):
        journals.retry(journal, ["finished"])  # type: ignore[list-item]
    lock = RunLock(journal)
    with pytest.raises(JournalError, match="uses the journal"):
        journals.remove(journal)
    lock.release()


@pytest.mark.parametrize(
    "act",
    [
        journals.prune,
        journals.hash_inputs,
        lambda path: journals.settle(path, next(journals.entries(path))["key"], absent=True),
    ],
    ids=["prune", "hash_inputs", "settle"],
)
def test_a_run_that_begins_while_a_journal_is_opened_keeps_its_rows(
    client: Client, journal: Path, act: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    list(client.map("acme/double", numbers(3), journal=journal))
    opened, begun = archive.open_journal, list[RunLock]()

    def open_late(path: Path) -> sqlite3.Connection:
        connection = opened(path)
        begun.append(RunLock(path))
        return connection

    before = list(journals.entries(journal))
    monkeypatch.setattr(archive, "open_journal", open_late)
    with pytest.raises(JournalError, match="A run uses the journal"):
        act(journal)
    monkeypatch.undo()
    assert list(journals.entries(journal)) == before
    for each in begun:
        each.release()
