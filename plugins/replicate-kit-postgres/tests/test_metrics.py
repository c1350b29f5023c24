"""A budget of what models count, which runs on one journal share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from replicate_kit import Budget, Client
from replicate_kit.batch import journals
from replicate_kit.simulator import Simulator, metric
from replicate_kit_postgres.testing import Postgres

_MOST = 100.0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("limit", [250, 6000])
def test_runs_at_once_never_use_more_than_one_budget(server: Postgres, limit: int) -> None:
    simulator, used = Simulator(), list[float]()

    @simulator.model("acme/rambles", workers=256)
    def rambles(n: int) -> int:
        tokens = Random(n).uniform(0.0, _MOST)
        used.append(tokens if n % 7 else _MOST)
        if n % 7:  # else nobody knows, and it may be the most
            metric("output_token_count", tokens)
        return n

    journal = f"{server.url()}?prefix={server.new()}"
    budget = Budget(metrics={"output_token_count": limit}, per="journal")
    options: Any = {"journal": journal, "budget": budget, "most": {"output_token_count": _MOST}}

    def run(start: int) -> list[str]:
        rows = [{"n": n} for n in range(start, start + 60)]
        with Client(backend=simulator, poll_interval=0.02) as client:
            return [each.status for each in client.map("acme/rambles", rows, concurrency=64, **options)]

    with ThreadPoolExecutor(3) as pool:
        statuses = [each for found in pool.map(run, (0, 100, 200)) for each in found]
    assert sum(used) <= limit
    assert sum(used) > limit - _MOST
    assert statuses.count("succeeded") == simulator.created == len(used)
    with Client(backend=simulator) as client:  # a later run knows what was used
        plan = client.plan("acme/rambles", [{"n": 900}], **options)
    assert plan.fits == 0
    simulator.close()
    assert journals.describe(journal).in_use is False
