"""Rows whose fate is being found out still belong to the run, also while the last of them is written down."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Batch
from replicate_kit._unresolved.protocols import Finding
from replicate_kit._unresolved.search import Search
from replicate_kit.batch._engine.creates import SentCreate
from replicate_kit.batch._ledger.entries import Ended, Event, Withdrawn
from replicate_kit.batch._ledger.sqlite import SqliteLedger
from replicate_kit.simulator import Fault

from ..conftest import Service, numbers


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A service at which the first create comes to nothing, and is not answered."""
    return make_service(faults=[Fault(operation="*.create", calls={1}, cut=True)])


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Event]], None]:
    """Makes it take a while to record something."""
    record = SqliteLedger.record

    def slow(kind: type[Event]) -> None:
        async def slower(self: SqliteLedger, events: Sequence[Event]) -> Sequence[bool]:
            if any(isinstance(each, kind) for each in events):
                await asyncio.sleep(0.3)
            return await record(self, events)

        monkeypatch.setattr(SqliteLedger, "record", slower)

    return slow


def taken_impatiently(batch: Batch) -> Iterator[Any]:
    """Take the results while the dispatcher is woken over and over, as others' news do."""

    def wake() -> None:
        while not batch._runner.ended.done():
            batch._runner._call(batch._runner._execution.state.wake)
            time.sleep(0.01)

    batch.start()
    threading.Thread(target=wake).start()
    return batch


def test_what_is_to_be_created_again_is_waited_for(
    service: Service, slowly: Callable[[type[Event]], None], journal: Path
) -> None:
    slowly(Withdrawn)
    with service.client(timeout=0.1) as client:
        results = list(taken_impatiently(client.map("acme/double", numbers(1, 7), journal=journal)))
    assert [each.output for each in results] == [14]


def test_what_stays_unknown_is_waited_for(
    service: Service, slowly: Callable[[type[Event]], None], journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(self: Search[SentCreate], wanted: list[SentCreate]) -> list[Finding[SentCreate]]:
        return list(map(Finding, wanted, itertools.repeat("unknown")))

    slowly(Ended)
    monkeypatch.setattr(Search, "look", look)
    with service.client(timeout=0.1) as client:
        results = list(taken_impatiently(client.map("acme/double", numbers(1, 7), journal=journal)))
    assert [each.status for each in results] == ["unknown"]
