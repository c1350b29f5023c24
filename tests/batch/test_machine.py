"""Whatever happens to a run, and however often: nothing is paid twice, and nothing that was paid is dropped.

Over journals in files, and over a ledger that fails itself.

MACHINE_EXAMPLES and MACHINE_STEPS in the environment let it search for longer.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from replicate_kit import Batch, BatchError, Client, Result
from replicate_kit.batch._engine import recorder
from replicate_kit.batch._ledger import limited
from replicate_kit.batch._ledger.stores import store_of
from replicate_kit.errors import JournalError
from replicate_kit.simulator import Fault, Simulator, sleep
from replicate_kit.testing.memory_ledger import MemoryLedger, MemoryStore

from .conftest import Service
from .faulty_ledger import FaultyLedger, LedgerFault, at_random

pytestmark = pytest.mark.slow

_NOT_PAID = ("failed", "canceled", "aborted")
_LOST = ("unknown", "expired")
SLOW = (6, 16)  # they take longer than creates are held, so that there is something to cancel


@dataclass(frozen=True)
class Rows:
    """Numbers, each `copies` times; without `dedupe` each copy is a sample of its own."""

    numbers: tuple[int, ...]
    copies: int
    dedupe: bool

    @property
    def inputs(self) -> list[dict[str, Any]]:
        return [{"n": sent(number)} for number in self.numbers for _ in range(self.copies)]

    @property
    def keys(self) -> set[tuple[int, int]]:
        samples = 1 if self.dedupe else self.copies
        return {(number, sample) for number in self.numbers for sample in range(samples)}


def sent(number: int) -> int | str:
    """What stands in a row; the API rejects texts."""
    return f"text {number}" if number % 10 == 9 else number


def is_right(number: int, result: Result) -> bool:
    """Whether a row came out as the model and the API treat its number."""
    if number % 10 == 9:
        return result.status == "rejected"
    if number % 10 == 7:
        return result.status == "failed" and "no luck" in str(result.error)
    return result.error is None and result.output == 2 * number


@st.composite
def failures(draw: st.DrawFn) -> Fault:
    """A way to fail. What says that nothing was done (429, and 503 with a time) does nothing."""
    status = draw(st.sampled_from([None, 429, 500, 502, 503]))
    retry_after = 0 if status == 429 else draw(st.sampled_from([None, 0])) if status == 503 else None
    refused = status == 429 or retry_after is not None
    operations = ["*.create", "*.create", "predictions.list", "predictions.get", "predictions.cancel"]
    return Fault(
        operation=draw(st.sampled_from(operations)),
        probability=draw(st.sampled_from([0.1, 0.3, 0.6])),
        seed=draw(st.integers(0, 1000)),
        times=draw(st.integers(1, 12)),
        status=status,
        retry_after=retry_after,
        cut=status is None,
        acted=not refused and draw(st.booleans()),
    )


FAULTS = st.lists(failures(), max_size=3)
NUMBERS = st.sets(st.integers(0, 30), min_size=1).map(lambda found: tuple(sorted(found)))
ROWS = st.builds(Rows, NUMBERS, st.integers(1, 2), st.booleans())
MOMENTS = st.floats(0.0, 0.4)
STOPS = st.sampled_from(["crash", "cancel", "detach"])


def crash(batch: Batch) -> None:
    """End a run as a killed process ends: nothing is cancelled at the service, and no row comes to its end."""
    runner = batch._runner
    runner._call(runner._task.cancel)
    while not runner.ended.done():
        time.sleep(0.005)
    batch._over = True


class Runs(RuleBasedStateMachine):
    """Runs over some of the same rows, with one journal, at a service that fails in all ways."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.service = Service(Simulator())
        self.client = self.service.client(poll_interval=0.01, timeout=0.3)
        self.wanted: set[tuple[int, int]] = set()
        self.number_of: dict[str, int] = {}
        self.forgiven: Counter[int] = Counter()
        self.may_be_lost: set[int] = set()
        self.in_doubt: set[int] = set()
        self.later, self.clock = 0.0, time.time
        self.patches = ExitStack()
        self.patches.enter_context(patch.object(time, "time", lambda: self.clock() + self.later))
        self.begin_ledger()
        tries: Counter[int] = Counter()

        @self.service.simulator.model("acme/moody", workers=64)
        def moody(n: int) -> int:
            sleep(1.3 if n in SLOW else 0.03)
            tries[n] += 1
            if n % 10 == 7:
                raise ValueError("no luck")
            if n % 10 == 8 and tries[n] == 1:
                raise ValueError("Prediction interrupted; please retry (code: PA)")
            return 2 * n

    ledger_may_fail = False

    def fail(self, faults: list[Fault]) -> None:
        self.service.simulator.faults.clear()
        for fault in faults:
            self.service.simulator.faults.add(fault)

    def map(self, rows: Rows, client: Client | None = None, **options: Any) -> Batch:
        self.wanted |= rows.keys
        settings = {"journal": self.journal, "patience": 3.0, "check_input": False, "progress": False}
        return (client or self.client).map(
            "acme/moody", rows.inputs, dedupe=rows.dedupe, **settings, **options
        )

    @property
    def journal(self) -> str:
        return str(self.folder / "journal.sqlite")

    def run_is_over(self) -> None:
        self.processes_end()
        self.note_doubts()

    def begin_ledger(self) -> None:
        """Prepare what journals need beside a folder."""

    def processes_end(self) -> None:
        """End those of all runs: what they still hold of the ledger is free."""

    # What may happen.

    @rule(
        rows=ROWS,
        faults=FAULTS,
        retry=st.sets(st.sampled_from(["failed", *_LOST])),
        errors=st.sampled_from(["collect", "collect", "raise"]),
    )
    def run_to_the_end(self, rows: Rows, faults: list[Fault], retry: set[str], errors: str) -> None:
        self.fail(faults)
        for state, number, sample, _ in self.items():
            self.forgiven[number] += state in retry and state in _LOST and (number, sample) in rows.keys
        # Patience ran out, or a row failed and that was to be raised; or the ledger failed.
        with suppress(BatchError, JournalError):
            self.check(rows, list(self.map(rows, retry=retry, errors=errors)))
        self.run_is_over()

    @rule(rows=ROWS, faults=FAULTS, after=MOMENTS, how=STOPS, hours=st.integers(0, 1))
    def stop_on_the_way(self, rows: Rows, faults: list[Fault], after: float, how: str, hours: int) -> None:
        self.fail(faults)
        before = self.running()
        self.begin_and_stop(self.client, rows, after, how)
        self.run_is_over()
        undisturbed = all(each.operation == "*.create" for each in faults) and not self.ledger_may_fail
        if how == "cancel" and undisturbed:
            assert self.running() <= before
        if hours:
            self.an_hour_passes()

    @rule(first=ROWS, second=ROWS, faults=FAULTS, after=MOMENTS, how=STOPS)
    def run_two_at_once(self, first: Rows, second: Rows, faults: list[Fault], after: float, how: str) -> None:
        self.fail(faults)
        with self.service.client(poll_interval=0.01, timeout=0.3) as other, ThreadPoolExecutor(1) as pool:
            stopped = pool.submit(self.begin_and_stop, other, first, after, how)
            with suppress(BatchError, JournalError):  # patience ran out, or the ledger failed
                self.check(second, list(self.map(second)))
            stopped.result()
        self.run_is_over()

    def an_hour_passes(self) -> None:
        """What was not fetched is gone then, and with it the inputs that predictions are recognised by."""
        while self.running():
            time.sleep(0.01)
        self.paid()
        self.may_be_lost |= {number for state, number, *_ in self.items() if state in ("intent", "created")}
        self.later += 3700
        self.service.simulator.clock.advance(3700)

    def begin_and_stop(self, client: Client, rows: Rows, after: float, how: str) -> None:
        batch = self.map(rows, client, on_interrupt="detach" if how == "detach" else "cancel")
        with suppress(JournalError):
            batch.start()
            time.sleep(after)
            crash(batch) if how == "crash" else batch.close()

    # What must hold.

    def check(self, rows: Rows, results: list[Result]) -> None:
        """Each row has its output, or says why not."""
        self.note_doubts()
        assert [each.index for each in results] == list(range(len(rows.inputs)))
        numbers = [number for number in rows.numbers for _ in range(rows.copies)]
        for number, result in zip(numbers, results, strict=True):
            gone = number in self.may_be_lost and result.status in _LOST
            gone = gone or (number in self.in_doubt and result.status == "unknown")
            assert (gone and result.error is not None) or is_right(number, result), (number, result)
        for status in {each.status for each in results}:
            event(f"rows are {status}")
        event(f"the service canceled {self.service.cancels > 0}")

    def note_doubts(self) -> None:
        """A row may stay unknown while there is a prediction that a dead run has created and not written down: who
        knows how the API shows a text where it has shown numbers only.
        """
        ids = [each["id"] for each in self.predictions()]
        if set(ids) - asyncio.run(self.known(ids)):
            self.in_doubt |= {number for state, number, *_ in self.items() if state == "unknown"}

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        """Beyond one for each sample, only what was reported as unknown or expired, and asked for again."""
        if hasattr(self, "service"):
            samples = Counter(number for number, _ in self.wanted)
            for number, ids in self.paid().items():
                assert len(ids) <= samples[number] + self.forgiven[number], (number, ids)

    def nothing_is_dropped(self) -> None:
        """What was paid is in the journal, or there is a row that was reported as unknown in its place."""
        items = list(self.items())
        unknown = Counter(number for state, number, _, _ in items if state == "unknown")
        paid = self.paid()
        known = asyncio.run(self.known([id for ids in paid.values() for id in ids]))
        for number, ids in paid.items():
            assert len(ids - known) <= unknown[number] + self.forgiven[number], (number, ids - known)

    def predictions(self) -> list[dict[str, Any]]:
        """All that the service has."""
        return self.service.simulator.recent(100_000)

    def running(self) -> set[str]:
        return {each["id"] for each in self.predictions() if each["status"] in ("starting", "processing")}

    def paid(self) -> dict[int, set[str]]:
        """The ids of all predictions that neither failed nor were canceled, by number."""
        found: dict[int, set[str]] = {}
        for each in self.predictions():
            if "n" in each["input"]:  # an hour after its end the API shows none
                self.number_of[each["id"]] = each["input"]["n"]
            if each["status"] not in _NOT_PAID:
                found.setdefault(self.number_of[each["id"]], set()).add(each["id"])
        return found

    def items(self) -> Iterator[tuple[str, int, int, str | None]]:
        """State, number, sample and prediction of what the ledger knows."""
        try:
            administrator = store_of(self.journal).administrator(self.journal)
        except JournalError:  # no run has made it yet
            return
        with closing(administrator):
            for record in administrator.records():
                number, entry = json.loads(record.input)["n"], record.entry
                number = number if isinstance(number, int) else int(number.split()[1])
                yield entry.state, number, entry.key.sample, entry.prediction_id

    async def known(self, ids: list[str]) -> set[str]:
        """Which predictions the ledger knows, those of earlier attempts among them."""
        may_fail, self.ledger_may_fail = self.ledger_may_fail, False
        ledger = store_of(self.journal).ledger(self.journal)
        await ledger.open(uuid.uuid4().hex)
        try:
            return set(await ledger.owners(ids))
        finally:
            await ledger.close()
            self.ledger_may_fail = may_fail

    def teardown(self) -> None:
        if not hasattr(self, "service"):
            return
        self.ledger_may_fail = False
        try:
            self.service.simulator.faults.clear()
            before, wanted = self.service.creates, Counter(number for number, _ in self.wanted)
            interrupted = sum(number % 10 == 8 for number, _ in self.wanted)
            for copies in sorted(set(wanted.values())):
                numbers = tuple(sorted(number for number in wanted if wanted[number] == copies))
                for _ in range(2):  # the second time costs nothing
                    rows = Rows(numbers, copies, False)
                    self.check(rows, list(self.map(rows)))
            assert self.service.creates - before <= len(self.wanted) + interrupted
            self.nothing_is_paid_twice()
            self.nothing_is_dropped()
        finally:
            self.patches.close()
            self.client.close()
            self.service.simulator.close()
            shutil.rmtree(self.folder)


