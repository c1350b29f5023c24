"""A journal that is deleted, moved or replaced while a run uses it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from replicate_kit import BatchError, Client, Result
from replicate_kit.batch._ledger import guard
from replicate_kit.batch._ledger.database import Database
from replicate_kit.batch._ledger.entries import Key
from replicate_kit.batch._ledger.guard import Guard
from replicate_kit.batch._ledger.hashing import JournalInputs
from replicate_kit.batch._ledger.locks import RunLock
from replicate_kit.batch._ledger.tables import open_journal
from replicate_kit.errors import JournalError
from replicate_kit.simulator import Fault

from ..conftest import Service, numbers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows does not let go of files that are open")

Do = Callable[[Path], object]


def another(journal: Path) -> Path:
    """A journal of other rows."""
    other = journal.with_name("other.sqlite")
    with closing(open_journal(other)) as connection:
        connection.execute("INSERT INTO runs VALUES ('other', 'acme/other', 1, 0)")
    return other


def copy(journal: Path) -> Path:
    """A copy of the database alone, as a tool that synchronises folders makes it."""
    return Path(shutil.copyfile(journal, journal.with_name("copy.sqlite")))


def beside(journal: Path, suffix: str) -> Path:
    """What is kept beside a journal."""
    return journal.with_name(journal.name + suffix)


def overwrite(journal: Path) -> None:
    """Write zeros to all pages but the first; the size stays."""
    with journal.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(journal.stat().st_size - 4096))


GONE: dict[str, Do] = {
    "deleted": Path.unlink,
    "moved": lambda journal: journal.rename(journal.with_name("elsewhere.sqlite")),
    "its folder moved": lambda journal: journal.parent.rename(journal.parent.with_name("elsewhere")),
    "its folder deleted": lambda journal: shutil.rmtree(journal.parent),
    "replaced by another journal": lambda journal: os.replace(another(journal), journal),
    "replaced by its copy": lambda journal: os.replace(copy(journal), journal),
    "replaced by an empty file": lambda journal: (journal.unlink(), journal.touch()),
    "replaced by a text": lambda journal: (journal.unlink(), journal.write_text("notes")),
    "replaced by a folder": lambda journal: (journal.unlink(), journal.mkdir()),
    "overwritten by another journal": lambda journal: shutil.copyfile(another(journal), journal),
    "its pages overwritten": lambda journal: overwrite(journal),
    "cut to nothing": lambda journal: os.truncate(journal, 0),
    "cut": lambda journal: os.truncate(journal, journal.stat().st_size // 2),
    "its log deleted": lambda journal: beside(journal, "-wal").unlink(),
    "its log replaced": lambda journal: (
        shutil.copyfile(beside(journal, "-wal"), beside(journal, "-new")),
        os.replace(beside(journal, "-new"), beside(journal, "-wal")),
    ),
    "its index deleted": lambda journal: beside(journal, "-shm").unlink(),
    "all of it deleted": lambda journal: [
        each.unlink() for each in journal.parent.glob("journal.sqlite*") if each.is_file()
    ],
}
UNLOCKED: dict[str, Do] = {
    "locks deleted": lambda journal: shutil.rmtree(beside(journal, "-runs")),
    "locks moved": lambda journal: beside(journal, "-runs").rename(beside(journal, "-old")),
    "one lock deleted": lambda journal: [each.unlink() for each in beside(journal, "-runs").iterdir()],
}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal in a folder of its own, with rows that an earlier run has paid for."""
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder" / "journal.sqlite"


def finish(service: Service, client: Client, journal: str | Path, rows: int) -> None:
    """Run all rows again: each was created once, and nothing is paid twice."""
    results = list(client.map("acme/double", numbers(rows), journal=journal))
    assert [each.output for each in results] == [2 * number for number in range(rows)]
    assert service.creates == rows


