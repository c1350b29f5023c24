"""What every ledger has to do, wherever it keeps what runs have paid for."""

from __future__ import annotations

import asyncio
import functools
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, TypeAlias

import pytest

from replicate_kit.batch.ledgers import (
    Administrator,
    Canceling,
    Confirmed,
    Content,
    Created,
    Disowned,
    Ended,
    Entry,
    Event,
    Expired,
    Intent,
    KeptRow,
    Key,
    Ledger,
    LedgerStore,
    Name,
    PastRun,
    Payment,
    Pin,
    Price,
    Refused,
    Run,
    Saved,
    Spent,
    Unsaved,
    Withdrawn,
    elapsed,
    input_hash,
)
from replicate_kit.errors import ConfigError, JournalError

__all__ = ["FOLDER", "MODEL", "LedgerSuite", "Runs", "do", "ended", "error", "intent", "key", "story"]

Story: TypeAlias = Callable[..., Awaitable[None]]

MODEL = "acme/poet"
SENT = 1_700_000_000.0
"""When the first create was sent: a Unix time by the server's clock."""
FOLDER = "/srv/poems"
_MANY = 2000


def key(n: int, sample: int = 0) -> Key:
    """The key of a row."""
    return Key(n.to_bytes(16), sample)


def text(n: int) -> str:
    """The canonical input of a row."""
    return json.dumps({"prompt": f"a private wombat, number {n}"}, separators=(",", ":"))


def intent(n: int, sample: int = 0, *, at: float = SENT, **changes: Any) -> Intent:
    """A create of a row, sent `at` a time; no two of a row are sent at the same time."""
    made = Intent(key(n, sample), text(n), n.to_bytes(8), at, at + 60.0)
    return made._replace(**changes)


def error(message: str, kind: str = "ModelError") -> str:
    """An error, as the events have it."""
    return json.dumps({"kind": kind, "message": message}, separators=(",", ":"))


def ended(n: int, id: str | None, state: Any = "finished", **changes: Any) -> Ended:
    """How a row's prediction came out."""
    status = "succeeded" if state == "finished" else str(state)
    output, failure = ('"a poem"', None) if state == "finished" else (None, error(f"it is {state}"))
    return Ended(key(n), id, state, status, output, failure, 2.5, 0.5, SENT + 30.0)._replace(**changes)


class Runs:
    """The runs of one test, which share a ledger."""

    def __init__(self, store: LedgerStore, url: str, kill: Callable[[Ledger], Awaitable[None]]) -> None:
        self.store, self.url = store, url
        self._kill, self._open = kill, list[Ledger]()
        self._administrators: list[Administrator] = []

    def administrator(self) -> Administrator:
        """Look after the ledger; it is closed at the end of the test."""
        self._administrators.append(self.store.administrator(self.url))
        return self._administrators[-1]

    async def plan(self) -> tuple[Ledger, str]:
        """A ledger that is open and that no run has begun with, and the id of its run."""
        ledger, id = self.store.ledger(self.url), uuid.uuid4().hex
        await ledger.open(id)
        self._open.append(ledger)
        return ledger, id

    async def begin(self, model: str = MODEL, **options: Any) -> Ledger:
        """The ledger of a run that may pay."""
        ledger, id = await self.plan()
        await ledger.begin(Run(id, model, **options))
        return ledger

    async def kill(self, ledger: Ledger) -> None:
        """Let a run die, as a process does."""
        self._open.remove(ledger)
        await self._kill(ledger)

    async def close(self, ledger: Ledger) -> None:
        """Let a run come to its end."""
        self._open.remove(ledger)
        await ledger.close()

    async def fill(self) -> None:
        """Leave rows in all states, and all else that a ledger holds, as runs do that have ended or died."""
        first = await self.begin(label="nightly", redo=_REDO, account="a", pin=(MODEL, "v1"), rows=9)
        for n in range(2, 9):
            await _create(first, n)
        await first.claim([intent(1), intent(9), intent(10), intent(7, 1)])
        await first.take_names([Name(FOLDER, "b", key(4)), Name(FOLDER, "a", key(3))])
        await do(
            first,
            *(ended(n, f"p{n}", used={"tokens": float(n)}) for n in (3, 4, 5)),
            _SAVED._replace(key=key(4)),
            Expired(key(5), error("gone")),
            ended(6, "p6", "failed", used={"tokens": 6.5}),
            ended(7, "p7", "canceled", cost=None),
            ended(8, "p8", "failed", seconds=None),
            ended(9, None, "unknown", cost=None),
            ended(10, None, "unknown", cost=None),
            Refused(key(11), text(11), "failed", error("bad input")),
            Canceling(key(2)),
        )
        await self.kill(first)
        second = await self.begin("acme/painter", redo=_REDO, keeps_inputs=False, account="b", shown="s1")
        await second.claim([intent(n, at=SENT + 100) for n in (6, 8, 12)])
        await second.take_over([key(2)])
        await do(second, Created(key(6), "q6"), ended(6, "q6"))
        await self.close(second)
        administrator = self.administrator()
        administrator.settle(key(9).digest.hex(), sample=None, prediction_id="p9", check=True)
        administrator.settle(key(10).digest.hex(), sample=None, prediction_id=None, check=True)
        administrator.close()

    async def look(self) -> list[Any]:
        """All that can be asked about what `fill` leaves."""
        administrator = self.administrator()
        summary = administrator.summary()._replace(size=0, changed_at=0.0)
        payments = sorted(administrator.payments(), key=repr)
        found: list[Any] = [summary, list(administrator.records()), payments, sorted(administrator.telling())]
        administrator.close()
        ledger, _ = await self.plan()
        ids = [f"{letter}{n}" for letter in "pq" for n in range(13)]
        found += [await ledger.version_of(MODEL), [await ledger.shown_to(each) for each in "abc"]]
        found += [
            await ledger.spending(Price(each=0.25, mosts={"tokens": 100.0})),
            await ledger.kept_inputs(),
            await ledger.owners(ids),
        ]
        found += [await ledger.find([key(n, sample) for n in range(13) for sample in (0, 1)])]
        await self.close(ledger)
        return found

    @asynccontextmanager
    async def whole(self) -> AsyncIterator[None]:
        """Close what a test has left open."""
        try:
            yield
        finally:
            for administrator in self._administrators:
                administrator.close()
            for ledger in list(self._open):
                await self.close(ledger)


def story(test: Story) -> Callable[..., None]:
    """Run a test in asyncio, and close its ledgers in the same event loop."""

    @functools.wraps(test)
    def run(self: Any, runs: Runs, **fixtures: Any) -> None:
        async def tell() -> None:
            async with runs.whole():
                await test(self, runs, **fixtures)

        asyncio.run(tell())

    return run


async def _one(ledger: Ledger, n: int) -> Entry:
    """What is known of a row that is known."""
    (found,) = await ledger.find([key(n)])
    assert found is not None, f"find() does not know row {n}, which was written down"
    return found


async def do(ledger: Ledger, *events: Event) -> None:
    """Record what a ledger has to accept."""
    answers = await ledger.record(events)
    for event, answer in zip(events, answers, strict=True):
        assert answer, f"record() refused {event!r}"


async def _create(ledger: Ledger, n: int, id: str | None = None, *, at: float = SENT, **changes: Any) -> str:
    """Claim a row, and give it its prediction."""
    id = id or f"p{n}"
    claimed = await ledger.claim([intent(n, at=at, **changes)])
    assert list(claimed) == [None], f"claim() did not give row {n} to the run: {claimed}"
    await do(ledger, Created(key(n), id))
    return id


_SAVED = Saved(key(1), '{"output":"kept","files":[],"records":[]}', FOLDER)
_REDO = frozenset({"canceled", "failed", "unknown", "expired"})

