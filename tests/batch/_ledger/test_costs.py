"""What was spent, added up from journals: by labels, models and days; what is not known stands apart."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.batch import journals
from replicate_kit.batch._ledger.costs import total
from replicate_kit.batch._ledger.tables import open_journal
from replicate_kit.errors import ConfigError, InputError

from ..conftest import numbers

DAY = 86_400.0
MONDAY = datetime(2026, 11, 30, tzinfo=UTC).timestamp()
SUNDAY = "2026-11-29"

# model, label, id, state, status, cost, time of the end, time of the create
ROWS: tuple[tuple[Any, ...], ...] = (
    ("acme/a", "nightly", "p1", "finished", "succeeded", 1.0, MONDAY + 5, MONDAY),
    ("acme/a", "nightly", "p2", "failed", "failed", None, MONDAY + 5, MONDAY),
    ("acme/a", None, "p3", "finished", "succeeded", 0.25, MONDAY - 1, MONDAY - 2),
    ("acme/b", None, "p4", "created", None, None, None, MONDAY - 2),
    ("acme/b", None, None, "intent", None, None, None, MONDAY + DAY),
    ("acme/b", "nightly", None, "unknown", "unknown", None, MONDAY + DAY, MONDAY),
    ("acme/b", "nightly", "p5", "canceled", "aborted", None, MONDAY + DAY, MONDAY),
    ("acme/b", "nightly", "p6", "finished", "succeeded", -9.0, MONDAY + DAY, MONDAY),
    ("acme/b", "nightly", None, "failed", "rejected", None, MONDAY, None),
    ("acme/c", None, "p7", "finished", "succeeded", 2.0, None, None),
)


@pytest.fixture
def kept(journal: Path) -> Path:
    """A journal with predictions of all kinds."""
    with closing(open_journal(journal)) as db:
        db.execute("INSERT INTO labels VALUES ('r', 'nightly')")
        for number, (model, label, id, state, status, cost, ended, sent) in enumerate(ROWS):
            db.execute(
                "INSERT INTO items (key, sample, state, run, model, input, prediction_id, status, cost, finished_at, "
                "sent_at) VALUES (?, 0, ?, 'q', ?, '{}', ?, ?, ?, ?, ?)",
                (b"%d" % number, state, model, id, status, cost, ended, sent),
            )
            creator = "q" if label is None else "r"
            db.execute("INSERT INTO creators VALUES (?, ?, 0, ?)", (id or "", b"%d" % number, creator))
    return journal


def found(journal: Path, **options: Any) -> dict[tuple[str | None, ...], tuple[Mapping[str, int], Any, int]]:
    """The costs by groups."""
    return {
        tuple(each.group.values()): (each.statuses, each.cost, each.unpriced)
        for each in journals.costs(journal, **options)
    }


def test_they_are_added_up_by_labels(kept: Path) -> None:
    assert found(kept, by="label") == {
        ("nightly",): ({"aborted": 1, "failed": 1, "succeeded": 2, "unknown": 1}, 1.0, 2),
        (None,): ({"succeeded": 2, "under way": 2}, 2.25, 0),
    }


def test_they_are_added_up_by_models(kept: Path) -> None:
    assert found(kept, by=["model"]) == {
        ("acme/a",): ({"failed": 1, "succeeded": 2}, 1.25, 1),
        ("acme/b",): ({"aborted": 1, "succeeded": 1, "under way": 2, "unknown": 1}, 0.0, 1),
        ("acme/c",): ({"succeeded": 1}, 2.0, 0),
    }


def test_days_are_of_utc_and_may_not_be_known(kept: Path) -> None:
    assert found(kept, by="day") == {
        (SUNDAY,): ({"succeeded": 1, "under way": 1}, 0.25, 0),
        ("2026-11-30",): ({"failed": 1, "succeeded": 1}, 1.0, 1),
        ("2026-12-01",): ({"aborted": 1, "succeeded": 1, "under way": 1, "unknown": 1}, 0.0, 1),
        (None,): ({"succeeded": 1}, 2.0, 0),
    }


def test_a_cost_that_nobody_knows_is_not_zero(kept: Path) -> None:
    costs = found(kept, until=date(2026, 11, 29))
    assert costs[None, "acme/b", SUNDAY] == ({"under way": 1}, None, 0)


@pytest.mark.parametrize(
    ("limits", "cost"),
    [
        ({}, 3.25),
        ({"since": SUNDAY}, 1.25),
        ({"until": SUNDAY}, 0.25),
        ({"until": date(2026, 11, 29)}, 0.25),
        ({"until": "2026-11-30T00:00:00Z"}, 0.25),
        ({"until": "2026-11-30T01:00:00+01:00"}, 0.25),
        ({"since": datetime(2026, 11, 30, tzinfo=UTC)}, 1.0),
        ({"since": "2026-11-30", "until": "2026-11-30"}, 1.0),
        ({"since": "2027-01-01"}, 0.0),
    ],
    ids=str,
)
def test_a_time_limits_them(kept: Path, limits: dict[str, Any], cost: float) -> None:
    (all,) = journals.costs(kept, by=(), **limits)
    assert all.cost == cost
    assert total(journals.costs(kept, **limits)) == all


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"by": "labels"}, ConfigError),
        ({"by": ["day", "status"]}, ConfigError),
        ({"by": [7]}, ConfigError),
        ({"since": "yesterday"}, InputError),
        ({"until": datetime(2026, 1, 1)}, InputError),  # noqa: DTZ001
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(kept: Path, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        journals.costs(kept, **options)


def test_tries_that_were_interrupted_are_the_labels_that_sent_them(client: Client, journal: Path) -> None:
    list(client.map("acme/shaky", numbers(1, 5), journal=journal, price=0.5, label="nightly"))
    list(client.map("acme/shaky", numbers(1, 5), journal=journal, price=0.5, label="by hand"))
    assert found(journal, by=("label", "model")) == {
        ("nightly", "acme/shaky"): ({"failed": 2, "succeeded": 1}, 1.5, 0)
    }


def test_a_journal_without_labels_has_costs(client: Client, journal: Path) -> None:
    list(client.map("acme/double", numbers(3), journal=journal))
    assert found(journal, by=("label",)) == {(None,): ({"succeeded": 3}, None, 3)}
