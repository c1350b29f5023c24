"""What the saver keeps of rows, and what it asks of the journal."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.batch._ledger.entries import Event, Name
from replicate_kit.batch._results import saver
from replicate_kit.batch._results.saver import Saver, Told
from replicate_kit.batch._runs import execution
from replicate_kit.simulator import Fault

from ..conftest import Service


@pytest.fixture
def savers(monkeypatch: pytest.MonkeyPatch) -> list[Saver]:
    """The savers of the runs that are begun."""
    made: list[Saver] = []

    class Kept(Saver):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(execution, "Saver", Kept)
    return made


async def broken(*_: object, **__: object) -> Any:
    raise ValueError("the store is broken")


def rows(count: int) -> list[dict[str, str]]:
    return [{"text": f"row {number}"} for number in range(count)]


def failing(text: str) -> list[bytes]:
    raise ValueError(text)


ENDS = ("saved", "failed", "refused", "not stored", "in the journal")


@pytest.mark.parametrize("how", ENDS)
def test_the_names_of_rows_are_dropped_when_they_are_done(
    service: Service,
    client: Client,
    journal: Path,
    tmp_path: Path,
    savers: list[Saver],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    service.simulator.model("acme/failing")(failing)
    if how == "refused":
        service.simulator.faults.add(Fault(operation="*.create", status=422))
    if how == "not stored":
        monkeypatch.setattr(saver, "store_outputs", broken)
    if how == "in the journal":
        list(client.map("acme/pictures", rows(5), journal=journal))
    asked: list[int] = []

    def name(index: int, input: object) -> str:
        asked.append(index)
        return f"row-{index}"

    model = "acme/failing" if how == "failed" else "acme/pictures"
    results = list(client.map(model, rows(5), journal=journal, save_to=str(tmp_path / "out"), stems=name))
    assert [each.error is None for each in results] == [how in ("saved", "in the journal")] * 5
    assert sorted(asked) == list(range(5))
    assert savers[-1]._names == {}


class Counting:
    """Counts what is told of rows."""

    def __init__(self, told: Told) -> None:
        self.told, self.asked = told, 0

    def record(self, event: Event) -> Awaitable[bool]:
        self.asked += 1
        return self.told.record(event)

    def take_name(self, name: Name) -> Awaitable[bool]:
        self.asked += 1
        return self.told.take_name(name)


def test_a_row_that_is_saved_asks_the_journal_twice(
    client: Client, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[Counting] = []

    class Watched(Saver):
        def __init__(self, told: Told, *args: Any) -> None:
            counts.append(Counting(told))
            super().__init__(counts[-1], *args)

    monkeypatch.setattr(execution, "Saver", Watched)
    results = list(client.map("acme/pictures", rows(5), journal=journal, save_to=str(tmp_path / "out")))
    assert [each.error for each in results] == [None] * 5
    assert counts[0].asked == 2 * 5  # for the name of its file, and to note where that is