# The ways in which row 1 comes to each state, its prediction being p1 where it has one. They end with the states that
# others have a hand in.
_STEPS: dict[str, list[Event]] = {
    "intent": [],
    "created": [Created(key(1), "p1")],
    "finished": [Created(key(1), "p1"), ended(1, "p1")],
    "saved": [Created(key(1), "p1"), ended(1, "p1"), _SAVED],
    "failed": [Created(key(1), "p1"), ended(1, "p1", "failed")],
    "canceled": [Created(key(1), "p1"), ended(1, "p1", "canceled")],
    "unknown": [ended(1, None, "unknown")],
    "expired": [Created(key(1), "p1"), ended(1, "p1"), Expired(key(1), error("gone"))],
}
_STATES = [
    "absent",
    *_STEPS,
    *(f"{whose} {state}" for whose in ("their", "dead") for state in ("intent", "created")),
]


async def _in_state(runs: Runs, name: str) -> Ledger:
    """A run, and row 1 in a state: of this run, of another one that lives ("their"), or of one that died."""
    *whose, state = name.split()
    ours = await runs.begin()
    writer = await runs.begin() if whose else ours
    if state != "absent":
        await writer.claim([intent(1)])
        await do(writer, *_STEPS[state])
    if whose == ["dead"]:
        await runs.kill(writer)
    return ours


# What each event makes of row 1, by the state that it was in; in all others it is refused. None: the row is not known.
_EVENTS: dict[str, tuple[Event, dict[str, str | None]]] = {
    "Created": (Created(key(1), "p9"), {"intent": "created"}),
    "Withdrawn": (
        Withdrawn(key(1)),
        {"absent": None, "intent": None}
        | {each: each for each in ("finished", "saved", "failed", "canceled", "unknown", "expired")},
    ),
    "Refused as failed": (
        Refused(key(1), text(1), "failed", error("bad input")),
        {"absent": "failed", "intent": "failed", "canceled": "failed"},
    ),
    "Refused as canceled": (
        Refused(key(1), text(1), "canceled", error("no such file")),
        {"absent": "canceled", "intent": "canceled", "canceled": "canceled"},
    ),
    "Ended": (
        ended(1, "p1"),
        dict.fromkeys(
            ("intent", "created", "finished", "saved", "failed", "canceled", "expired"), "finished"
        ),
    ),
    "Ended as another's": (ended(1, "p9"), {"intent": "finished"}),
    "Ended without an id": (ended(1, None, "unknown"), {"intent": "unknown", "unknown": "unknown"}),
    "Canceling": (Canceling(key(1)), {"created": "created"}),
    "Confirmed": (Confirmed(key(1), "p1"), {"created": "created"}),
    "Confirmed with another": (Confirmed(key(1), "p9"), {}),
    "Disowned": (Disowned(key(1), "p1", error("not its own"), SENT), {}),
    "Saved": (_SAVED, dict.fromkeys(("finished", "saved", "expired"), "saved")),
    "Unsaved": (
        Unsaved(key(1), error("disk full", "FileError")),
        {"finished": "finished", "saved": "saved"},
    ),
    "Expired": (Expired(key(1), error("gone")), dict.fromkeys(("finished", "saved", "expired"), "expired")),
}


