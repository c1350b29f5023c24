"""Looking after a journal in a file, and finding the store of one by its name."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from replicate_kit.batch import journals
from replicate_kit.batch._ledger.archive import SqliteAdministrator
from replicate_kit.batch._ledger.entries import Confirmed, Created, Key, Name, Refused, Saved
from replicate_kit.batch._ledger.locks import RunLock
from replicate_kit.batch._ledger.protocol import Administrator, Record, Summary
from replicate_kit.batch._ledger.sqlite import SqliteLedger, SqliteStore
from replicate_kit.batch._ledger.stores import is_url, journal_text, store_of
from replicate_kit.errors import ConfigError, JournalError, PluginError

from .opening import AT, ERROR, INPUT, MODEL, ended, finish, in_loop, intent, key, opened


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def kept(journal: Path) -> Iterator[SqliteAdministrator]:
    """A journal with rows in many states, that nobody uses."""
    fill(journal)
    administrator = SqliteAdministrator(journal)
    yield administrator
    administrator.close()


@in_loop
async def fill(journal: Path) -> None:
    async with opened(journal, redo=frozenset({"failed"})) as ledger:
        await finish(ledger, 1, 2)
        await ledger.record([Saved(key(2), '{"output": "a.png", "files": ["a.png"]}', "pictures")])
        await ledger.take_names([Name("pictures", "a.png", key(2))])
        await ledger.claim([intent(each) for each in (3, 4, 5, 6)])
        await ledger.record([Created(key(3), "p3"), ended(4, None, "unknown"), ended(5, "p5", "failed")])
        await ledger.claim([intent(5, sent_at=AT + 9)])
        await ledger.record([ended(5, "q5", "failed"), Refused(key(7), INPUT, "failed", ERROR)])


def states(journal: Path) -> dict[str, int]:
    return dict(journals.describe(journal).states)


def test_it_says_what_it_holds(kept: SqliteAdministrator, journal: Path) -> None:
    administrator: Administrator = kept
    found = administrator.summary()
    counts = {"created": 1, "failed": 2, "finished": 1, "intent": 1, "saved": 1, "unknown": 1}
    assert found == Summary((MODEL,), counts, 2.5, found.size, found.changed_at, False)
    lock = RunLock(journal)
    info = journals.describe(journal)
    assert (info.path, info.models, info.in_use) == (journal, (MODEL,), True)
    lock.release()
    records = list(administrator.records())
    assert [each.entry.key for each in records] == [key(each) for each in range(1, 8)]
    assert records[0] == Record(MODEL, INPUT, 1, records[0].entry)
    assert [each.entry.holder for each in records] == ["nobody"] * 7
    assert [each.entry.state for each in administrator.records(["intent", "created"])] == [
        "created",
        "intent",
    ]


def test_entries_are_flat(kept: SqliteAdministrator, journal: Path) -> None:
    first, second, *_, refused = journals.entries(journal)
    assert first == {
        "model": MODEL, "input": INPUT, "state": "finished", "status": "succeeded", "output": "out", "files": None,
        "error": None, "prediction_id": "p1", "attempts": 1, "seconds": 2.0, "cost": 0.5, "sent_at": AT,
        "finished_at": AT + 5, "stored_in": None, "key": key(1).digest.hex(), "sample": 0,
        "input_hash": first["input_hash"], "label": None,
    }  # fmt: skip
    assert tuple(first) == journals.COLUMNS
    assert (second["output"], second["files"], second["stored_in"]) == ("a.png", '["a.png"]', "pictures")
    assert (refused["status"], refused["sent_at"], refused["error"]) == (
        "rejected",
        None,
        "no 'a wombat' here",
    )
    assert [each["state"] for each in journals.entries(journal, "saved")] == ["saved"]


def test_what_is_over_is_pruned(kept: SqliteAdministrator, journal: Path) -> None:
    assert kept.prune(AT, None) == 0
    assert kept.prune(AT + 5, ["saved"]) == 1
    assert kept._db.execute("SELECT COUNT(*) FROM names").fetchone() == (0,)
    assert journals.prune(journal) == 4
    assert states(journal) == {"created": 1, "intent": 1}
    assert kept._db.execute("SELECT COUNT(*) FROM attempts").fetchone() == (0,)


def test_inputs_are_hashed_for_good(kept: SqliteAdministrator, journal: Path) -> None:
    assert kept.hash_inputs() == 7
    assert kept.hash_inputs() == 0
    assert b"wombat" not in journal.read_bytes()
    assert {each["input"] for each in journals.entries(journal)} == {None}


def test_rows_are_paid_for_again_where_that_is_asked(kept: SqliteAdministrator, journal: Path) -> None:
    assert journals.retry(journal, ["unknown"]) == 1
    assert kept.retry(["failed"]) == 2
    assert states(journal)["canceled"] == 3


@in_loop
async def test_a_settled_row_is_confirmed_by_the_next_run(journal: Path) -> None:
    fill_in_thread(journal)
    digits = key(4).digest.hex()
    with pytest.raises(JournalError, match=f"belongs to the row {key(1).digest.hex()} already"):
        journals.settle(journal, digits, prediction_id="p1")
    with pytest.raises(JournalError, match="belongs to the row"):
        journals.settle(journal, digits, prediction_id="p5")  # an earlier one
    assert states(journal)["unknown"] == 1
    row = journals.settle(journal, digits, prediction_id="found")
    assert (row["state"], row["status"], row["attempts"], row["error"]) == ("created", "adopted", 1, None)
    assert journals.settle(journal, key(6).digest.hex(), absent=True)["state"] == "canceled"
    async with opened(journal) as ledger:
        (entry,) = await ledger.take_over([key(4)])
        assert entry is not None
        assert (entry.holder, entry.status, entry.prediction_id) == ("ours", "adopted", "found")
        assert await ledger.record([Confirmed(key(4), "found")]) == [True]


def fill_in_thread(journal: Path) -> None:
    """Fill a journal from within an event loop."""
    thread = threading.Thread(target=fill, args=(journal,))
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    "act",
    [
        journals.prune,
        journals.hash_inputs,
        journals.remove,
        lambda path: journals.settle(path, key(4).digest.hex(), absent=True),
    ],
    ids=["prune", "hash_inputs", "remove", "settle"],
)
@pytest.mark.usefixtures("kept")
def test_nothing_is_taken_from_under_a_run(journal: Path, act: Any) -> None:
    before = list(journals.entries(journal))
    lock = RunLock(journal)
    with pytest.raises(JournalError, match="A run uses the journal"):
        act(journal)
    lock.release()
    assert list(journals.entries(journal)) == before


def test_a_journal_is_removed_with_all_that_is_beside_it(journal: Path) -> None:
    fill(journal)
    journals.remove(journal)
    assert os.listdir(journal.parent) == []
    with pytest.raises(JournalError, match="There is no journal"):
        journals.remove(journal)


def test_a_file_of_somebody_else_is_not_removed(journal: Path) -> None:
    journal.write_text("notes " * 1000)
    with pytest.raises(JournalError, match="not a database"):
        journals.remove(journal)
    assert journal.exists()


@in_loop
async def test_a_run_that_begins_while_its_journal_is_removed_is_told(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its lock, and waits for the file."""
    fill_in_thread(journal)
    ledger, administrator = SqliteLedger(journal), SqliteAdministrator(journal)
    checked, begun = threading.Event(), threading.Event()

    def drop(path: Path) -> None:
        checked.set()
        begun.wait(10)
        path.unlink()

    monkeypatch.setattr("replicate_kit.batch._ledger.archive.drop", drop)
    thread = threading.Thread(target=administrator.remove)
    thread.start()
    checked.wait(10)
    threading.Timer(0.3, begun.set).start()
    with pytest.raises(JournalError, match="removed or replaced while it was opened"):
        await ledger.open("run")
    thread.join()


