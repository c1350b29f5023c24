"""Equal rows that are samples of their own, and rows that a run leaves just before ours takes them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from replicate_kit.batch.ledgers import Entry, Intent, Run
from replicate_kit.simulator import Fault
from replicate_kit.testing.memory_ledger import MemoryLedger, MemoryStore

from .conftest import Service

ROWS = [{"n": 7}] * 24

pytestmark = pytest.mark.slow


def lost_answers(service: Service, *calls: int) -> None:
    """Let creates be acted on, and their connections be cut."""
    service.simulator.faults.add(Fault(operation="*.create", calls=set(calls), cut=True, acted=True))


@pytest.mark.parametrize("name", ["file", "memory"])
@pytest.mark.parametrize("calls", [(1,), (2, 3, 5), tuple(range(1, 25, 2)), tuple(range(1, 25))])
def test_equal_rows_whose_answers_are_lost_are_found_and_paid_once(
    service: Service, tmp_path: Path, calls: tuple[int, ...], name: str
) -> None:
    lost_answers(service, *calls)
    journal = tmp_path / "journal.sqlite" if name == "file" else f"memory://{uuid.uuid4().hex}"
    with service.client(timeout=0.3) as client:
        results = list(client.map("acme/double", ROWS, journal=journal, dedupe=False, concurrency=8))
    assert [each.output for each in results] == [14] * len(ROWS)
    assert len({each.prediction_id for each in results}) == len(ROWS) == service.creates


def test_so_are_they_in_two_runs_at_once(service: Service, journal: Path) -> None:
    lost_answers(service, *range(1, 40, 3))

    def run(_: int) -> list[Any]:
        with service.client(timeout=0.3) as client:
            return list(client.map("acme/double", ROWS, journal=journal, dedupe=False, concurrency=4))

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(run, range(2))
    assert [each.output for each in first] == [each.output for each in second] == [14] * len(ROWS)
    assert [each.prediction_id for each in first] == [each.prediction_id for each in second]
    assert service.creates == len(ROWS)


def test_rows_that_a_run_claims_and_dies_just_before_ours_does_are_taken_over(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, url = MemoryLedger.claim, f"memory://{uuid.uuid4().hex}"
    beaten: list[str] = []

    async def beaten_to_it(self: MemoryLedger, intents: Sequence[Intent], /) -> Sequence[Entry | None]:
        if not beaten:
            beaten.append("once")
            other = MemoryStore.ledger(MemoryStore(), url)
            other._books = self._books
            await other.open("other")
            await other.begin(Run("other", self._run.model))
            await claim(other, intents)
            other.kill()
        return await claim(self, intents)

    monkeypatch.setattr(MemoryLedger, "claim", beaten_to_it)
    with service.client(timeout=0.3) as client:
        results = list(client.map("acme/double", [{"n": number} for number in range(12)], journal=url))
    assert [each.output for each in results] == [2 * number for number in range(12)]
    assert service.creates == 12