class LedgerSuite:
    """Tests of a ledger. The fixture `store` gives a `LedgerStore`, `url` names a ledger in it that nobody has used.

    `kill` lets the run of an open ledger die: what a process that is killed leaves behind, and as late as others can
    see that it is dead. Set `has_administrator = False` where a store has none; what needs one is skipped then.
    """

    has_administrator: bool = True
    """Whether the store gives somebody who looks after a ledger."""

    @pytest.fixture
    def store(self) -> LedgerStore:
        """The store to test."""
        raise TypeError("Override the fixture `store` with one that gives your store.")

    @pytest.fixture
    def url(self) -> str:
        """The URL of a ledger of that store that nobody has used."""
        raise TypeError("Override the fixture `url` with one that gives the URL of a new ledger.")

    async def kill(self, ledger: Ledger) -> None:
        """Let the run of a ledger die, without closing it."""
        raise TypeError("Override the method `kill` with one that lets the run of a ledger die.")

    @pytest.fixture
    def runs(self, store: LedgerStore, url: str) -> Runs:
        """Runs that share the ledger."""
        return Runs(store, url, self.kill)

    # What it says of itself.

    def test_it_is_a_store_of_ledgers(self, store: LedgerStore, url: str) -> None:
        assert isinstance(store, LedgerStore), "the store lacks ledger() or administrator()"
        assert isinstance(store.ledger(url), Ledger), "ledger() gives something that lacks a verb"

    def test_what_is_no_url_of_it_is_refused(self, store: LedgerStore) -> None:
        with pytest.raises(ConfigError):
            store.ledger("no-such-scheme://")

    @story
    async def test_an_open_ledger_is_not_lost_and_its_lease_goes_on(self, runs: Runs) -> None:
        ledger = await runs.begin()
        assert ledger.lost is None, "a new ledger says that it was lost"
        assert ledger.lease_until > elapsed(), "the lease of an open ledger has run out"
        assert isinstance(await ledger.rescue(), str), "rescue() gives no sentence"

    @story
    async def test_it_can_be_closed_twice(self, runs: Runs) -> None:
        ledger = await runs.begin()
        await ledger.close()
        await ledger.close()

    @story
    async def test_what_was_written_is_there_for_the_next_run(self, runs: Runs) -> None:
        ledger = await runs.begin()
        await _create(ledger, 1)
        await do(ledger, ended(1, "p1"))
        await runs.close(ledger)
        found = await _one(await runs.begin(), 1)
        assert (found.state, found.prediction_id, found.output) == ("finished", "p1", '"a poem"')

    @story
    async def test_plans_read_before_a_run_begins(self, runs: Runs) -> None:
        planning, _ = await runs.plan()
        assert list(await planning.find([key(1)])) == [None], "a new ledger knows a row"
        assert await planning.spending(Price(each=1.0)) == (Spent(), 0)
        assert await planning.kept_inputs() == 0
        assert list(await planning.shown_to("a")) == []
        ledger = await runs.begin(account="a")
        await _create(ledger, 1)
        assert (await _one(planning, 1)).holder == "theirs", (
            "a plan does not see what other runs have written"
        )
        assert (await planning.spending(Price(each=1.0))).under_way == 1
        assert await planning.kept_inputs() == 1
        assert list(await planning.shown_to("a")) == ["p1"]

    # Sequences: empty, large, with duplicates, in order.

    @story
    async def test_verbs_take_nothing(self, runs: Runs) -> None:
        ledger = await runs.begin()
        for verb in (ledger.find, ledger.claim, ledger.take_over, ledger.record, ledger.take_names):
            assert list(await verb([])) == [], f"{verb.__name__}([]) does not give an empty sequence"
        assert not await ledger.owners([]), "owners([]) names owners"

    @story
    async def test_answers_are_in_the_order_of_what_was_asked(self, runs: Runs) -> None:
        ledger = await runs.begin()
        await ledger.claim([intent(n) for n in (3, 1, 2)])
        answers = await ledger.record([Created(key(2), "p2"), Created(key(9), "p9"), Created(key(1), "p1")])
        assert list(answers) == [True, False, True], "record() answers in another order than it was asked"
        asked = [2, 9, 3, 1]
        for found in (
            await ledger.find([key(n) for n in asked]),
            await ledger.take_over([key(n) for n in asked]),
        ):
            known = [each and each.key for each in found]
            assert known == [key(2), None, key(3), key(1)], (
                "entries come in another order than they were asked for"
            )

    @story
    async def test_a_call_may_have_thousands_of_rows(self, runs: Runs) -> None:
        ledger, other = await runs.begin(), await runs.begin()
        rows = range(_MANY)
        assert list(await ledger.claim([intent(n) for n in rows])) == [None] * _MANY
        assert all(await ledger.record([Created(key(n), f"p{n}") for n in rows]))
        assert all(await ledger.record([ended(n, f"p{n}") for n in rows]))
        keys = [key(n) for n in rows]
        found = await other.find(keys)
        assert [each and each.prediction_id for each in found] == [f"p{n}" for n in rows]
        assert all(each and each.holder == "nobody" for each in await other.take_over(keys))
        owners = await other.owners([f"p{n}" for n in range(2 * _MANY)])
        assert {id: each.key for id, each in owners.items()} == {f"p{n}": key(n) for n in rows}
        names = [Name(FOLDER, f"poem-{n}", key(n)) for n in rows]
        assert list(await other.take_names(names)) == [True] * _MANY

    @story
    async def test_a_key_may_come_twice_in_a_call(self, runs: Runs) -> None:
        ledger = await runs.begin()
        first, second = await ledger.claim([intent(1), intent(1, at=SENT + 5)])
        assert first is None, "the first claim of a row that nobody has is refused"
        assert second is not None, "one call gave the same row to two creates"
        assert (second.state, second.holder) == ("intent", "ours")
        found = await ledger.find([key(1), key(1)])
        assert len(found) == 2, "find() leaves out a key that comes twice"
        assert found[0] == found[1]
        answers = await ledger.record(
            [Created(key(1), "p1"), ended(1, "p1"), Withdrawn(key(1)), Canceling(key(1))]
        )
        assert list(answers) == [True, True, True, False], "events of one call are not taken in their order"
        assert list(await ledger.take_names([Name(FOLDER, "a", key(1)), Name(FOLDER, "a", key(2))])) == [
            True,
            False,
        ]

    @story
    async def test_equal_rows_that_share_no_prediction_are_told_apart(self, runs: Runs) -> None:
        ledger = await runs.begin()
        assert list(await ledger.claim([intent(1, 0), intent(1, 1)])) == [None, None], (
            "samples are taken for one row"
        )
        await do(ledger, Created(key(1, 1), "p1"))
        first, second = await ledger.find([key(1, 0), key(1, 1)])
        assert first is not None
        assert second is not None
        assert (first.state, second.state) == ("intent", "created")

    # Claims.

    @story
    async def test_a_row_that_is_claimed_is_an_intent_of_the_run(self, runs: Runs) -> None:
        ledger, other = await runs.begin(account="digest"), await runs.begin()
        sent = intent(1, clock="ours")
        assert list(await ledger.claim([sent])) == [None]
        found = await _one(ledger, 1)
        assert (found.state, found.holder, found.before) == ("intent", "ours", None)
        assert (found.fingerprint, found.sent_at, found.settled_at, found.clock) == sent[2:]
        assert found.account == "digest", "an entry lacks the account of the run that wrote to it"
        assert not found.is_known, "an intent over nothing has a prediction"
        assert (await _one(other, 1)).holder == "theirs", "a run that lives is not seen to have its row"

    @story
    async def test_the_same_claim_again_gives_the_same_answer(self, runs: Runs) -> None:
        ledger = await runs.begin()
        for _ in range(3):
            assert list(await ledger.claim([intent(1)])) == [None], "a claim whose answer was lost is refused"
        (found,) = await ledger.claim([intent(1, at=SENT + 1)])
        assert found is not None, (
            "a second create was allowed while the first is unresolved: it would be paid twice"
        )
        assert (found.holder, found.sent_at) == ("ours", SENT), (
            "a claim that was refused has changed the intent"
        )
        await do(ledger, Created(key(1), "p1"))
        (found,) = await ledger.claim([intent(1)])
        assert found is not None, "a row whose prediction is under way was claimed"
        assert found.prediction_id == "p1"

    @story
    async def test_of_two_runs_one_gets_a_row(self, runs: Runs) -> None:
        first, second = await runs.begin(), await runs.begin()
        assert list(await first.claim([intent(1)])) == [None]
        (found,) = await second.claim([intent(1, at=SENT + 1)])
        assert found is not None, "two runs have claimed the same row"
        assert (found.state, found.holder, found.sent_at) == ("intent", "theirs", SENT)
        (found,) = await second.claim([intent(1)])
        assert found is not None, "a claim of another run is taken for its own"

    @story
    async def test_of_runs_that_claim_at_once_one_gets_each_row(self, runs: Runs) -> None:
        ledgers = [await runs.begin() for _ in range(4)]
        rows = range(50)
        tasks = [
            ledger.claim([intent(n, at=SENT + number)]) for n in rows for number, ledger in enumerate(ledgers)
        ]
        answers = [claimed for (claimed,) in await asyncio.gather(*tasks)]
        for n in rows:
            won = answers[n * 4 : n * 4 + 4].count(None)
            assert won == 1, f"{won} of 4 runs were given row {n}"

    @pytest.mark.parametrize("state", ["finished", "saved", "failed", "canceled", "unknown", "expired"])
    @pytest.mark.parametrize("redone", [True, False])
    @story
    async def test_a_row_is_claimed_again_only_where_the_run_pays_for_it(
        self, runs: Runs, state: str, redone: bool
    ) -> None:
        await runs.close(await _in_state(runs, state))
        redo = frozenset({state}) if redone else _REDO - {state}
        ledger = await runs.begin(redo=redo)
        before = await _one(ledger, 1)
        (found,) = await ledger.claim([intent(1, at=SENT + 100)])
        if not redone:
            assert found == before, (
                f"a row that is {state} was claimed, or changed, though the run does not redo it"
            )
            assert await _one(ledger, 1) == before
            return
        assert found is None, f"a row that is {state} was not claimed, though the run redoes it"
        now = await _one(ledger, 1)
        assert (now.state, now.before, now.holder) == ("intent", state, "ours")
        assert now.sent_at == SENT + 100
        for name in ("prediction_id", "status", "output", "stored", "error", "seconds", "cost"):
            known = getattr(before, name)
            assert getattr(now, name) == known, (
                f"the {name} of an earlier prediction is forgotten by a mere intent"
            )
        await do(ledger, Withdrawn(key(1)))
        again = await _one(ledger, 1)
        assert (again.state, again.before, again.holder) == (state, None, "nobody"), (
            "a withdrawal is not undone"
        )
        assert again.prediction_id == before.prediction_id

    @pytest.mark.parametrize("state", ["intent", "created"])
    @pytest.mark.parametrize("whose", ["their ", "dead "])
    @story
    async def test_what_is_open_is_not_claimed(self, runs: Runs, whose: str, state: str) -> None:
        await _in_state(runs, whose + state)
        ledger = await runs.begin(redo=_REDO | {state})
        (found,) = await ledger.claim([intent(1, at=SENT + 1)])
        assert found is not None, f"a row with a prediction under way ({whose}{state}) was claimed again"
        assert (found.state, found.holder) == (state, "theirs" if whose == "their " else "nobody")

    # Runs that die.

    @pytest.mark.parametrize("state", ["intent", "created"])
    @story
    async def test_what_a_dead_run_left_is_taken_over_by_one(self, runs: Runs, state: str) -> None:
        first = await _in_state(runs, f"dead {state}")
        second = await runs.begin()
        assert (await _one(first, 1)).holder == "nobody", "the row of a dead run still has a holder"
        (taken,), (seen,) = await asyncio.gather(first.take_over([key(1)]), second.take_over([key(1)]))
        assert taken is not None
        assert seen is not None
        holders = sorted([taken.holder, seen.holder])
        assert holders == ["ours", "theirs"], f"of two runs that take over one row, the holders are {holders}"
        owner = first if taken.holder == "ours" else second
        (again,) = await owner.take_over([key(1)])
        assert again is not None
        assert again.holder == "ours", "the same call again gives another answer"
        assert (again.state, again.sent_at) == (state, SENT), (
            "what was sent is forgotten when a row is taken over"
        )
        await do(owner, ended(1, "p1"))

    @pytest.mark.parametrize("state", ["intent", "created"])
    @story
    async def test_what_a_living_run_has_is_not_taken_over(self, runs: Runs, state: str) -> None:
        ledger = await _in_state(runs, f"their {state}")
        (found,) = await ledger.take_over([key(1)])
        assert found is not None
        assert found.holder == "theirs", "a row was taken from a run that lives"

    @story
    async def test_what_has_ended_is_left_as_it_is(self, runs: Runs) -> None:
        ledger = await _in_state(runs, "finished")
        before = await _one(ledger, 1)
        await runs.kill(ledger)
        other = await runs.begin()
        known, unknown = await other.take_over([key(1), key(2)])
        assert known == before, "take_over() has changed a row that has ended"
        assert unknown is None, "take_over() knows a row that is not there"

    @pytest.mark.parametrize("state", ["intent", "created"])
    @story
    async def test_closing_lets_others_take_over(self, runs: Runs, state: str) -> None:
        ledger = await _in_state(runs, state)
        await runs.close(ledger)
        (found,) = await (await runs.begin()).take_over([key(1)])
        assert found is not None
        assert found.holder == "ours", "a run that was closed is still taken to be alive"

    # Events.

    @pytest.mark.parametrize("state", _STATES)
    @pytest.mark.parametrize("name", _EVENTS)
    @story
    async def test_an_event_is_accepted_where_the_row_is_as_it_says(
        self, runs: Runs, name: str, state: str
    ) -> None:
        event, accepted = _EVENTS[name]
        ledger = await _in_state(runs, state)
        (before,) = await ledger.find([key(1)])
        first = list(await ledger.record([event]))
        (after,) = await ledger.find([key(1)])
        again = list(await ledger.record([event]))
        (at_last,) = await ledger.find([key(1)])
        assert first == [state in accepted], f"{event!r} of a row that is {state!r} was answered {first}"
        assert again == first, f"{event!r} of a row that was {state!r} was answered {first}, and then {again}"
        assert _timeless(at_last) == _timeless(after), f"{event!r} again has changed the row again"
        if state not in accepted:
            assert after == before, f"{event!r} of a row that is {state!r} was refused, and has changed it"
        else:
            found = after and after.state
            assert found == accepted[state], f"{event!r} of a row that was {state!r} has left it {found!r}"
        (written,) = await ledger.claim([intent(2)])
        assert written is None, "the ledger cannot be used after an event"

    @story
    async def test_a_refused_event_stops_none_after_it(self, runs: Runs) -> None:
        ledger = await runs.begin()
        await ledger.claim([intent(1), intent(2), intent(3)])
        events: list[Event] = [
            Created(key(1), "p1"),
            Created(key(2), "p1"),
            Saved(key(3), "{}", FOLDER),
            Created(key(3), "p3"),
        ]
        assert list(await ledger.record(events)) == [True, False, False, True]
        states = [each and each.state for each in await ledger.find([key(n) for n in (1, 2, 3)])]
        assert states == ["created", "intent", "created"]

    @story
    async def test_a_group_that_is_sent_again_gives_the_same_answers(self, runs: Runs) -> None:
        ledger = await runs.begin()
        await ledger.claim([intent(1), intent(2)])
        events: list[Event] = [
            Created(key(1), "p1"),
            ended(1, "p1"),
            _SAVED,
            Created(key(2), "p1"),
            Withdrawn(key(2)),
        ]
        first = list(await ledger.record(events))
        found = list(await ledger.find([key(1), key(2)]))
        assert first == [True, True, True, False, True]
        assert list(await ledger.record(events)) == first, (
            "a group whose answer was lost has other answers now"
        )
        assert list(await ledger.find([key(1), key(2)])) == found, (
            "a group that was sent again has changed rows"
        )

    @story
    async def test_what_came_out_is_kept(self, runs: Runs) -> None:
        ledger = await runs.begin(account="digest")
        await _create(ledger, 1)
        event = ended(1, "p1")
        await do(ledger, event)
        found = await _one(ledger, 1)
        expected = (event.state, event.status, event.output, event.error, event.seconds, event.cost)
        assert (found.state, found.status, found.output, found.error, found.seconds, found.cost) == expected
        assert found.finished_at == event.finished_at
        assert (found.holder, found.account, found.before) == ("nobody", "digest", None)
        (bare,) = await ledger.find([key(1)], outputs=False)
        whole = found._replace(output=None)
        lean = whole._replace(fingerprint=b"", sent_at=0.0, settled_at=0.0, clock="server", account=None)
        assert bare in (whole, lean), (
            "find(outputs=False) leaves out something else than the output and what was noted of the create"
        )

    @story
    async def test_what_is_under_way_is_found_whole_without_outputs(self, runs: Runs) -> None:
        ledger = await runs.begin(account="digest")
        await ledger.claim([intent(1), intent(2)])
        await do(ledger, Created(key(2), "p2"))
        keys = [key(3), key(1), key(2)]
        assert await ledger.find(keys, outputs=False) == await ledger.find(keys)

    @story
    async def test_a_prediction_that_was_never_named_is_the_rows_when_it_has_ended(self, runs: Runs) -> None:
        ledger = await runs.begin()
        await ledger.claim([intent(1), intent(2)])
        await do(ledger, ended(1, "p1"))
        assert (await _one(ledger, 1)).prediction_id == "p1"
        assert list(await ledger.record([ended(2, "p1")])) == [False], "a prediction was given to two rows"
        assert (await ledger.owners(["p1"]))["p1"].key == key(1)

    @story
    async def test_an_output_that_is_looked_at_again_keeps_its_cost(self, runs: Runs) -> None:
        ledger = await _in_state(runs, "saved")
        other = await runs.begin()
        await do(other, ended(1, "p1", output='"fresh"', seconds=None, cost=None, finished_at=SENT + 40))
        found = await _one(other, 1)
        assert (found.state, found.output, found.finished_at) == ("finished", '"fresh"', SENT + 40)
        assert (found.seconds, found.cost) == (2.5, 0.5), "what a prediction has cost was forgotten"
        assert (found.stored, found.stored_in) == _SAVED[1:], "where files are stored was forgotten"
        await do(other, ended(1, "p1", seconds=9.0, cost=9.0))
        found = await _one(ledger, 1)
        assert (found.seconds, found.cost) == (2.5, 0.5), "what a prediction has cost was changed afterwards"

    @story
    async def test_one_that_the_api_does_not_know_keeps_its_id(self, runs: Runs) -> None:
        ledger = await _in_state(runs, "created")
        await do(ledger, ended(1, "p1", "unknown"))
        found = await _one(ledger, 1)
        assert (found.state, found.prediction_id) == ("unknown", "p1")
        assert "p1" in await ledger.owners(["p1"])

    @story
    async def test_a_row_that_was_canceled_by_us_says_so(self, runs: Runs) -> None:
        ledger = await _in_state(runs, "created")
        await do(ledger, Canceling(key(1)))
        assert (await _one(ledger, 1)).status == "canceling"
        await do(ledger, Confirmed(key(1), "p1"))
        assert (await _one(ledger, 1)).status == "canceling", "a confirmation has undone a cancelation"

    @story
    async def test_files_are_saved_unsaved_and_expire(self, runs: Runs) -> None:
        ledger = await _in_state(runs, "finished")
        await do(ledger, Unsaved(key(1), error("disk full")))
        assert (await _one(ledger, 1)).error == error("disk full")
        await do(ledger, _SAVED)
        found = await _one(ledger, 1)
        assert (found.stored, found.stored_in, found.error) == (*_SAVED[1:], None)
        await do(ledger, Expired(key(1), error("gone")))
        found = await _one(ledger, 1)
        assert (found.state, found.status, found.error) == ("expired", "expired", error("gone"))
        assert (found.stored, found.output) == (_SAVED.stored, '"a poem"'), (
            "what is left of the files is forgotten"
        )
        await do(ledger, _SAVED)
        found = await _one(ledger, 1)
        assert (found.state, found.status, found.error) == ("saved", "succeeded", None)

    # What the API or we refuse.

    @story
    async def test_a_refused_row_is_rejected(self, runs: Runs) -> None:
        ledger = await runs.begin()
        await ledger.claim([intent(1)])
        await do(ledger, Refused(key(1), text(1), "failed", error("bad")))
        found = await _one(ledger, 1)
        assert (found.state, found.status, found.error) == ("failed", "rejected", error("bad"))
        assert not found.is_known, "a row that was refused has a prediction"

    @pytest.mark.parametrize(
        ("before", "refusal", "after"),
        [
            ("unknown", "failed", "unknown"),
            ("unknown", "canceled", "unknown"),
            ("expired", "failed", "expired"),
            ("expired", "canceled", "expired"),
            ("failed", "canceled", "failed"),
            ("failed", "failed", "failed"),
            ("canceled", "failed", "failed"),
            ("canceled", "canceled", "canceled"),
        ],
    )
    @pytest.mark.parametrize("claimed", [True, False])
    @story
    async def test_a_refusal_keeps_what_was_paid(
        self, runs: Runs, before: str, refusal: Any, after: str, claimed: bool
    ) -> None:
        await runs.close(await _in_state(runs, before))
        ledger = await runs.begin(redo=_REDO)
        old = await _one(ledger, 1)
        if claimed:
            await ledger.claim([intent(1, at=SENT + 100)])
        event = Refused(key(1), text(1), refusal, error("bad"))
        new = old
        for _ in range(2):
            await do(ledger, event)
            new = await _one(ledger, 1)
            assert (new.state, new.error) == (after, error("bad")), (
                f"a refusal made {new.state!r} of {before!r}"
            )
        stays = before in ("unknown", "expired") or (before, refusal) == ("failed", "canceled")
        if stays:
            kept = (new.prediction_id, new.status, new.output, new.cost)
            assert kept == (old.prediction_id, old.status, old.output, old.cost), (
                "what was paid for is forgotten"
            )
        else:
            assert (new.prediction_id, new.status, new.cost) == (None, "rejected", None)
        if old.prediction_id:
            assert old.prediction_id in await ledger.owners([old.prediction_id]), (
                "a paid prediction is forgotten"
            )
        spent = (await ledger.spending(Price())).spent
        assert spent.predictions == 1, "what was paid for before a refusal is not counted"

    @story
    async def test_an_intent_is_withdrawn_with_a_refusal_that_is_refused(self, runs: Runs) -> None:
        await runs.close(await _in_state(runs, "failed"))
        dead = await runs.begin(redo=_REDO)
        await dead.claim([intent(1, at=SENT + 100)])
        await runs.kill(dead)
        ledger = await runs.begin()
        await ledger.take_over([key(1)])
        answer = await ledger.record([Refused(key(1), text(1), "failed", error("bad"))])
        assert list(answer) == [False], "a refusal has changed an end that the run does not pay for again"
        found = await _one(ledger, 1)
        assert (found.state, found.error) == ("failed", error("it is failed"))

    # Predictions, present and earlier.

    @story
    async def test_a_prediction_belongs_to_one_row(self, runs: Runs) -> None:
        first, second = await runs.begin(), await runs.begin()
        await _create(first, 1)
        await second.claim([intent(2)])
        assert list(await second.record([Created(key(2), "p1")])) == [False], (
            "one prediction belongs to two rows"
        )
        assert (await _one(second, 2)).state == "intent"
        await do(second, Created(key(2), "p2"))

    @story
    async def test_an_earlier_prediction_still_belongs_to_its_row(self, runs: Runs) -> None:
        ledger = await _in_state(runs, "canceled")
        await ledger.claim([intent(1, at=SENT + 100), intent(2)])
        for n in (1, 2):
            events: list[Event] = [Created(key(n), "p1"), ended(n, "p1")]
            for event in events:
                assert list(await ledger.record([event])) == [False], (
                    f"row {n} was given an earlier prediction"
                )
        await do(ledger, Created(key(1), "p3"))
        found = await _one(ledger, 1)
        assert (found.prediction_id, found.status, found.output, found.error, found.cost) == (
            "p3",
            *(None,) * 4,
        )
        assert list(await ledger.record([Created(key(2), "p1")])) == [False], (
            "an earlier prediction was given away"
        )
        owners = await ledger.owners(["p1", "p3", "p4"])
        assert {id: each.key for id, each in owners.items()} == {"p1": key(1), "p3": key(1)}
        spent = (await ledger.spending(Price())).spent
        assert spent == Spent(1, 2.5, 0.5), "what an earlier prediction has cost is forgotten"

    @story
    async def test_owners_are_described(self, runs: Runs) -> None:
        ledger, other = await runs.begin(), await runs.begin("acme/painter")
        await _create(ledger, 1)
        (mine,) = (await ledger.owners(["p1"])).values()
        assert mine == (key(1), True, text(1), intent(1).fingerprint)
        (theirs,) = (await other.owners(["p1"])).values()
        assert theirs.is_of_model is False, "a prediction of another model is taken for one of the run's"

    @story
    async def test_recent_predictions_are_named(self, runs: Runs) -> None:
        ledger, other = await runs.begin(), await runs.begin("acme/painter")
        await _create(ledger, 1, at=SENT + 500)
        await _create(ledger, 2, at=SENT + 300)
        await _create(ledger, 3, at=SENT + 100)
        await _create(ledger, 4, at=SENT + 100, clock="ours")
        await _create(other, 5, at=SENT + 500)
        await ledger.claim([intent(6, at=SENT + 500)])
        assert list(await ledger.recent(SENT + 200)) == ["p4", "p2", "p1"], (
            "recent() is to name the predictions of this model whose creates may have been acted on since then, the "
            "oldest first: within the 2 minutes by which clocks may differ, where only our own clock was known"
        )
        assert list(await ledger.recent(SENT + 5000)) == []
        assert list(await other.recent(SENT)) == ["p5"]

    # Inputs that are not to be kept.

    @story
    async def test_inputs_are_kept(self, runs: Runs) -> None:
        ledger = await runs.begin()
        await ledger.claim([intent(1), intent(2)])
        await do(ledger, Refused(key(3), text(3), "failed", error("bad")))
        assert await ledger.kept_inputs() == 3

    @story
    async def test_without_inputs_there_are_hashes(self, runs: Runs) -> None:
        ledger = await runs.begin(keeps_inputs=False)
        await _create(ledger, 1)
        await ledger.claim([intent(n) for n in (2, 3)])
        await do(
            ledger,
            ended(1, "p1", "failed", error=error("no")),
            Refused(key(2), text(2), "failed", error("what?")),
            Refused(key(4), text(4), "canceled", error("not found")),
        )
        for n in (1, 2, 3, 4):
            entry = await _one(ledger, n)
            assert "wombat" not in repr(entry), f"the ledger keeps an input: {entry}"
        assert await ledger.kept_inputs() == 0, "a run without inputs has left some"
        owner = (await ledger.owners(["p1"]))["p1"]
        assert owner == (key(1), True, None, intent(1).fingerprint)
        if not self.has_administrator:
            return
        for record in runs.administrator().records():
            assert "wombat" not in repr(record), f"a record has an input, or quotes one: {record}"
            n = int.from_bytes(record.entry.key.digest)
            assert record.input == input_hash(text(n)), (
                "a record has something else than the hash of its input"
            )

    # Names, pins, accounts.

    @story
    async def test_a_name_belongs_to_one_row(self, runs: Runs) -> None:
        first, second = await runs.begin(), await runs.begin()
        names = [Name(FOLDER, "a", key(1)), Name(FOLDER, "b", key(1)), Name("/elsewhere", "a", key(2))]
        for _ in range(2):
            assert list(await first.take_names(names)) == [True] * 3, "a row lost a name that it had taken"
        others = [Name(FOLDER, "a", key(2)), Name(FOLDER, "a", key(1, 1)), Name(FOLDER, "c", key(2))]
        assert list(await second.take_names(others)) == [False, False, True], "one name was given to two rows"

    @story
    async def test_a_reference_is_pinned_to_a_version(self, runs: Runs) -> None:
        planning, _ = await runs.plan()
        assert await planning.version_of(MODEL) is None
        await runs.begin(pin=(MODEL, "v1"))
        await runs.begin()
        assert await planning.version_of(MODEL) == "v1", "a run without a pin has undone one"
        await runs.begin(pin=(MODEL, "v2"))
        assert await planning.version_of(MODEL) == "v2"
        assert await planning.version_of("acme/painter") is None

    @story
    async def test_accounts_are_known_by_what_they_were_shown(self, runs: Runs) -> None:
        first = await runs.begin(account="a")
        assert list(await first.shown_to("a")) == []
        await _create(first, 1)
        await _create(first, 2)
        second = await runs.begin(account="a", shown="seen")
        await _create(second, 3)
        third = await runs.begin(account="b")
        await _create(third, 4)
        await _create(await runs.begin(), 5)
        assert list(await first.shown_to("a")) == ["seen", "p1"], (
            "shown_to() is to name what each run of the account was shown first, the latest run first"
        )
        assert list(await first.shown_to("b")) == ["p4"]

    @story
    async def test_a_few_predictions_are_enough_to_know_an_account_by(self, runs: Runs) -> None:
        for n in range(12):
            ledger = await runs.begin(account="a", shown=f"p{n}")
            await runs.close(ledger)
        shown = list(await (await runs.begin()).shown_to("a"))
        assert 0 < len(shown) < 12, f"shown_to() names {len(shown)} predictions: each is a request"
        assert shown == [f"p{11 - n}" for n in range(len(shown))]

    @story
    async def test_a_run_may_begin_twice(self, runs: Runs) -> None:
        ledger, id = await runs.plan()
        run = Run(id, MODEL, 1, account="a", pin=(MODEL, "v1"))
        await ledger.begin(run)
        await _create(ledger, 1)
        await ledger.begin(run)
        assert list(await ledger.shown_to("a")) == ["p1"], (
            "what an account was shown is forgotten by the same call"
        )
        assert await ledger.version_of(MODEL) == "v1"

    # Money.

    @story
    async def test_what_was_spent_is_added_up(self, runs: Runs) -> None:
        ledger, other = await runs.begin(), await runs.begin("acme/painter")
        nothing = await ledger.spending(Price())
        assert nothing == (Spent(), 0)
        for n in (1, 2, 3, 4):
            await _create(ledger, n)
        await _create(other, 5)
        await ledger.claim([intent(6), intent(7)])
        await do(
            ledger,
            ended(1, "p1"),
            ended(2, "p2", "failed", seconds=4.0, cost=None),
            ended(3, "p3", "canceled", status="aborted", seconds=0.0, cost=None),
            ended(7, None, "unknown", seconds=None, cost=None),
            Refused(key(8), text(8), "failed", error("bad")),
        )
        spent, under_way = await ledger.spending(Price(each=1.0, second=0.1, longest=100.0))
        assert under_way == 3, "what is under way, or may be, is to be counted for all runs"
        assert spent.predictions == 3, (
            "what is billed, or may be, counts; what never began or was refused does not"
        )
        assert spent.seconds == pytest.approx(2.5 + 4.0 + 100.0)
        assert spent.money == pytest.approx(0.5 + 1.4 + 11.0), (
            "a cost that is not known is counted by the price"
        )
        assert await other.spending(Price(each=1.0, second=0.1, longest=100.0)) == (spent, under_way)

    @story
    async def test_what_predictions_used_of_metrics_is_added_up(self, runs: Runs) -> None:
        ledger, other = await runs.begin(redo=_REDO), await runs.begin("acme/painter")
        odd = 'it\'s "odd" {0} %s $.x'
        for n in (1, 2, 3, 6):
            await _create(ledger, n)
        await ledger.claim([intent(4), intent(5)])
        await do(
            ledger,
            ended(1, "p1", cost=None, used={"tokens": 7.0, odd: 0.5}),
            ended(2, "p2", "failed", cost=None),
            ended(3, "p3", "canceled", status="aborted", seconds=0.0, cost=None),
            ended(4, "p4", cost=0.125, used={"tokens": 0.0}),
            ended(5, None, "unknown", seconds=None, cost=None),
            ended(6, "p6", "failed", cost=None, used={"tokens": 11.0}),
        )
        await do(ledger, ended(1, "p1", cost=None, used={"tokens": 99.0}))
        await _create(ledger, 6, "q6", at=SENT + 100)
        price = Price(each=1.0, units={"tokens": 0.25}, mosts={odd: 2.0, "tokens": 100.0})
        spent, under_way = await other.spending(price)
        assert (spent.predictions, under_way) == (5, 1)
        assert spent.metrics == pytest.approx(
            {odd: 0.5 + 4 * 2.0, "tokens": 7.0 + 100.0 + 0.0 + 100.0 + 11.0}
        ), "what is not known counts as the most, and what an earlier prediction used is known"
        assert spent.money == pytest.approx(0.125 + 4 * 1.0 + 0.25 * (7.0 + 100.0 + 100.0 + 11.0))

    # Many at once.

    @story
    async def test_verbs_are_called_while_others_are_under_way(self, runs: Runs) -> None:
        ledger = await runs.begin()

        async def bring(n: int) -> None:
            await _create(ledger, n)
            await asyncio.gather(ledger.find([key(n)]), ledger.owners([f"p{n}"]), ledger.spending(Price()))
            await do(ledger, ended(n, f"p{n}"))

        await asyncio.gather(*(bring(n) for n in range(60)))
        states = {each and each.state for each in await ledger.find([key(n) for n in range(60)])}
        assert states == {"finished"}, f"of rows that were brought to their end at once, some are {states}"

    @story
    async def test_it_can_be_used_after_a_call_was_cancelled(self, runs: Runs) -> None:
        ledger = await runs.begin()
        task = asyncio.create_task(_claimed(ledger, 1))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert list(await ledger.claim([intent(1)])) == [None], (
            "a claim cannot be asked for again after a cancel"
        )

    # Somebody who looks after it.

    @pytest.fixture
    def looked_after(self) -> None:
        """Skip what needs an administrator where there is none."""
        if not self.has_administrator:
            pytest.skip("The store has no administrator.")

    @pytest.mark.usefixtures("looked_after")
    def test_a_ledger_that_is_not_there_cannot_be_looked_after(self, store: LedgerStore, url: str) -> None:
        with pytest.raises(JournalError):
            store.administrator(url).summary()
        store.ledger(url)
        with pytest.raises(JournalError):
            store.administrator(url).summary()

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_a_summary_says_what_there_is(self, runs: Runs) -> None:
        ledger, other = await _in_state(runs, "canceled"), await runs.begin("acme/painter")
        await _create(ledger, 1, "p2", at=SENT + 100)
        await do(ledger, ended(1, "p2"))
        await _create(other, 2, "p3")
        await ledger.claim([intent(3)])
        administrator = runs.administrator()
        found = administrator.summary()
        assert found.models == ("acme/painter", MODEL)
        assert dict(found.states) == {"created": 1, "finished": 1, "intent": 1}
        assert found.cost == pytest.approx(1.0), "the cost of an earlier prediction counts"
        assert found.in_use
        assert found.size >= 0
        assert abs(found.changed_at - time.time()) < 3600
        await runs.close(ledger)
        await runs.close(other)
        assert not administrator.summary().in_use, "a ledger is in use after its runs were closed"
        administrator.close()

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_records_come_in_the_order_of_the_rows(self, runs: Runs) -> None:
        ledger = await runs.begin()
        for n in (3, 1, 2):
            await _create(ledger, n)
        await do(ledger, ended(1, "p1", "canceled"))
        await _create(ledger, 1, "p9", at=SENT + 100)
        await do(ledger, ended(1, "p9"))
        administrator = runs.administrator()
        records = list(administrator.records())
        assert [each.entry.prediction_id for each in records] == ["p3", "p9", "p2"]
        assert [each.attempts for each in records] == [1, 2, 1]
        assert [(each.model, each.input) for each in records] == [(MODEL, text(n)) for n in (3, 1, 2)]
        assert [each.entry.key for each in administrator.records(["finished"])] == [key(1)]
        assert list(administrator.records([])) == []
        administrator.close()

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_what_was_paid_for_is_listed(self, runs: Runs) -> None:
        ledger = await runs.begin(label="nightly", redo=frozenset({"failed", "unknown"}))
        for n in (1, 2, 3):
            await _create(ledger, n)
        await ledger.claim([intent(4), intent(5)])
        await do(
            ledger, ended(1, "p1"), ended(2, "p2", "failed", cost=None), ended(4, None, "unknown", cost=None)
        )
        await do(ledger, Refused(key(8), text(8), "failed", error("bad")))
        again = await runs.begin(redo=frozenset({"failed", "unknown"}))
        await _create(again, 2, "q2", at=SENT + 100)
        await again.claim([intent(4, at=SENT + 100)])
        administrator = runs.administrator()
        label, end = "nightly", SENT + 30.0
        assert sorted(administrator.payments(), key=str) == sorted(
            (
                Payment(MODEL, label, "succeeded", 0.5, end),
                Payment(MODEL, label, "failed", None, end),
                Payment(MODEL, label, None, None, SENT),
                Payment(MODEL, label, "unknown", None, end),
                Payment(MODEL, label, None, None, SENT),
                Payment(MODEL, None, None, None, SENT + 100),
                Payment(MODEL, None, None, None, SENT + 100),
            ),
            key=str,
        ), "an earlier prediction, and one under an intent, was paid for, too"
        administrator.close()

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_a_label_is_of_the_run_that_sent_the_create(self, runs: Runs) -> None:
        first = await runs.begin(label="nightly", redo=frozenset({"failed", "unknown"}))
        await first.claim([intent(n) for n in range(1, 8)])
        await do(first, *(Created(key(n), f"p{n}") for n in (1, 2, 3, 4)), ended(6, None, "unknown"))
        await do(first, ended(1, "p1"), ended(2, "p2", "failed"), ended(3, "p3", "failed"))
        await runs.kill(first)
        second = await runs.begin(label="by hand", redo=frozenset({"failed", "unknown"}))
        await second.take_over([key(4), key(5), key(7)])
        await do(second, Saved(key(1), '{"output": "a.png", "files": []}', FOLDER), ended(4, "p4"))
        await do(second, ended(5, "p5"), Withdrawn(key(7)))
        await second.claim([intent(n, at=SENT + 100) for n in (2, 3, 7)])
        await do(second, Created(key(2), "q2"), Withdrawn(key(3)), ended(7, "q7"))
        administrator = runs.administrator()
        assert administrator.summary().labels == ("by hand", "nightly")
        labels = {each.entry.key: each.label for each in administrator.records()}
        hers = {key(n): "nightly" for n in (1, 3, 4, 5, 6)}
        assert labels == hers | {key(2): "by hand", key(7): "by hand"}
        third = await runs.begin(redo=frozenset({"unknown"}))
        await third.claim([intent(6, at=SENT + 100), intent(8)])
        await do(third, ended(6, "q6"))
        labels = {each.entry.key: each.label for each in administrator.records()}
        assert (labels[key(6)], labels[key(8)]) == (None, None), "a run without a label gives none"
        administrator.close()

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_rows_are_forgotten(self, runs: Runs) -> None:
        ledger = await runs.begin()
        for n in range(1, 6):
            await _create(ledger, n)
        await do(
            ledger,
            ended(1, "p1", finished_at=SENT),
            ended(2, "p2", finished_at=SENT + 1000),
            ended(3, "p3", "failed", finished_at=SENT),
            ended(4, "p4", "canceled", finished_at=SENT),
        )
        await _create(ledger, 4, "p9", at=SENT + 5000)
        await ledger.take_names([Name(FOLDER, "a", key(1)), Name(FOLDER, "b", key(2))])
        administrator = runs.administrator()
        with pytest.raises(JournalError):
            administrator.prune(SENT + 100)
        await runs.close(ledger)
        assert administrator.prune(2 * SENT, ["intent", "created"]) == 0, (
            "what may be under way was forgotten"
        )
        assert administrator.prune(SENT + 100, ["finished"]) == 1
        assert [each.entry.key for each in administrator.records()] == [key(n) for n in (2, 3, 4, 5)]
        assert administrator.prune(SENT + 100) == 1, (
            "prune() is to forget what ended before, and nothing that is open"
        )
        assert [each.entry.key for each in administrator.records()] == [key(n) for n in (2, 4, 5)]
        administrator.close()
        ledger = await runs.begin()
        owners = await ledger.owners(["p1", "p2", "p3", "p4", "p5", "p9"])
        assert sorted(owners) == ["p2", "p4", "p5", "p9"]
        names = [Name(FOLDER, "a", key(2)), Name(FOLDER, "b", key(1))]
        assert list(await ledger.take_names(names)) == [True, False], (
            "the names of a row are its as long as it is known"
        )

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_inputs_are_replaced_by_hashes(self, runs: Runs) -> None:
        ledger = await runs.begin()
        for n in (1, 2):
            await _create(ledger, n)
            quoted = error(f"no {json.loads(text(n))['prompt']!r} here")
            await do(ledger, ended(n, f"p{n}", "canceled", error=quoted))
        await _create(ledger, 2, "p9", at=SENT + 100)
        administrator = runs.administrator()
        with pytest.raises(JournalError):
            administrator.hash_inputs()
        await runs.close(ledger)
        assert administrator.hash_inputs() == 2
        assert administrator.hash_inputs() == 0
        records = list(administrator.records())
        assert [each.input for each in records] == [input_hash(text(n)) for n in (1, 2)]
        assert "wombat" not in repr(records), "an error still quotes an input"
        administrator.close()
        ledger = await runs.begin()
        assert await ledger.kept_inputs() == 0
        assert list(await ledger.claim([intent(1, at=SENT + 100)])) == [None], (
            "a row is not found by its key any more"
        )

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_rows_are_paid_again_where_that_is_asked_for(self, runs: Runs) -> None:
        ledger = await _in_state(runs, "failed")
        await _create(ledger, 2)
        administrator = runs.administrator()
        assert administrator.retry(["failed", "unknown"]) == 1
        administrator.close()
        found = await _one(ledger, 1)
        assert (found.state, found.prediction_id) == ("canceled", "p1"), (
            "what was paid for is forgotten by a retry"
        )
        assert (await _one(ledger, 2)).state == "created"
        assert list(await ledger.claim([intent(1, at=SENT + 100)])) == [None]

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_a_row_is_settled_with_a_prediction_and_confirmed(self, runs: Runs) -> None:
        ledger = await _in_state(runs, "unknown")
        administrator = runs.administrator()
        with pytest.raises(JournalError):
            administrator.settle(key(1).digest.hex(), sample=None, prediction_id="p1", check=True)
        await runs.close(ledger)
        record = administrator.settle(key(1).digest.hex(), sample=0, prediction_id="p1", check=True)
        entry = record.entry
        assert (entry.state, entry.status, entry.prediction_id, entry.error) == (
            "created",
            "adopted",
            "p1",
            None,
        )
        assert record.attempts == 1
        administrator.close()
        ledger = await runs.begin()
        refused: list[Event] = [
            Canceling(key(1)),
            Confirmed(key(1), "p1"),
            Disowned(key(1), "p1", error("no"), SENT),
        ]
        assert list(await ledger.record(refused)) == [False] * 3, (
            "an adopted row belongs to nobody before it is taken"
        )
        (found,) = await ledger.take_over([key(1)])
        assert found is not None
        assert (found.holder, found.status) == ("ours", "adopted")
        assert list(await ledger.record([Canceling(key(1))])) == [False], (
            "what may be another's was to be canceled"
        )
        for _ in range(2):
            await do(ledger, Confirmed(key(1), "p1"))
            assert (await _one(ledger, 1)).status is None
        assert list(await ledger.record([Disowned(key(1), "p1", error("no"), SENT)])) == [False], (
            "a prediction that was confirmed was given away"
        )
        await do(ledger, ended(1, "p1"))

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_a_prediction_that_is_not_the_rows_is_free_again(self, runs: Runs) -> None:
        await runs.close(await _in_state(runs, "unknown"))
        administrator = runs.administrator()
        administrator.settle(key(1).digest.hex()[:30], sample=None, prediction_id="p2", check=True)
        administrator.close()
        ledger = await runs.begin()
        await ledger.take_over([key(1)])
        for _ in range(2):
            await do(ledger, Disowned(key(1), "p2", error("not its own"), SENT + 9))
            found = await _one(ledger, 1)
            assert (found.state, found.status, found.prediction_id) == ("unknown", "unknown", None)
            assert (found.error, found.finished_at) == (error("not its own"), SENT + 9)
        await _create(ledger, 2, "p2")
        (record, _) = runs.administrator().records()
        assert record.attempts == 0, "a prediction that was not the row's counts as an attempt of it"

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_a_row_is_settled_as_absent_or_without_a_check(self, runs: Runs) -> None:
        ledger = await runs.begin()
        await ledger.claim([intent(1), intent(2), intent(2, 1)])
        await do(ledger, ended(1, None, "unknown"))
        await _create(ledger, 3)
        await runs.close(ledger)
        administrator = runs.administrator()
        first, second, third, none = (key(n).digest.hex() for n in (1, 2, 3, 4))
        unchecked = administrator.settle(second, sample=1, prediction_id="p9", check=False)
        assert (unchecked.entry.state, unchecked.entry.status) == ("created", None)
        for digits, sample in ((third, None), (none, None), (first, 7), (first[:28], None)):
            with pytest.raises(JournalError):
                administrator.settle(digits, sample=sample, prediction_id=None, check=True)
        with pytest.raises(JournalError):
            administrator.settle(first, sample=None, prediction_id="p3", check=True)
        assert (
            administrator.settle(first, sample=None, prediction_id=None, check=True).entry.state == "canceled"
        )
        administrator.close()
        ledger = await runs.begin()
        assert list(await ledger.claim([intent(1, at=SENT + 100)])) == [None]
        spent = (await ledger.spending(Price())).spent
        assert spent == Spent(), "a create that somebody knows to be absent is still counted"

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_a_ledger_is_removed(self, runs: Runs) -> None:
        ledger = await _in_state(runs, "finished")
        administrator = runs.administrator()
        with pytest.raises(JournalError):
            administrator.remove()
        await runs.close(ledger)
        administrator.remove()
        administrator.close()
        with pytest.raises(JournalError):
            runs.administrator().summary()
        assert list(await (await runs.begin()).find([key(1)])) == [None], (
            "a ledger that was removed is still there"
        )

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_costs_that_are_not_known_are_filled_in(self, runs: Runs) -> None:
        ledger = await runs.begin(redo=_REDO)
        for n in range(1, 5):
            await _create(ledger, n)
        await do(ledger, ended(1, "p1", cost=None), ended(2, "p2"), ended(3, "p3", "failed", cost=None))
        await _create(ledger, 3, "q3", at=SENT + 100)
        await ledger.claim([intent(5)])
        await do(ledger, ended(3, "q3", status="aborted", cost=None), ended(5, None, "unknown", cost=None))
        administrator = runs.administrator()
        with pytest.raises(JournalError):
            administrator.fill_costs(Price(each=1.0))
        await runs.close(ledger)
        assert administrator.fill_costs(Price()) == 0, "no price says what anything costs"
        assert administrator.fill_costs(Price(each=1.0, second=2.0)) == 2, "one of a row, and an earlier one"
        assert administrator.fill_costs(Price(each=9.0)) == 0, "a cost that is known stays"
        costs = [each.cost for each in administrator.payments()]
        assert sorted(each for each in costs if each is not None) == [0.5, 6.0, 6.0]
        administrator.close()

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_they_are_filled_in_by_what_was_used(self, runs: Runs) -> None:
        ledger = await runs.begin()
        for n in (1, 2):
            await _create(ledger, n)
        used = {"tokens": 8.0, "pictures": 1.0}
        await do(ledger, ended(1, "p1", cost=None, used=used), ended(2, "p2", cost=None))
        await runs.close(ledger)
        administrator = runs.administrator()
        price = Price(units={"tokens": 0.5}, mosts={"pictures": 9.0, "tokens": 100.0})
        assert administrator.fill_costs(price) == 2
        assert sorted(each.cost or 0.0 for each in administrator.payments()) == [4.0, 50.0]
        administrator.close()

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_rows_and_predictions_are_found_by_what_names_them(self, runs: Runs) -> None:
        ledger = await runs.begin(account="a", shown="s1", redo=_REDO)
        await ledger.claim([intent(1, 3)])
        await _create(ledger, 2)
        await do(ledger, ended(2, "p2", "failed"))
        await _create(ledger, 2, "q2", at=SENT + 100)
        administrator = runs.administrator()
        assert [administrator.has(key(n).digest) for n in (1, 2, 3)] == [True, True, False]
        assert [administrator.owns(id) for id in ("p2", "q2", "p9")] == [True, True, False]
        assert sorted(administrator.telling()) == ["q2", "s1"]
        administrator.close()

    # It is copied.

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_what_one_ledger_gives_another_one_takes(self, runs: Runs) -> None:
        await runs.fill()
        before = await runs.look()
        administrator = runs.administrator()
        contents = list(administrator.contents())
        administrator.remove()
        administrator.close()
        made = runs.store.administrator(runs.url, make=True)
        made.take(iter(contents))
        assert sorted(made.contents(), key=repr) == sorted(contents, key=repr)
        made.close()
        assert await runs.look() == before
        ledger = await runs.begin(label="by hand", redo=_REDO)
        for n, id in ((2, "p2"), (1, None)):
            (found,) = await ledger.take_over([key(n)])
            assert found is not None
            assert (found.holder, found.prediction_id) == ("ours", id), (
                "what was open is taken over by the next run"
            )
        await do(ledger, ended(1, "p1"), ended(2, "p2"))
        labels = {each.entry.key: each.label for each in runs.administrator().records()}
        assert (labels[key(1)], labels[key(2)]) == ("nightly", "nightly"), (
            "a label is of the run that has paid"
        )

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_an_empty_ledger_gives_nothing(self, runs: Runs) -> None:
        for _ in range(2):
            made = runs.store.administrator(runs.url, make=True)
            assert list(made.contents()) == []
            made.take(iter(()))
            made.close()
        assert runs.administrator().summary().states == {}

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_nothing_is_copied_while_a_run_uses_it(self, runs: Runs) -> None:
        ledger, _ = await runs.plan()
        administrator = runs.administrator()
        for doing in (lambda: list(administrator.contents()), lambda: administrator.take(iter(()))):
            with pytest.raises(JournalError, match="run uses"):
                doing()
        await runs.close(ledger)
        administrator.take(iter(()))
        administrator.close()

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_nothing_is_copied_over_what_a_ledger_holds(self, runs: Runs) -> None:
        await runs.close(await runs.begin())
        administrator = runs.administrator()
        before = list(administrator.contents())
        with pytest.raises(JournalError, match="not empty"):
            administrator.take(iter([Pin("acme/poet", "v1", SENT)]))
        assert list(administrator.contents()) == before
        administrator.close()

    @pytest.mark.usefixtures("looked_after")
    @pytest.mark.parametrize("count", [0, 1, 3, 2500], ids="after {}".format)
    @story
    async def test_a_copy_that_breaks_off_leaves_nothing(self, runs: Runs, count: int) -> None:
        def broken() -> Iterator[Content]:
            yield PastRun("run 1", MODEL, 1, SENT, label="nightly")
            for n in range(count):
                entry = Entry(key(n), "finished", prediction_id=f"p{n}", status="succeeded")
                yield KeptRow(entry, MODEL, text(n), 1, "run 1", payer="nightly")
            raise JournalError("The other journal is gone.")

        administrator = runs.store.administrator(runs.url, make=True)
        with pytest.raises(JournalError, match="is gone"):
            administrator.take(broken())
        assert list(administrator.contents()) == []
        assert not administrator.owns("p0")
        administrator.take(islice(broken(), 1 + count))
        assert sum(administrator.summary().states.values()) == count, "a copy cannot be begun again"
        administrator.close()

    @pytest.mark.usefixtures("looked_after")
    @story
    async def test_a_copy_that_is_given_up_lets_runs_begin(self, runs: Runs) -> None:
        await runs.fill()
        administrator = runs.administrator()
        contents = administrator.contents()
        next(contents)
        contents.close()
        await runs.close(await runs.begin())
        administrator.close()


async def _claimed(ledger: Ledger, n: int) -> None:
    """Claim a row."""
    await ledger.claim([intent(n)])


def _timeless(entry: Entry | None) -> Entry | None:
    """An entry without the time at which a refusal was written down."""
    return entry and (entry._replace(finished_at=None) if entry.status == "rejected" else entry)
