"""Runs that claim, create, die and take over in any order: a ledger is compared with a dict that does the same.

Needs the package hypothesis.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from replicate_kit.batch.ledgers import (
    Created,
    Entry,
    Event,
    Expired,
    Intent,
    Key,
    Ledger,
    LedgerStore,
    Refused,
    Run,
    Saved,
    Withdrawn,
)
from replicate_kit.testing.suites._ledgers import MODEL, SENT, ended, error, intent, key, text

__all__ = ["LedgerMachine", "ledger_machine"]

MakeStore: TypeAlias = Callable[[], AbstractContextManager[tuple[LedgerStore, str]]]
"""Gives a store and the URL of a ledger in it that nobody has used, and takes them away again."""

Kill: TypeAlias = Callable[[Ledger], Awaitable[None]]
"""Lets the run of an open ledger die."""

_OPEN = ("intent", "created")
_STAYS = {"failed": ("unknown", "expired"), "canceled": ("unknown", "expired", "failed")}
_MOST_RUNS = 4

ROWS = st.integers(0, 3)
RUNS = st.integers(0, _MOST_RUNS - 1)
WRITERS = st.none() | RUNS  # None: whoever has the row
IDS = st.just("new") | st.integers(0, 3).map("p{}".format)
REDO = st.sets(st.sampled_from(["failed", "unknown", "expired"])).map(
    lambda found: frozenset({"canceled", *found})
)


class _Row(NamedTuple):
    """What the model knows of a row."""

    state: str
    run: str
    before: str | None = None
    id: str | None = None


@dataclass
class _Alive:
    """A run that lives, and the creates that it has claimed last."""

    ledger: Ledger
    id: str
    redo: frozenset[str]
    claimed: list[Intent] = field(default_factory=list)


class LedgerMachine(RuleBasedStateMachine):
    """Several runs with one ledger. `ledger_machine` gives it the ledgers that are to be tested."""

    @staticmethod
    def make_store() -> AbstractContextManager[tuple[LedgerStore, str]]:
        """Give a store and a URL in it that nobody has used."""
        raise NotImplementedError("Take what `ledger_machine` makes.")

    @staticmethod
    def kill(ledger: Ledger) -> Awaitable[None]:
        """Let the run of a ledger die."""
        raise NotImplementedError("Take what `ledger_machine` makes.")

    @initialize()
    def begin(self) -> None:
        """Make a new ledger, and a model that knows nothing either."""
        self.known: dict[int, _Row] = {}
        self.owners: dict[str, int] = {}
        self.sent: dict[int, Intent] = {}
        self.alive: list[_Alive] = []
        self.clock = itertools.count(SENT, 5)
        self.stack = ExitStack()
        self.loop = self.stack.enter_context(asyncio.Runner())
        self.store, self.url = self.stack.enter_context(self.make_store())
        self.observer = self.store.ledger(self.url)
        self.do(self.observer.open(uuid.uuid4().hex))

    def do(self, verb: Any) -> Any:
        """Wait for a verb."""

        async def wait() -> Any:
            return await verb

        return self.loop.run(wait())

    # What may happen.

    @rule(redo=REDO)
    def a_run_begins(self, redo: frozenset[str]) -> None:
        """So many at once that some share rows."""
        if len(self.alive) < _MOST_RUNS:
            run = _Alive(self.store.ledger(self.url), uuid.uuid4().hex, redo)
            self.do(run.ledger.open(run.id))
            self.do(run.ledger.begin(Run(run.id, MODEL, redo=redo)))
            self.alive.append(run)

    @rule(which=RUNS, is_killed=st.booleans())
    def a_run_ends(self, which: int, is_killed: bool) -> None:
        """It is closed, or it dies."""
        if run := self.running(which):
            self.alive.remove(run)
            self.do(self.kill(run.ledger) if is_killed else run.ledger.close())

    @rule(which=RUNS, rows=st.sets(ROWS, min_size=1))
    def rows_are_claimed(self, which: int, rows: set[int]) -> None:
        """By one run, in one call."""
        if run := self.running(which):
            run.claimed = [intent(n, at=next(self.clock)) for n in sorted(rows)]
            self.claim(run)

    @rule(which=RUNS)
    def a_claim_is_repeated(self, which: int) -> None:
        """Since its answer was lost; meanwhile other things have happened."""
        if (run := self.running(which)) and run.claimed:
            self.claim(run)

    @rule(first=RUNS, second=RUNS, rows=st.sets(ROWS, min_size=1))
    def rows_are_claimed_at_once(self, first: int, second: int, rows: set[int]) -> None:
        """By two runs: no more than one gets each."""
        one, other = self.running(first), self.running(second)
        if one is None or other is None or one is other:
            return
        free = {n for n in rows if self.is_free(one, n)}, {n for n in rows if self.is_free(other, n)}
        calls = [[intent(n, at=next(self.clock)) for n in sorted(rows)] for _ in range(2)]

        async def both() -> Any:
            return await asyncio.gather(
                *(run.ledger.claim(each) for run, each in zip((one, other), calls, strict=True))
            )

        answers = self.do(both())
        for n, *claimed in zip(sorted(rows), *answers, strict=True):
            winners = [number for number, each in enumerate(claimed) if each is None]
            expected = int(n in free[0] or n in free[1])
            assert len(winners) == expected, (
                f"{len(winners)} of 2 runs were given row {n}, of which {self.known.get(n)}"
            )
            for number in winners:
                assert n in free[number], f"row {n} was claimed, of which {self.known.get(n)} is known"
                sent = next(each for each in calls[number] if each.key == key(n))
                self.intend((one, other)[number], n, sent)

    @rule(which=RUNS, rows=st.sets(ROWS, min_size=1))
    def rows_are_taken_over(self, which: int, rows: set[int]) -> None:
        """What dead runs have left is this run's."""
        if run := self.running(which):
            found = self.do(run.ledger.take_over([key(n) for n in sorted(rows)]))
            for n, entry in zip(sorted(rows), found, strict=True):
                row = self.known.get(n)
                if row and row.state in _OPEN and self.holder(row, run) == "nobody":
                    self.known[n] = row._replace(run=run.id)
                self.compare(n, entry, run)

    @rule(which=WRITERS, n=ROWS, id=IDS)
    def a_row_is_created(self, which: int | None, n: int, id: str) -> None:
        """With an id that another row may have."""
        if run := self.writer(which, n):
            id = self.named(id)
            self.record(run, n, Created(key(n), id), self.created(run, n, id))

    @rule(n=ROWS, state=st.sampled_from(["finished", "failed", "canceled", "canceled", None]))
    def a_row_is_paid_for(self, n: int, state: str | None) -> None:
        """From its claim to its outcome, or till it is under way, by a run that may."""
        for run in [each for each in self.alive if self.is_free(each, n)][:1]:
            run.claimed = [intent(n, at=next(self.clock))]
            self.claim(run)
            id = self.named("new")
            self.record(run, n, Created(key(n), id), self.created(run, n, id))
            if state is not None:
                self.record(run, n, ended(n, id, state), self.ended(run, n, id, state))

    def created(self, run: _Alive, n: int, id: str) -> bool:
        """What the model says to that."""
        row = self.known.get(n)
        if row is None or row.run != run.id:
            return False
        if row.state != "intent":
            return row.id == id
        if id in self.owners:
            return False
        self.owners[id] = n
        self.known[n] = _Row("created", run.id, None, id)
        return True

    @rule(which=WRITERS, n=ROWS)
    def a_row_is_withdrawn(self, which: int | None, n: int) -> None:
        """Its create came to nothing."""
        if run := self.writer(which, n):
            row = self.known.get(n)
            accepted = row is None or row.state not in _OPEN
            if row is not None and row.state == "intent" and row.run == run.id:
                self.withdraw(n, row)
                accepted = True
            self.record(run, n, Withdrawn(key(n)), accepted)

    def withdraw(self, n: int, row: _Row) -> None:
        """Put a row back."""
        if row.before is None:
            del self.known[n]
        else:
            self.known[n] = row._replace(state=row.before, before=None)

    @rule(which=WRITERS, n=ROWS, state=st.sampled_from(["failed", "canceled"]))
    def a_row_is_refused(self, which: int | None, n: int, state: Any) -> None:
        """By the API, or by ourselves."""
        if not (run := self.writer(which, n)):
            return
        row = self.known.get(n)
        event = Refused(key(n), text(n), state, error(f"refused {next(self.clock)}"))
        if row is not None and row.state == "intent" and row.run == run.id:
            self.withdraw(n, row)
            row = self.known.get(n)
        accepted = row is None or row.state in run.redo
        if accepted and (row is None or row.state not in _STAYS[state]):
            self.known[n] = _Row(state, run.id)
        elif accepted and row is not None:
            self.known[n] = row._replace(run=run.id)
        self.record(run, n, event, accepted)

    @rule(
        which=WRITERS,
        n=ROWS,
        id=IDS | st.none(),
        state=st.sampled_from(["finished", "failed", "canceled", "unknown"]),
        is_own=st.booleans(),
    )
    def a_prediction_ends(self, which: int | None, n: int, id: str | None, state: str, is_own: bool) -> None:
        """Of this row or another, of this run or another."""
        if run := self.writer(which, n):
            row = self.known.get(n)
            id = row.id if is_own and row is not None and row.id is not None else id and self.named(id)
            state = "unknown" if id is None else state
            self.record(run, n, ended(n, id, state), self.ended(run, n, id, state))

    def ended(self, run: _Alive, n: int, id: str | None, state: str) -> bool:
        """What the model says to that."""
        row = self.known.get(n)
        if row is None or (row.state in _OPEN and row.run != run.id):
            return False
        if id is None:
            accepted = row.state == "intent" or (row.state, row.id, row.run) == ("unknown", None, run.id)
        elif row.state == "intent":
            accepted = self.created(run, n, id)
        else:
            accepted = row.id == id
        if accepted:
            self.known[n] = _Row(state, run.id, None, id)
        return accepted

    @rule(which=WRITERS, n=ROWS, is_there=st.booleans())
    def files_are_saved_or_gone(self, which: int | None, n: int, is_there: bool) -> None:
        """As far as there is an output."""
        if run := self.writer(which, n):
            row = self.known.get(n)
            event: Event = (
                Saved(key(n), '{"files":[]}', "/srv") if is_there else Expired(key(n), error("gone"))
            )
            accepted = row is not None and row.state in ("finished", "saved", "expired")
            if row is not None and accepted:
                self.known[n] = row._replace(state="saved" if is_there else "expired", run=run.id)
            self.record(run, n, event, accepted)

    # What must hold.

    def running(self, which: int) -> _Alive | None:
        """A run that lives, if there is one."""
        return self.alive[which % len(self.alive)] if self.alive else None

    def writer(self, which: int | None, n: int) -> _Alive | None:
        """A run that lives: the one that has a row, or any."""
        row = self.known.get(n)
        holders = [each for each in self.alive if row is not None and each.id == row.run]
        return holders[0] if which is None and holders else self.running(which or 0)

    def named(self, id: str) -> str:
        """An id, which may be one that nobody has seen."""
        return f"p{len(self.owners) + 4}" if id == "new" else id

    def is_free(self, run: _Alive, n: int) -> bool:
        """Whether a run may claim a row."""
        row = self.known.get(n)
        return row is None or (row.state not in _OPEN and row.state in run.redo)

    def intend(self, run: _Alive, n: int, sent: Intent) -> None:
        """Claim a row in the model."""
        row = self.known.get(n) or _Row("", run.id)
        self.known[n] = row._replace(state="intent", run=run.id, before=row.state or None)
        self.sent[n] = sent

    def claim(self, run: _Alive) -> None:
        """Claim rows, and compare."""
        answers = self.do(run.ledger.claim(run.claimed))
        for each, answer in zip(run.claimed, answers, strict=True):
            n = int.from_bytes(each.key.digest)
            row = self.known.get(n)
            if self.is_free(run, n):
                assert answer is None, f"row {n} was not claimed, though it is free: {answer}"
                self.intend(run, n, each)
            elif answer is None:
                assert row is not None
                assert (row.state, row.run) == ("intent", run.id), (
                    f"row {n} was claimed, of which {row} is known"
                )
                assert self.sent[n] == each, (
                    f"row {n} was claimed for a second create, and the first is unresolved"
                )
            else:
                is_repeated = (
                    row is not None and (row.state, row.run) == ("intent", run.id) and self.sent[n] == each
                )
                assert not is_repeated, f"a claim of row {n} was repeated, and not accepted again: {answer}"
                self.compare(n, answer, run)

    def record(self, run: _Alive, n: int, event: Event, accepted: bool) -> None:
        """Record an event twice, as one does whose answer was lost."""
        for _ in range(2):
            (answer,) = self.do(run.ledger.record([event]))
            assert answer == accepted, (
                f"{event!r} was answered {answer}, and {self.known.get(n)} is known since then"
            )

    def holder(self, row: _Row, run: _Alive | None) -> str:
        """Who has a row that is open."""
        if row.state not in _OPEN:
            return "nobody"
        if run is not None and row.run == run.id:
            return "ours"
        return "theirs" if row.run in {each.id for each in self.alive} else "nobody"

    def compare(self, n: int, entry: Entry | None, run: _Alive | None) -> None:
        """See that a run is shown what the model knows."""
        row = self.known.get(n)
        assert (entry is None) == (row is None), f"of row {n} the ledger knows {entry}, the model {row}"
        if entry is not None and row is not None:
            found = (entry.state, entry.before, entry.prediction_id, entry.holder)
            expected = (row.state, row.before, row.id, self.holder(row, run))
            assert found == expected, f"of row {n} the ledger knows {found}, the model {expected}"

    @invariant()
    def what_was_recorded_stays(self) -> None:
        """All runs see the same rows, and each row has one holder at most."""
        if not hasattr(self, "observer"):
            return
        keys: list[Key] = [key(n) for n in range(4)]
        holders: dict[int, int] = {}
        for run in (None, *self.alive):
            ledger = self.observer if run is None else run.ledger
            for n, entry in enumerate(self.do(ledger.find(keys))):
                self.compare(n, entry, run)
                holders[n] = holders.get(n, 0) + (entry is not None and entry.holder == "ours")
        assert max(holders.values()) <= 1, f"rows have several holders: {holders}"

    @invariant()
    def a_prediction_belongs_to_one_row(self) -> None:
        """To the one that it was given to first, for good."""
        if hasattr(self, "observer"):
            found = self.do(self.observer.owners([f"p{n}" for n in range(len(self.owners) + 8)]))
            assert {id: each.key for id, each in found.items()} == {
                id: key(n) for id, n in self.owners.items()
            }

    def teardown(self) -> None:
        """Close what is open."""
        if hasattr(self, "observer"):
            for ledger in (self.observer, *(run.ledger for run in self.alive)):
                self.do(ledger.close())
            self.stack.close()


def ledger_machine(make_store: MakeStore, kill: Kill) -> type[LedgerMachine]:
    """Make the machine for ledgers of one kind; its `TestCase` is what pytest runs.

    `kill` lets the run of an open ledger die, as `LedgerSuite.kill` does. MACHINE_EXAMPLES and MACHINE_STEPS in the
    environment let it search for longer.

    ```python
    @contextmanager
    def new_store():
        yield MemoryStore(), "memory://poems"

    async def kill(ledger):
        ledger.kill()

    TestMemoryLedger = ledger_machine(new_store, kill).TestCase
    ```
    """

    class Machine(LedgerMachine):
        """The machine for these ledgers."""

    machine: Any = Machine
    machine.make_store, machine.kill = staticmethod(make_store), staticmethod(kill)
    machine.TestCase.settings = settings(
        max_examples=int(os.environ.get("MACHINE_EXAMPLES", 40)),
        stateful_step_count=int(os.environ.get("MACHINE_STEPS", 40)),
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    return Machine
