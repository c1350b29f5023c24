"""The ledger in an SQLite file: each verb, each event, and two runs that share a journal."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from replicate_kit.batch._ledger import tables
from replicate_kit.batch._ledger.entries import (
    Canceling,
    Confirmed,
    Created,
    Disowned,
    Entry,
    Event,
    Expired,
    Key,
    Name,
    Owner,
    Refused,
    Run,
    Saved,
    Unsaved,
    Withdrawn,
)
from replicate_kit.batch._ledger.guard import Sample
from replicate_kit.batch._ledger.locks import RunLock, in_use, is_alive, lock_folder
from replicate_kit.batch._ledger.protocol import Ledger, LedgerStore, Spending
from replicate_kit.batch._ledger.sqlite import SqliteLedger, SqliteStore
from replicate_kit.batch._money.pricing import Price, Spent
from replicate_kit.errors import ConfigError, JournalError

from .opening import AT, ERROR, INPUT, MODEL, ended, finish, in_loop, intent, key, opened


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def rows(journal: Path, what: str = "*", table: str = "items") -> list[tuple[Any, ...]]:
    """What stands in a table."""
    with closing(sqlite3.connect(journal)) as db:
        return db.execute(f"SELECT {what} FROM {table} ORDER BY rowid").fetchall()


def leave(journal: Path, *statements: str) -> None:
    """Write to a journal as nobody does."""
    with closing(sqlite3.connect(journal)) as db, db:
        for each in statements:
            db.execute(each)


def read(path: Path) -> bytes:
    return path.read_bytes()


def remove(*paths: Path) -> None:
    for each in paths:
        each.unlink()


async def one(ledger: Ledger, number: int = 1) -> Entry:
    """The entry of a row that is there."""
    (found,) = await ledger.find([key(number)])
    assert found is not None
    return found


def test_it_is_what_the_protocols_say(journal: Path) -> None:
    ledger: Ledger = SqliteLedger(journal)
    store: LedgerStore = SqliteStore()
    assert isinstance(ledger, Ledger)
    assert isinstance(store, LedgerStore)


# Opened and closed.


@in_loop
async def test_others_see_the_run_until_it_is_closed(journal: Path) -> None:
    ledger = SqliteLedger(journal)
    await ledger.open("run")
    await ledger.open("run")
    assert is_alive(journal, "run")
    assert in_use(journal)
    await ledger.close()
    await ledger.close()
    assert not in_use(journal)


@in_loop
async def test_what_cannot_be_opened_leaves_no_lock(journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as db:
        db.execute("CREATE TABLE theirs (a)")
    ledger = SqliteLedger(journal)
    with pytest.raises(JournalError, match="is an SQLite database, and not a journal"):
        await ledger.open("run")
    assert os.listdir(os.path.dirname(journal)) == ["journal.sqlite"]
    await ledger.close()


@in_loop
async def test_a_journal_that_is_removed_while_it_is_opened_is_not_used(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(connection: sqlite3.Connection, path: Path) -> None:
        prepare(connection, path)
        path.unlink()
        path.touch()

    prepare = tables._prepare
    monkeypatch.setattr(tables, "_prepare", late)
    with pytest.raises(JournalError, match="removed or replaced while it was opened"):
        await SqliteLedger(journal).open("run")


# Plans.


@in_loop
async def test_plans_read_and_write_nothing(journal: Path) -> None:
    async with opened(journal, id="first", pin=("acme/double", "v1"), account="token", shown="p0") as ledger:
        await finish(ledger, 1)
    async with opened(journal, begin=False) as ledger:
        before = rows(journal)
        assert await ledger.version_of("acme/double") == "v1"
        assert await ledger.version_of("acme/other") is None
        assert await ledger.find([key(2), key(1)]) == [
            None,
            Entry(
                key(1), "finished", "nobody", None, "p1", "succeeded", '"out"', None, None, None, 2.0, 0.5, AT + 5,
                b"print", AT, AT + 60, "server", "token",
            ),
        ]  # fmt: skip
        (entry,) = await ledger.find([key(1)], outputs=False)
        assert entry is not None
        assert entry.output is None
        assert await ledger.kept_inputs() == 1
        assert await ledger.shown_to("token") == ["p0"]
        assert await ledger.shown_to("other") == []
        assert await ledger.spending(Price()) == Spending(Spent(1, 2.0, 0.5), 0)
        assert rows(journal) == before
        assert len(rows(journal, table="runs")) == 1
        assert not await ledger.find([])


@in_loop
async def test_very_many_rows_are_found_in_their_order(journal: Path) -> None:
    async with opened(journal) as ledger:
        assert await ledger.find([key(each) for each in range(600)]) == [None] * 600
        await ledger.claim([intent(1, sample) for sample in range(700)])
        asked = [Key(key(number).digest, sample) for sample in reversed(range(700)) for number in (1, 2)]
        found = await ledger.find(asked)
    assert [each and each.key for each in found] == [
        each if each.digest == key(1).digest else None for each in asked
    ]


@in_loop
async def test_spending_counts_what_may_have_cost(journal: Path) -> None:
    async with opened(journal) as ledger:
        await ledger.claim([intent(each) for each in range(7)])
        await ledger.record([Created(key(each), f"p{each}") for each in range(5)])
        await ledger.record(
            [
                ended(0, "p0"),
                ended(1, "p1", "failed", cost=None),
                ended(2, "p2", "canceled", status="aborted"),
                ended(3, "p3", seconds=-1.0, cost=None),
                ended(5, None, "unknown", seconds=None, cost=None),
            ]
        )
        await ledger.record([Refused(key(9), INPUT, "failed", ERROR)])
        price = Price(each=1.0, second=0.25, longest=100.0)
        found = await ledger.spending(price)
        assert found == Spending(Spent(4, 2 + 2 + 100 + 100, 0.5 + 1.5 + 26 + 26), 2)


# Claims.


@in_loop
async def test_claims_are_repeatable_and_tell_what_others_have(journal: Path) -> None:
    async with opened(journal, id="a", account="alpha") as ours, opened(journal, id="b") as theirs:
        assert await ours.claim([intent(1), intent(2)]) == [None, None]
        assert await ours.claim([intent(2), intent(1), intent(3)]) == [None] * 3
        before = rows(journal)
        mine, other = (
            await ours.claim([intent(1, sent_at=AT + 1)]),
            await theirs.claim([intent(1), intent(4)]),
        )
        assert rows(journal)[:3] == before
        assert mine[0] is not None
        assert (mine[0].state, mine[0].holder, mine[0].sent_at) == ("intent", "ours", AT)
        assert other[0] is not None
        assert (other[0].holder, other[0].account, other[1]) == ("theirs", "alpha", None)


@in_loop
async def test_what_is_paid_for_again_keeps_its_earlier_outcome_until_there_is_an_id(journal: Path) -> None:
    async with opened(journal, redo=frozenset({"failed"})) as ledger:
        await ledger.claim([intent(1)])
        await ledger.record([Created(key(1), "p1"), ended(1, "p1", "failed")])
        (entry,) = await ledger.claim([intent(1, sent_at=AT + 9)])
        assert entry is None
        found = await one(ledger)
        assert (found.state, found.before, found.prediction_id, found.error) == (
            "intent",
            "failed",
            "p1",
            ERROR,
        )
        assert await ledger.record([Withdrawn(key(1))]) == [True]
        found = await one(ledger)
        assert (found.state, found.before, found.prediction_id) == ("failed", None, "p1")
        await ledger.claim([intent(1, sent_at=AT + 19)])
        # Its earlier prediction is no answer to the new create.
        assert await ledger.record([Created(key(1), "p1"), Created(key(1), "p2")]) == [False, True]
        found = await one(ledger)
        assert (found.state, found.prediction_id, found.error, found.cost) == ("created", "p2", None, None)
        assert rows(journal, "prediction_id, status, cost", "attempts") == [("p1", "failed", 0.5)]
        assert rows(journal, "attempts") == [(2,)]


@in_loop
async def test_what_is_over_is_not_claimed(journal: Path) -> None:
    async with opened(journal) as ledger:
        await finish(ledger, 1)
        entries = await ledger.claim([intent(1), intent(2)])
        assert [each and each.state for each in entries] == ["finished", None]
        assert (await one(ledger)).output == '"out"'


@in_loop
async def test_dead_runs_leave_what_others_take_over(journal: Path) -> None:
    async with opened(journal, id="dead", account="beta") as dead:
        await finish(dead, 1)
        await dead.claim([intent(2), intent(3)])
        await dead.record([Created(key(3), "p3")])
    async with opened(journal, id="first", account="alpha") as first, opened(journal, id="second") as second:
        found = await second.find([key(2), key(3)])
        assert [(each.holder, each.account) for each in found if each] == [("nobody", "beta")] * 2
        taken = await first.take_over([key(each) for each in range(1, 5)])
        assert [each and (each.state, each.holder, each.account) for each in taken] == [
            ("finished", "nobody", "beta"),
            ("intent", "ours", "alpha"),
            ("created", "ours", "alpha"),
            None,
        ]
        assert await first.take_over([key(each) for each in range(1, 5)]) == taken
        assert [each and each.holder for each in await second.take_over([key(2)])] == ["theirs"]
        assert await first.record([ended(3, "p3"), Withdrawn(key(2))]) == [True, True]


# Events.


@in_loop
async def test_a_whole_life(journal: Path) -> None:
    async with opened(journal, account="token") as ledger:
        await finish(ledger, 1)
        assert await ledger.shown_to("token") == ["p1"]
        assert await ledger.record([Unsaved(key(1), ERROR)]) == [True]
        assert ((await one(ledger)).state, (await one(ledger)).error) == ("finished", ERROR)
        assert await ledger.record([Saved(key(1), "{}", "pictures")]) == [True]
        found = await one(ledger)
        assert (found.state, found.stored, found.stored_in, found.error) == ("saved", "{}", "pictures", None)
        assert await ledger.record([Expired(key(1), ERROR)]) == [True]
        found = await one(ledger)
        assert (found.state, found.status, found.stored, found.error) == ("expired", "expired", "{}", ERROR)
        assert await ledger.record([Saved(key(1), "{}", "pictures")]) == [True]
        assert (await one(ledger)).status == "succeeded"


CREATED = [intent(1)], [Created(key(1), "p1")]
LIVES: dict[str, list[Event]] = {
    "created": [Created(key(1), "p1")],
    "finished": [Created(key(1), "p1"), ended(1, "p1")],
    "ended at once": [ended(1, "p1")],
    "failed": [Created(key(1), "p1"), ended(1, "p1", "failed")],
    "unknown": [ended(1, None, "unknown")],
    "unknown with an id": [Created(key(1), "p1"), ended(1, "p1", "unknown")],
    "withdrawn": [Withdrawn(key(1))],
    "rejected": [Refused(key(1), INPUT, "failed", ERROR)],
    "put off": [Refused(key(1), INPUT, "canceled", ERROR)],
    "canceling": [Created(key(1), "p1"), Canceling(key(1))],
    "saved": [ended(1, "p1"), Saved(key(1), "{}", "pictures")],
    "not saved": [ended(1, "p1"), Unsaved(key(1), ERROR)],
    "expired": [ended(1, "p1"), Expired(key(1), ERROR)],
}


def without_times(journal: Path) -> list[tuple[Any, ...]]:
    """What stands in a journal, but for the time at which a row was refused."""
    return rows(journal, "state, run, attempts, prediction_id, status, output, stored, error, seconds, cost")


@pytest.mark.parametrize("how", LIVES)
@in_loop
async def test_events_may_be_repeated(journal: Path, how: str) -> None:
    async with opened(journal) as ledger:
        await ledger.claim([intent(1)])
        for event in LIVES[how]:
            assert await ledger.record([event]) == [True]
            after = without_times(journal)
            assert await ledger.record([event]) == [True]
            assert await ledger.record([event, event]) == [True, True]
            assert without_times(journal) == after
        assert rows(journal, table="attempts") == []


@pytest.mark.parametrize("how", LIVES)
@in_loop
async def test_events_of_a_row_that_another_run_has_are_refused(journal: Path, how: str) -> None:
    async with opened(journal) as theirs, opened(journal) as ours:
        await theirs.claim([intent(1)])
        assert await ours.record([LIVES[how][0]]) == [False]
        await theirs.record([Created(key(1), "p1")])
        before = rows(journal)
        assert await ours.record(LIVES[how]) == [False] * len(LIVES[how])
        assert await ours.record([Confirmed(key(1), "p1")]) == [False]
        assert rows(journal) == before
        found = await one(ours)
        assert (found.state, found.holder, found.status) == ("created", "theirs", None)


@in_loop
async def test_events_of_a_row_that_is_not_known_are_refused(journal: Path) -> None:
    async with opened(journal) as ledger:
        events = [
            *(Created(key(1), "p"), ended(1, "p"), ended(1, None, "unknown"), Canceling(key(1))),
            *(Confirmed(key(1), "p"), Disowned(key(1), "p", ERROR, AT), Saved(key(1), "{}", "a")),
            *(Unsaved(key(1), ERROR), Expired(key(1), ERROR)),
        ]
        assert await ledger.record(events) == [False] * len(events)
        assert rows(journal) == []
        assert await ledger.record([Withdrawn(key(1)), Refused(key(1), INPUT, "failed", ERROR)]) == [
            True,
            True,
        ]
        assert rows(journal, "state, status, model, input") == [("failed", "rejected", MODEL, INPUT)]
        found = await one(ledger)
        assert (found.is_known, found.sent_at, found.fingerprint) == (False, 0.0, b"")


@in_loop
async def test_of_two_rows_one_has_a_prediction(journal: Path) -> None:
    async with opened(journal, redo=frozenset({"canceled"})) as ledger:
        await ledger.claim([intent(each) for each in range(1, 5)])
        assert await ledger.record([Created(key(1), "p"), Created(key(2), "p"), Created(key(3), "q")]) == [
            *(True, False, True)
        ]
        assert await ledger.record([ended(1, "p", "canceled"), ended(2, "p"), ended(4, "r")]) == [
            True,
            False,
            True,
        ]
        await ledger.claim([intent(1, sent_at=AT + 9)])
        await ledger.record([Created(key(1), "s")])
        assert await ledger.record([Created(key(2), "p"), ended(2, "p")]) == [False, False]
        assert (await one(ledger, 2)).state == "intent"
        found = await ledger.owners(["p", "q", "r", "s", "t"])
        owned = Owner(key(1), True, INPUT, b"print")
        assert found == {
            "p": owned,
            "s": owned,
            "q": owned._replace(key=key(3)),
            "r": owned._replace(key=key(4)),
        }


@in_loop
async def test_many_events_are_written_in_their_order(journal: Path) -> None:
    numbers = range(200)
    async with opened(journal) as ledger:
        await ledger.claim([intent(each) for each in numbers])
        events: list[Event] = []
        for each in numbers:
            events += [Created(key(each), f"p{each}"), ended(each, f"p{each}")]
            events += [Saved(key(each), "{}", "a"), Created(key(each), "another")]
        assert await ledger.record(events) == [True, True, True, False] * 200
        found = await ledger.find([key(each) for each in numbers])
        assert [each and (each.state, each.prediction_id) for each in found] == [
            ("saved", f"p{each}") for each in numbers
        ]
        assert await ledger.record([]) == []
        assert await ledger.claim([]) == []
        assert await ledger.take_names([]) == []


@in_loop
async def test_an_outcome_that_is_looked_at_again_keeps_its_cost(journal: Path) -> None:
    async with opened(journal) as ledger:
        await finish(ledger, 1)
    async with opened(journal, id="later") as ledger:
        again = ended(1, "p1", output='"other"', seconds=None, cost=7.0, finished_at=AT + 50)
        assert await ledger.record([again, ended(1, "p2"), ended(1, None, "unknown")]) == [True, False, False]
        found = await one(ledger)
        assert (found.output, found.seconds, found.cost, found.finished_at) == ('"other"', 2.0, 0.5, AT + 50)
        assert rows(journal, "run") == [("later",)]
        gone = ended(1, "p1", "failed")
        assert await ledger.record([gone]) == [True]
        assert (await one(ledger)).state == "failed"


@in_loop
async def test_what_may_have_been_created_counts_when_it_is_created_again(journal: Path) -> None:
    async with opened(journal, redo=frozenset({"unknown"})) as ledger:
        await ledger.claim([intent(1)])
        await ledger.record([ended(1, None, "unknown", seconds=None, cost=None)])
        assert await ledger.claim([intent(1, sent_at=AT + 9)]) == [None]
        assert await ledger.record([ended(1, None, "unknown", finished_at=AT + 20)]) == [True]
        assert rows(journal, "prediction_id, status, ended_at", "attempts") == [(None, "unknown", AT + 5)]
        assert (await ledger.spending(Price(longest=10.0))).spent.predictions == 2


# Refused: what stays known.


@pytest.mark.parametrize(
    ("state", "status", "refused", "kept"),
    [
        ("unknown", "unknown", "failed", True),
        ("expired", "expired", "canceled", True),
        ("failed", "failed", "canceled", True),
        ("failed", "failed", "failed", False),
        ("canceled", "canceled", "failed", False),
        ("canceled", "canceled", "canceled", False),
    ],
)
@in_loop
async def test_a_refusal_keeps_what_was_paid_for(
    journal: Path, state: str, status: str, refused: Any, kept: bool
) -> None:
    async with opened(journal, redo=frozenset({"canceled", "failed", "expired", "unknown"})) as ledger:
        await finish(ledger, 1)
        leave(journal, f"UPDATE items SET state = '{state}', status = '{status}', error = 'null'")
        assert await ledger.claim([intent(1, sent_at=AT + 9)]) == [None]
        assert await ledger.record([Refused(key(1), INPUT, refused, ERROR)]) == [True]
        found = await one(ledger)
        assert found.error == ERROR
        if kept:
            assert (found.state, found.status, found.prediction_id) == (state, status, "p1")
        else:
            assert (found.state, found.status, found.prediction_id) == (refused, "rejected", None)
            assert rows(journal, "prediction_id", "attempts") == [("p1",)]


@in_loop
async def test_a_refusal_of_what_is_over_is_refused_and_withdraws_the_intent(journal: Path) -> None:
    async with opened(journal, id="dead", redo=frozenset({"failed"})) as dead:
        await dead.claim([intent(1)])
        await dead.record([ended(1, "p1", "failed")])
        await dead.claim([intent(1, sent_at=AT + 9)])
    async with opened(journal) as ledger:
        await ledger.take_over([key(1)])
        assert await ledger.record([Refused(key(1), INPUT, "failed", ERROR)]) == [False]
        found = await one(ledger)
        assert (found.state, found.status, found.prediction_id) == ("failed", "failed", "p1")


# Rows that were settled by hand.


@in_loop
async def test_an_adopted_prediction_is_confirmed_or_disowned_and_not_canceled(journal: Path) -> None:
    async with opened(journal) as ledger:
        await ledger.claim([intent(1), intent(2)])
        await ledger.record([Created(key(1), "p1"), Created(key(2), "p2")])
        leave(journal, "UPDATE items SET status = 'adopted'")
        assert await ledger.record([Canceling(key(1)), Confirmed(key(1), "other")]) == [False, False]
        assert await ledger.record([Confirmed(key(1), "p1"), Canceling(key(1))]) == [True, True]
        assert await ledger.record([Confirmed(key(1), "p1")]) == [True]
        assert (await one(ledger)).status == "canceling"
        assert await ledger.record([Disowned(key(2), "p2", ERROR, AT + 3)]) == [True]
        found = await one(ledger, 2)
        assert (found.state, found.status, found.prediction_id, found.error) == (
            "unknown",
            "unknown",
            None,
            ERROR,
        )
        assert rows(journal, "attempts") == [(1,), (0,)]
        assert await ledger.owners(["p2"]) == {}


# Other reads.


@in_loop
async def test_recent_predictions_are_of_this_model_and_young(journal: Path) -> None:
    async with opened(journal) as ledger:
        await ledger.claim([intent(1, sent_at=AT), intent(2, sent_at=AT - 50), intent(3, sent_at=AT - 5)])
        await ledger.claim([intent(4, sent_at=AT - 100, clock="ours"), intent(5)])
        await ledger.record([Created(key(each), f"p{each}") for each in range(1, 5)])
        assert await ledger.recent(AT) == ["p4", "p3", "p1"]
        leave(journal, "UPDATE items SET model = 'acme/other'")
        assert await ledger.recent(AT) == []
        assert (await ledger.owners(["p1"]))["p1"].is_of_model is False


@in_loop
async def test_names_of_files_are_of_one_row(journal: Path) -> None:
    async with opened(journal) as ledger:
        first = [Name("a", "x", key(1)), Name("a", "y", key(1)), Name("b", "x", key(2))]
        assert await ledger.take_names(first) == [True] * 3
        assert await ledger.take_names([*first, Name("a", "x", key(1, 1)), Name("a", "x", key(2))]) == [
            *(True, True, True, False, False)
        ]


# Without inputs.


# Many at a time, and two processes' worth of runs.


@in_loop
async def test_verbs_of_one_round_share_a_commit(journal: Path) -> None:
    async with opened(journal) as ledger:
        before = ledger._database.commits
        await asyncio.gather(*(ledger.claim([intent(each)]) for each in range(100)))
        assert ledger._database.commits - before <= 2


@in_loop
async def test_of_runs_that_want_the_same_rows_each_row_is_of_one(journal: Path) -> None:
    async with opened(journal) as a, opened(journal) as b:
        wanted = [[intent(number) for number in range(start, start + 8)] for start in range(0, 400, 4)]
        got = await asyncio.gather(*(ledger.claim(each) for each in wanted for ledger in (a, b)))
        taken = [
            (position % 2, each.key)
            for position, found in enumerate(got)
            for each, entry in zip(wanted[position // 2], found, strict=True)
            if entry is None
        ]
        assert {each for _, each in taken} == {key(number) for number in range(404)}
        assert len(set(taken)) == 404


# A journal that is lost.


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let go of files that are open")
@in_loop
async def test_before_it_has_begun_a_run_is_told_by_every_verb(journal: Path) -> None:
    async with opened(journal) as ledger:
        await finish(ledger, 1)
    async with opened(journal, begin=False) as ledger:
        remove(journal)
        for _ in range(2):
            with pytest.raises(JournalError, match="was deleted or moved away"):
                await ledger.find([key(1)])
            assert ledger.lost is not None
        with pytest.raises(JournalError, match="was deleted or moved away"):
            await ledger.begin(Run("x", MODEL))
        assert "All that it had was copied to" in await ledger.rescue()
        assert ledger.path != journal
    async with opened(ledger.path) as again:
        assert (await one(again)).state == "finished"


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let go of files that are open")
@in_loop
async def test_once_it_has_begun_verbs_go_on_and_the_ledger_tells(journal: Path) -> None:
    async with opened(journal) as ledger:
        await finish(ledger, 1)
        assert (ledger.lost, await ledger.rescue()) == (None, "")
        remove(journal)
        await finish(ledger, 2)
        assert "was deleted or moved away while a run used it" in str(ledger.lost)
        assert "All that it had was copied to" in await ledger.rescue()
        assert ledger.path != journal
        await finish(ledger, 3)  # of which the copy knows nothing
    async with opened(ledger.path) as again:
        assert [(await one(again, each)).state for each in (1, 2)] == ["finished", "finished"]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let go of files that are open")
@in_loop
async def test_a_journal_whose_lock_is_gone_is_not_copied(journal: Path) -> None:
    async with opened(journal) as ledger:
        remove(*lock_folder(journal).iterdir())
        await finish(ledger, 1)
        assert "other runs take this one for dead" in str(ledger.lost)
        assert await ledger.rescue() == ""
        assert ledger.path == journal


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let go of files that are open")
@in_loop
async def test_an_older_copy_that_is_written_over_the_journal_is_noticed(journal: Path) -> None:
    def work_off() -> None:
        with closing(sqlite3.connect(journal)) as db:
            db.execute("PRAGMA wal_checkpoint")

    def write_over() -> None:
        with open(journal, "r+b") as file:
            file.write(older)

    async with opened(journal) as ledger:
        await finish(ledger, 0)
        work_off()
        older = read(journal)
        await finish(ledger, *range(1, 300))
        work_off()
        await finish(ledger, 500)
        write_over()
        await finish(ledger, 501)
        assert "was overwritten by another program" in str(ledger.lost)


def test_a_sample_has_the_latest_rows_and_some_of_all() -> None:
    sample = Sample()
    assert sample() == []
    for number in range(10_000):
        sample.add(key(number))
    *drawn, latest = [int.from_bytes(each.digest, "big") for each in sample()][:65]
    assert len(sample()) == 128
    assert latest == 10_000 - 64
    assert len(set(drawn)) == 64
    assert 2000 < sum(drawn) / 64 < 8000


@in_loop
async def test_what_fails_says_what_to_do_and_did_nothing(journal: Path) -> None:
    async with opened(journal) as ledger:
        await finish(ledger, 1)
        refuse = (
            f"CREATE TEMP TRIGGER no BEFORE INSERT ON items WHEN new.key = x'{key(3).digest.hex()}' "
            "BEGIN SELECT RAISE(FAIL, 'database is locked'); END"
        )
        await ledger._database.do(lambda db: db.execute(refuse))
        with pytest.raises(JournalError, match="Another program holds it"):
            await ledger.claim([intent(2), intent(3)])
        assert await ledger.find([key(2)]) == [None]


# The store.


def test_a_store_makes_nothing(tmp_path: Path) -> None:
    ledger = SqliteStore().ledger(str(tmp_path / "a.sqlite"))
    assert ledger.path == tmp_path / "a.sqlite"
    with pytest.raises(JournalError, match="There is no journal"):
        SqliteStore().administrator(str(tmp_path / "a.sqlite"))
    with pytest.raises(ConfigError, match="would be lost"):
        SqliteStore().ledger(":memory:")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_has_the_id_that_it_is_given(journal: Path) -> None:
    lock = RunLock(journal, "mine")
    assert (lock.folder / "mine").exists()
    lock.release()
