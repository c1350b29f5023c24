"""Whatever happens to a run, and however often: nothing is paid twice, and nothing that was paid is dropped."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from replicate_kit import Batch, BatchError
from replicate_kit.simulator import Fault, Simulator, sleep

from .conftest import Service

pytestmark = pytest.mark.slow


@st.composite
def failures(draw: st.DrawFn) -> Fault:
    """A way to fail. What says that nothing was done (429, and 503 with a time) does nothing."""
    status = draw(st.sampled_from([None, 429, 500, 502, 503]))
    retry_after = 0 if status == 429 else draw(st.sampled_from([None, 0])) if status == 503 else None
    refused = status == 429 or retry_after is not None
    return Fault(
        operation=draw(st.sampled_from(["*.create", "*.create", "predictions.list", "predictions.get"])),
        probability=draw(st.sampled_from([0.1, 0.3, 0.6])),
        seed=draw(st.integers(0, 1000)),
        times=draw(st.integers(1, 12)),
        status=status,
        retry_after=retry_after,
        cut=status is None,
        acted=not refused and draw(st.booleans()),
    )


FAULTS = st.lists(failures(), max_size=3)
ROWS = st.sets(st.integers(0, 30), min_size=1)


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
        self.wanted: set[int] = set()

        @self.service.simulator.model("acme/slowish", workers=64)
        def slowish(n: int) -> int:
            sleep(0.03)
            return 2 * n

    def fail(self, faults: list[Fault]) -> None:
        self.service.simulator.faults.clear()
        for fault in faults:
            self.service.simulator.faults.add(fault)

    def map(self, rows: set[int]) -> Batch:
        self.wanted |= rows
        return self.client.map(
            "acme/slowish",
            [{"n": number} for number in sorted(rows)],
            journal=self.folder / "journal.sqlite",
            patience=3.0,
        )

    @rule(rows=ROWS, faults=FAULTS)
    def run_to_the_end(self, rows: set[int], faults: list[Fault]) -> None:
        self.fail(faults)
        try:
            results = list(self.map(rows))
        except BatchError:  # patience ran out
            return
        assert [each.index for each in results] == list(range(len(rows)))
        assert [each.output for each in results] == [2 * number for number in sorted(rows)]

    @rule(
        rows=ROWS,
        faults=FAULTS,
        after=st.floats(0.0, 0.4),
    )
    def crash_on_the_way(self, rows: set[int], faults: list[Fault], after: float) -> None:
        self.fail(faults)
        batch = self.map(rows)
        batch.start()
        time.sleep(after)
        crash(batch)

    @rule(rows=ROWS)
    def detach_on_the_way(self, rows: set[int]) -> None:
        batch = self.map(rows)
        batch.start()
        batch._runner.stop(detach=True)
        batch.close()

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        if hasattr(self, "service"):
            counts = Counter(each["n"] for each in self.paid())
            assert all(count == 1 for count in counts.values()), counts

    def paid(self) -> list[Any]:
        """The inputs of all predictions that the service has made and that did not fail."""
        with self.service.client() as other:
            self.service.simulator.faults.clear()
            listed = list(other.predictions.list_all())
        return [each.input for each in listed if each.status not in ("canceled", "aborted", "failed")]

    def teardown(self) -> None:
        if not hasattr(self, "service"):
            return
        self.service.simulator.faults.clear()
        before = self.service.creates
        rows = self.wanted or {1}
        results = list(self.map(rows))
        assert [each.output for each in results] == [2 * number for number in sorted(rows)]
        self.nothing_is_paid_twice()
        assert self.service.creates - before <= len(rows)
        self.client.close()
        self.service.simulator.close()
        shutil.rmtree(self.folder)


TestRuns = Runs.TestCase
TestRuns.settings = settings(
    max_examples=10, stateful_step_count=6, deadline=None, suppress_health_check=list(HealthCheck)
)
