"""A journal that a killed run of the first format has left: it opens, goes on, and is exported."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from replicate_kit import Client
from replicate_kit.batch import journals

from ..conftest import Service, numbers

TEXT = Path(__file__).with_name("format_1.sql")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(TEXT.read_text(encoding="utf-8"))
    return path


def test_its_plan_counts_what_is_paid_for(client: Client, journal: Path) -> None:
    plan = client.plan("acme/double", numbers(12), journal=journal)
    assert (plan.rows, plan.cached, plan.to_pay) == (12, 6, 2)


@pytest.mark.usefixtures("found_at_once")
def test_its_rows_are_given_or_created_and_none_is_paid_for_unasked(
    service: Service, client: Client, journal: Path
) -> None:
    results = list(client.map("acme/double", numbers(12), journal=journal))
    assert [each.output for each in results] == [0, 2, 4, 6, 8, *[None] * 5, 20, 22]
    # The service of this test knows nothing of what was under way; so nobody can say that the last create, which was
    # not answered, came to nothing.
    statuses = [each.status for each in results]
    assert statuses == [*["succeeded"] * 5, "failed", *["unknown"] * 4, *["succeeded"] * 2]
    assert service.creates == 2
    again = list(client.map("acme/double", numbers(12), journal=journal, retry=("failed", "unknown")))
    assert [each.output for each in again] == [2 * number for number in range(12)]
    assert service.creates == 7


def test_a_run_of_it_may_have_a_label(client: Client, journal: Path) -> None:
    list(client.map("acme/double", numbers(2, 10), journal=journal, label="nightly"))
    assert [each["label"] for each in journals.entries(journal)] == [*[None] * 10, *["nightly"] * 2]


def test_its_rows_are_exported(journal: Path) -> None:
    entries = list(journals.entries(journal))
    assert [json.loads(each["input"]) for each in entries] == numbers(10)
    assert [each["status"] for each in entries][:6] == [*["succeeded"] * 5, "failed"]
    assert [each["output"] for each in entries][:5] == [0, 2, 4, 6, 8]