class RunsOverFaults(Runs):
    """The same over a ledger in memory, whose verbs are refused, hang, come late, or lose their answers."""

    def begin_ledger(self) -> None:
        self.name, self.made = uuid.uuid4().hex, list[FaultyLedger]()
        self.faults = at_random(0)
        make = MemoryStore.ledger

        def ledger(store: MemoryStore, url: str, /) -> Any:
            self.made.append(FaultyLedger(make(store, url), self.choose))
            return self.made[-1]

        self.patches.enter_context(patch.object(MemoryStore, "ledger", ledger))
        self.patches.enter_context(patch.object(limited, "_LONGEST", 0.5))
        self.patches.enter_context(patch.object(recorder, "_AGAIN", 0.5))

    def choose(self, verb: str, number: int) -> LedgerFault | None:
        return self.faults(verb, number) if self.ledger_may_fail else None

    @property
    def journal(self) -> str:
        return f"memory://{self.name}"

    @rule(
        seed=st.integers(0, 1000),
        probability=st.sampled_from([0.0, 0.05, 0.2]),
        kinds=st.sets(st.sampled_from(get_args(LedgerFault)), min_size=1),
    )
    def the_ledger_changes(self, seed: int, probability: float, kinds: set[LedgerFault]) -> None:
        self.ledger_may_fail = probability > 0
        self.faults = at_random(seed, probability, kinds)

    def processes_end(self) -> None:
        for each in self.made:
            assert isinstance(each.ledger, MemoryLedger)
            each.ledger.kill()
        self.made.clear()


_SETTINGS = settings(
    max_examples=int(os.environ.get("MACHINE_EXAMPLES", 10)),
    stateful_step_count=int(os.environ.get("MACHINE_STEPS", 6)),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # what depends on moments does not shrink
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
TestRuns, TestRunsOverFaults = Runs.TestCase, RunsOverFaults.TestCase
TestRuns.settings = TestRunsOverFaults.settings = _SETTINGS
