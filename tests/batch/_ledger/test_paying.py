"""Labels of runs: whose a row is that several runs wanted, and what a label does not change."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from replicate_kit import Client
from replicate_kit.batch import journals
from replicate_kit.batch._ledger.tables import VERSION
from replicate_kit.simulator import Fault

from ..conftest import Service, numbers


def labels(journal: Path) -> list[str | None]:
    return [each["label"] for each in journals.entries(journal)]


async def mapped(client: Client, rows: list[dict[str, int]], journal: Path, label: str | None) -> int:
    return len([each async for each in client.async_map("acme/double", rows, journal=journal, label=label)])


@pytest.mark.parametrize("label", [None, "by hand", "é" * 100, "a: b, c", "🦘👩‍🔬"])
@pytest.mark.parametrize("way", ["map", "async_map"])
def test_a_row_is_paid_once_and_stays_whose_it_was(
    service: Service, client: Client, journal: Path, label: str | None, way: str
) -> None:
    list(client.map("acme/double", numbers(3), journal=journal, label="nightly"))
    if way == "map":
        list(client.map("acme/double", numbers(5), journal=journal, label=label))
    else:
        asyncio.run(mapped(client, numbers(5), journal, label))
    assert service.creates == 5
    assert labels(journal) == [*["nightly"] * 3, *[label] * 2]
    known = journals.describe(journal).labels
    assert known == tuple(sorted({"nightly", *([label] if label else [])}))


def test_a_row_that_is_paid_again_is_of_the_run_that_paid_last(client: Client, journal: Path) -> None:
    rows = numbers(2, 36)
    list(client.map("acme/picky", rows, journal=journal, label="nightly"))
    list(client.map("acme/picky", rows, journal=journal, label="again", retry="failed"))
    found = {each["status"]: each["label"] for each in journals.entries(journal)}
    assert found == {"succeeded": "nightly", "failed": "again"}


@pytest.mark.parametrize("acted", [True, False])
def test_a_create_that_was_not_answered_is_of_the_run_that_sent_it(
    make_service: Callable[..., Service], journal: Path, acted: bool
) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls={1}, cut=True, acted=acted)])
    with service.client() as client:
        list(client.map("acme/double", numbers(1), journal=journal, label="nightly"))
    assert labels(journal) == ["nightly"]


def test_what_is_forgotten_leaves_no_label(client: Client, journal: Path) -> None:
    list(client.map("acme/double", numbers(3), journal=journal, label="nightly"))
    assert journals.prune(journal) == 3
    with closing(sqlite3.connect(journal)) as db:
        assert db.execute("SELECT COUNT(*) FROM creators").fetchone() == (0,)


def test_earlier_versions_can_go_on_with_a_journal_that_has_labels(client: Client, journal: Path) -> None:
    list(client.map("acme/double", numbers(1), journal=journal, label="nightly"))
    with closing(sqlite3.connect(journal)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert VERSION == 1, "a new number shuts earlier versions out"