def take(batch: Iterable[Result], after: int, do: Callable[[], object]) -> None:
    """Take all results, and do something after one of them."""
    for result in batch:
        if result.index == after:
            do()


def lose(service: Service, client: Client, journal: Path, do: Do, *, after: int) -> BatchError:
    """Do something to a journal after some results; give the error."""
    list(client.map("acme/double", numbers(10), journal=journal))
    service.simulator.faults.add(Fault(operation="*.create", delay=0.01))
    batch = client.map("acme/double", numbers(200), journal=journal, concurrency=4)
    with pytest.raises(BatchError) as caught:
        take(batch, after, lambda: do(journal))
    service.simulator.faults.clear()
    return caught.value


@pytest.mark.slow
@pytest.mark.parametrize("after", [10, 60])
@pytest.mark.parametrize("how", sorted(GONE))
def test_a_journal_that_is_lost_stops_the_run_and_its_copy_goes_on(
    service: Service, client: Client, journal: Path, how: str, after: int
) -> None:
    error = lose(service, client, journal, GONE[how], after=after)
    assert isinstance(error.__cause__, JournalError)
    assert service.creates < after + 60
    assert [each.output for each in error.results] == [2 * each.index for each in error.results]
    assert len(error.results) > after
    assert error.journal is not None
    assert "-rescued-" in error.journal
    assert f"journal={error.journal!r}" in str(error)
    finish(service, client, error.journal, 200)


@pytest.mark.parametrize("how", sorted(UNLOCKED))
def test_a_run_whose_lock_is_lost_stops_and_its_journal_goes_on(
    service: Service, client: Client, journal: Path, how: str
) -> None:
    error = lose(service, client, journal, UNLOCKED[how], after=30)
    assert "other runs take this one for dead" in str(error)
    assert error.journal == str(journal)
    assert service.cancels == 0
    finish(service, client, journal, 200)


@pytest.mark.parametrize(
    "how", ["deleted", "its folder moved", "replaced by another journal", "its log deleted"]
)
def test_a_journal_that_is_lost_before_the_first_create_costs_nothing(
    service: Service, client: Client, journal: Path, how: str
) -> None:
    list(client.map("acme/double", numbers(10), journal=journal))
    with pytest.raises(JournalError, match="Nothing was created") as caught:
        list(client.map("acme/double", rows_and(lambda: GONE[how](journal)), journal=journal))
    assert service.creates == 10
    said = str(caught.value)
    finish(service, client, said[said.rindex("journal='") + 9 : said.rindex("'")], 20)


def rows_and(do: Callable[[], object]) -> object:
    """Rows that are read while something happens."""
    for row in numbers(20):
        if row["n"] == 10:
            do()
        yield row


@pytest.mark.parametrize(
    "how", ["deleted", "its folder deleted", "replaced by an empty file", "cut to nothing"]
)
@pytest.mark.parametrize("block", [False, True])
def test_a_journal_that_is_lost_after_the_last_end_is_told_too(
    service: Service, client: Client, journal: Path, how: str, block: bool
) -> None:
    def take_all() -> None:
        if not block:
            for result in client.map("acme/double", numbers(20), journal=journal):
                if result.index == 19:
                    GONE[how](journal)
            return
        with client.map("acme/double", numbers(20), journal=journal) as results:
            for _ in range(20):
                next(results)
            GONE[how](journal)

    with pytest.raises(BatchError) as caught:
        take_all()
    assert len(caught.value.results) == 20
    assert caught.value.journal is not None
    finish(service, client, caught.value.journal, 20)


def test_async_blocks_tell_of_it_too(service: Service, client: Client, journal: Path) -> None:
    async def use() -> None:
        async with client.async_map("acme/double", numbers(20), journal=journal) as results:
            for _ in range(20):
                await anext(results)
            GONE["deleted"](journal)

    with pytest.raises(BatchError, match="deleted or moved away"):
        asyncio.run(use())