# Stores, by the names of journals.


class Elsewhere:
    """A store that a package offers."""

    def ledger(self, url: str, /) -> Any:
        return url

    def administrator(self, url: str, /) -> Any:
        return Nobody(url)


class Nobody:
    """An administrator of nothing."""

    def __init__(self, url: str) -> None:
        self.closed = False

    def summary(self) -> Summary:
        return Summary(("a",), {"saved": 1}, None, 1, 2.0, True)

    def close(self) -> None:
        self.closed = True


STORE, NO_STORE = Elsewhere(), object()


def fail() -> None:
    raise RuntimeError("it is broken")


class Broken(Elsewhere):
    def __init__(self) -> None:
        fail()


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have packages offer stores."""

    def offered(**found: str) -> None:
        points = EntryPoints(
            EntryPoint(name.rstrip("_"), f"{__name__}:{value}", "replicate_kit.ledgers")
            for name, value in found.items()
        )
        monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: points.select(group=group))
        monkeypatch.setattr(EntryPoint, "load", lambda self: globals()[self.attr])

    return offered


@pytest.mark.parametrize("name", ["a.sqlite", "run-12:30.sqlite", "C:/a.db", r"C:\a.db", "~/a", Path("a.db")])
def test_paths_are_files(name: Any) -> None:
    assert isinstance(store_of(name), SqliteStore)
    assert journal_text(name) == os.fspath(name)
    assert not is_url(name)


@pytest.mark.parametrize(
    "name",
    [
        ":memory:",
        "sqlite://:memory:",
        "sqlite:///a.db",
        "file:a.db",
        "file:///tmp/a.db",
        "s3:/b/p",
        "",
        "a/",
        "a\0",
    ],
)
def test_what_can_be_no_file_is_refused_as_ever(name: str) -> None:
    with pytest.raises(ConfigError, match=r"SQLite file on a local disk|would be lost"):
        store_of(name)
    with pytest.raises(ConfigError, match=r"SQLite file on a local disk|would be lost"):
        journal_text(name)


@pytest.mark.parametrize("value", ["STORE", "Elsewhere"])
def test_a_url_is_of_the_package_that_offers_its_scheme(offer: Any, value: str) -> None:
    offer(Shelf=value, other="NO_STORE")
    url = "SHELF://user:secret@host/a"
    assert isinstance(store_of(url), Elsewhere)
    assert store_of(url).ledger(journal_text(url)) == url  # type: ignore[comparison-overlap]
    info = journals.describe(url)
    assert (info.path, info.states, info.in_use) == ("SHELF://user@host/a", {"saved": 1}, True)


def test_a_url_that_nobody_offers_says_what_to_do(
    offer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for found, said in (({}, "no URLs at all"), ({"shelf": "STORE", "redis": "STORE"}, "redis:, shelf:")):
        offer(**found)
        for scheme, step in (
            ("postgresql", "pip install replicate-kit-postgres"),
            ("Postgres", "pip install replicate-kit-postgres"),
            (
                "etcd",
                "install a package that offers it (an entry point 'etcd' in the group 'replicate_kit.ledgers').",
            ),
        ):
            with pytest.raises(ConfigError) as caught:
                journals.describe(f"{scheme}://u:secret@h/db")
            text = str(caught.value)
            assert "secret" not in text
            assert text.endswith(step)
            for each in (f"is a URL ({scheme.lower()}:)", said, "Nothing was created", "file"):
                assert each in text
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [("Broken", "did not load: RuntimeError: it is broken"), ("NO_STORE", "which has no ledger")],
)
def test_a_broken_store_names_its_package(offer: Any, value: str, said: str) -> None:
    offer(shelf=value)
    with pytest.raises(PluginError, match=said) as caught:
        store_of("shelf://a")
    assert "'shelf' of an unknown package" in str(caught.value)


def test_a_scheme_that_two_packages_offer_is_of_neither(offer: Any) -> None:
    offer(shelf="STORE", shelf_="Elsewhere")
    with pytest.raises(PluginError, match="claimed by"):
        store_of("shelf://a")


def test_what_an_earlier_version_wrote_is_read(journal: Path) -> None:
    from replicate_kit.batch._ledger.tables import _JOURNAL, APPLICATION

    db = sqlite3.connect(journal)
    db.executescript(f"{_JOURNAL}; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 1")
    with db:
        db.execute(
            "INSERT INTO items (key, sample, state, run, model, input) VALUES (x'00', 3, 'failed', 'r', 'm', '{}')"
        )
    db.close()
    (entry,) = journals.entries(journal)
    assert (entry["key"], entry["sample"], entry["sent_at"], entry["output"]) == ("00", 3, None, None)
    assert json.loads(entry["input"]) == {}
    administrator = SqliteStore().administrator(str(journal))
    assert [each.entry.key for each in administrator.records()] == [Key(b"\0", 3)]
    administrator.close()


@pytest.mark.parametrize(
    "said", ["host=localhost password=secret-word", "jdbc:postgresql://host/db?password=secret-word"]
)
def test_what_other_programs_take_for_a_database_is_not_shown(said: str) -> None:
    with pytest.raises(JournalError, match="There is no journal of that name") as caught:
        journals.describe(said)
    assert "secret-word" not in str(caught.value)
