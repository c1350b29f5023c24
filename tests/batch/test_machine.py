"""Whatever happens to a run, and however often: nothing is paid twice, and nothing that was paid is dropped.

MACHINE_EXAMPLES and MACHINE_STEPS in the environment let it search for longer.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from replicate_kit import Batch, BatchError, Client, Result
from replicate_kit.simulator import Fault, Simulator, sleep

from .conftest import Service

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
        self.later, self.clock = 0.0, time.time
        self.patched = patch.object(time, "time", lambda: self.clock() + self.later)
        self.patched.start()
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
    def journal(self) -> Path:
        return self.folder / "journal.sqlite"

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
        with suppress(BatchError):  # patience ran out, or a row failed and that was to be raised
            self.check(rows, list(self.map(rows, retry=retry, errors=errors)))

    @rule(rows=ROWS, faults=FAULTS, after=MOMENTS, how=STOPS, hours=st.integers(0, 1))
    def stop_on_the_way(self, rows: Rows, faults: list[Fault], after: float, how: str, hours: int) -> None:
        self.fail(faults)
        before = self.running()
        self.begin_and_stop(self.client, rows, after, how)
        if how == "cancel" and all(each.operation == "*.create" for each in faults):
            assert self.running() <= before
        if hours:
            self.an_hour_passes()

    @rule(first=ROWS, second=ROWS, faults=FAULTS, after=MOMENTS, how=STOPS)
    def run_two_at_once(self, first: Rows, second: Rows, faults: list[Fault], after: float, how: str) -> None:
        self.fail(faults)
        with self.service.client(poll_interval=0.01, timeout=0.3) as other, ThreadPoolExecutor(1) as pool:
            stopped = pool.submit(self.begin_and_stop, other, first, after, how)
            with suppress(BatchError):  # patience ran out
                self.check(second, list(self.map(second)))
            stopped.result()

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
        batch.start()
        time.sleep(after)
        crash(batch) if how == "crash" else batch.close()

    # What must hold.

    def check(self, rows: Rows, results: list[Result]) -> None:
        """Each row has its output, or says why not."""
        assert [each.index for each in results] == list(range(len(rows.inputs)))
        numbers = [number for number in rows.numbers for _ in range(rows.copies)]
        for number, result in zip(numbers, results, strict=True):
            gone = number in self.may_be_lost and result.status in _LOST and result.error is not None
            assert gone or is_right(number, result), (number, result)
        for status in {each.status for each in results}:
            event(f"rows are {status}")
        event(f"the service canceled {self.service.cancels > 0}")

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
        known = {id for *_, id in items} | {id for (id,) in self.query("SELECT prediction_id FROM attempts")}
        for number, ids in self.paid().items():
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
        """State, number, sample and prediction of what the journal knows."""
        for state, input, sample, id in self.query("SELECT state, input, sample, prediction_id FROM items"):
            number = json.loads(input)["n"]
            yield state, number if isinstance(number, int) else int(number.split()[1]), sample, id

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        if not self.journal.exists():
            return []
        with closing(sqlite3.connect(self.journal)) as db:
            return db.execute(sql).fetchall()

    def teardown(self) -> None:
        if not hasattr(self, "service"):
            return
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
            self.patched.stop()
            self.client.close()
            self.service.simulator.close()
            shutil.rmtree(self.folder)


TestRuns = Runs.TestCase
TestRuns.settings = settings(
    max_examples=int(os.environ.get("MACHINE_EXAMPLES", 10)),
    stateful_step_count=int(os.environ.get("MACHINE_STEPS", 6)),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # what depends on moments does not shrink
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