@pytest.mark.parametrize("on_interrupt", ["cancel", "detach"])
def test_what_is_in_flight_is_canceled_or_left(
    service: Service, client: Client, journal: Path, on_interrupt: str
) -> None:
    def lose_it() -> None:
        while service.creates < 20:
            time.sleep(0.01)
        journal.unlink()

    thread = threading.Thread(target=lose_it)
    thread.start()
    service.simulator.faults.add(Fault(operation="*.create", calls=set(range(21, 100)), delay=1.0))
    with pytest.raises(BatchError) as caught:
        list(
            client.map(
                "acme/patient", numbers(30), journal=journal, concurrency=30, on_interrupt=on_interrupt
            )
        )
    thread.join()
    service.simulator.faults.clear()
    assert (service.cancels > 0) == (on_interrupt == "cancel")
    service.gate.set()
    assert caught.value.journal is not None
    made, canceled = service.creates, service.cancels
    results = list(client.map("acme/patient", numbers(30), journal=caught.value.journal))
    assert [each.output for each in results] == list(range(30))
    assert service.creates <= made + 30 - (made - canceled)


def test_a_journal_that_nobody_named_is_guarded_too(service: Service, client: Client) -> None:
    batch = client.map("acme/double", numbers(100), concurrency=2)
    with pytest.raises(BatchError) as caught:
        take(batch, 5, lambda: Path(batch.journal or "").unlink())
    assert caught.value.journal is not None
    finish(service, client, caught.value.journal, 100)


def point(link: Path, target: Path) -> None:
    """Let a link lead elsewhere, without a moment in which it does not exist."""
    other = link.with_name("other-link")
    other.symlink_to(target)
    other.replace(link)


def test_a_link_to_a_journal_may_lead_to_it_only(service: Service, client: Client, journal: Path) -> None:
    link = journal.with_name("link.sqlite")
    open_journal(journal).close()
    link.symlink_to(journal)
    list(client.map("acme/double", numbers(5), journal=link))
    batch = client.map("acme/double", numbers(100), journal=link, concurrency=2)
    with pytest.raises(BatchError, match="replaced by another file"):
        take(batch, 20, lambda: point(link, another(journal)))


def test_what_takes_the_journals_place_stays_whole(service: Service, client: Client, journal: Path) -> None:
    other = another(journal)
    list(client.map("acme/double", numbers(300, 1000), journal=other))
    lose(service, client, journal, lambda path: os.replace(other, path), after=40)
    with closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT COUNT(*) FROM items").fetchone() == (300,)


