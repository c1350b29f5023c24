"""One limit and one budget for processes on one journal."""

from __future__ import annotations

import pytest

from replicate_kit_postgres.testing import Postgres

from .limits import together

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_four_processes_never_spend_more_than_one_budget(server: Postgres) -> None:
    found = together(f"{server.url()}?prefix={server.new()}", processes=4, rows=100, rate=600, budget=100)
    assert found.created == 100
    assert found.statuses == {"succeeded": 100, "skipped": 300}


def test_another_run_knows_what_was_spent(server: Postgres) -> None:
    journal = f"{server.url()}?prefix={server.new()}"
    assert together(journal, processes=2, rows=30, rate=600, budget=40).created == 40
    assert together(journal, processes=1, rows=100, rate=600, budget=50).created == 10


def test_four_processes_keep_to_one_limit(server: Postgres) -> None:
    found = together(f"{server.url()}?prefix={server.new()}", processes=4, rows=60, rate=20)
    assert found.statuses == {"succeeded": 240}
    # Each of them alone would be let through 20 a second: three of four creates would be refused.
    assert found.refused < 24
