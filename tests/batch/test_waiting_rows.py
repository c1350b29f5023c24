"""Rows whose fate is being found out still belong to the run, also while the last of them is written down."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Batch
from replicate_kit._unresolved.protocols import Finding
from replicate_kit._unresolved.search import Search
from replicate_kit.batch._ledger.journal import Journal, Work
from replicate_kit.simulator import Fault

from .conftest import Service, numbers


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A service at which the first create comes to nothing, and is not answered."""
    return make_service(faults=[Fault(operation="*.create", calls={1}, cut=True)])


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a step of the journal take a while."""

    def slow(name: str) -> None:
        step = getattr(Journal, name)

        def slower(self: Journal, *args: Any) -> Any:
            time.sleep(0.3)
            return step(self, *args)

        monkeypatch.setattr(Journal, name, slower)

    return slow


def taken_impatiently(batch: Batch) -> Iterator[Any]:
    """Take the results while the dispatcher is woken over and over, as others' news do."""

    def wake() -> None:
        while not batch._runner.ended.done():
            batch._runner._call(batch._runner._setup.flow.wake)
            time.sleep(0.01)

    batch.start()
    threading.Thread(target=wake).start()
    return batch


def test_what_is_to_be_created_again_is_waited_for(
    service: Service, slowly: Callable[[str], None], journal: Path
) -> None:
    slowly("withdraw")
    with service.client(timeout=0.1) as client:
        results = list(taken_impatiently(client.map("acme/double", numbers(1, 7), journal=journal)))
    assert [each.output for each in results] == [14]


def test_what_stays_unknown_is_waited_for(
    service: Service, slowly: Callable[[str], None], journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(self: Search[Work], wanted: list[Work]) -> list[Finding[Work]]:
        return list(map(Finding, wanted, itertools.repeat("unknown")))

    slowly("ended")
    monkeypatch.setattr(Search, "look", look)
    with service.client(timeout=0.1) as client:
        results = list(taken_impatiently(client.map("acme/double", numbers(1, 7), journal=journal)))
    assert [each.status for each in results] == ["unknown"]