def test_where_no_copy_can_be_made_the_error_says_so(
    service: Service, client: Client, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(guard, "_copied", full)
    error = lose(service, client, journal, Path.unlink, after=20)
    assert "could not be copied" in str(error)
    assert "No space left" in str(error)
    assert len(error.results) > 20


def test_a_copy_that_is_damaged_is_not_offered(journal: Path) -> None:
    with closing(open_journal(journal)) as connection:
        connection.execute("PRAGMA application_id = 7")
        with pytest.raises(JournalError, match="damaged"):
            guard.rescued(connection, journal)
    assert not list(journal.parent.glob("*rescued*"))


def test_who_plans_gets_the_error_of_a_lost_journal(journal: Path) -> None:
    async def use() -> None:
        lock = RunLock(journal)
        database = Database(open_journal, journal, Guard(journal, lock))
        await database.open()
        GONE["deleted"](journal)
        try:
            with pytest.raises(JournalError, match="deleted or moved away"):
                await database.do(lambda db: 1)
            assert await database.do(lambda db: 1) == 1  # what is open can be read all the same
        finally:
            await database.aclose()
            lock.release()

    asyncio.run(use())


SHARE = """
import sys
from replicate_kit import Client
from replicate_kit.backends.mock import MockBackend
from replicate_kit.simulator import Simulator

simulator = Simulator()


@simulator.model("acme/echo", workers=64)
def echo(text: str) -> str:
    return text


rows = [{"text": f"{sys.argv[2]} {number} " + "x" * 4000} for number in range(600)]
print(len(list(Client(backend=MockBackend(simulator), poll_interval=0.02).map("acme/echo", rows, journal=sys.argv[1]))))
"""


def test_processes_that_share_a_journal_and_work_off_its_log_do_not_alarm_each_other(journal: Path) -> None:
    command = [sys.executable, "-c", SHARE, str(journal)]
    runs = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    assert [run.communicate(timeout=120) for run in runs] == [("600\n", "")] * 2
    assert journal.stat().st_size > 4_000_000  # so that the log was worked off more than once


LOOK = "a = sqlite3.connect(path, isolation_level=None)"
READ = f"{LOOK}; a.execute('BEGIN'); a.execute('SELECT COUNT(*) FROM items').fetchone()"
OTHER = "b = sqlite3.connect(path, isolation_level=None); b.execute"
# What other programs do to a journal that harms nothing. What is told to wait still reads when the run goes on.
HARMLESS = {
    "touched": "os.utime(path)",
    "touched twice": "os.utime(path); time.sleep(0.05); os.utime(path)",
    "read": f"{READ}",
    "read by somebody who stays": f"{READ}; wait()",
    **{
        f"checkpoint {mode}": f"{LOOK}; a.execute('PRAGMA wal_checkpoint({mode})').fetchall()"
        for mode in ("PASSIVE", "FULL", "RESTART", "TRUNCATE")
    },
    **{
        f"checkpoint {mode} while somebody reads": f"{READ}; {OTHER}('PRAGMA busy_timeout = 100'); "
        f"b.execute('PRAGMA wal_checkpoint({mode})').fetchall(); wait()"
        for mode in ("PASSIVE", "FULL", "RESTART", "TRUNCATE")
    },
    "checkpoint and touched": f"{LOOK}; a.execute('PRAGMA wal_checkpoint').fetchall(); os.utime(path)",
    "copied by SQLite": f"{LOOK}; a.execute('VACUUM INTO ?', (path + '.copy',))",
    "packed by SQLite": f"{LOOK}; a.execute('VACUUM')",
}
DOING = """
import os, sqlite3, sys, time
path = sys.argv[1]
def wait():
    print("done", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "earlier", "now"),
    [(0, "", "keep"), (30, "keep", "keep"), (0, "", "hash"), (30, "hash", "keep")],
)
@pytest.mark.parametrize("what", sorted(HARMLESS))
def test_what_harms_nothing_stops_no_run(
    service: Service,
    client: Client,
    journal: Path,
    what: str,
    before: int,
    earlier: JournalInputs,
    now: JournalInputs,
) -> None:
    if before:
        rows = numbers(before, 1000) + numbers(10)
        list(client.map("acme/double", rows, journal=journal, journal_inputs=earlier))
    command = [sys.executable, "-c", f"{DOING}\n{HARMLESS[what]}\nprint('done', flush=True)", str(journal)]
    others: list[subprocess.Popen[str]] = []

    def act() -> None:
        others.append(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        )
        assert others[0].stdout is not None
        assert others[0].stdout.readline() == "done\n"

    try:
        batch = client.map("acme/double", numbers(60), journal=journal, concurrency=4, journal_inputs=now)
        take(batch, 20, act)
    finally:
        for each in others:
            each.communicate()
    assert service.creates == 60 + before
    with closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_looking_at_a_large_run_takes_no_more_rows_than_at_a_small_one() -> None:
    def looked_at(rows: int) -> int:
        sample = guard.Sample()
        for number in range(rows):
            sample.add(Key(number.to_bytes(16)))
        return len(set(sample()))

    assert looked_at(50) == 50
    assert 64 < looked_at(1000) <= 128
    assert 64 < looked_at(20_000) <= 128
