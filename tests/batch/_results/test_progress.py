"""How far a run is: what is counted, and how fast it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicate_kit import Client, Plan, Progress
from replicate_kit.batch._results import progress
from replicate_kit.batch._results.progress import Tally

from ..conftest import Service, numbers


class Clock:
    """Stands in for `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_progress_is_told_to_a_function(service: Service, client: Client, journal: Path) -> None:
    seen: list[Progress] = []
    list(client.map("acme/picky", numbers(40), journal=journal, price=0.5, progress=seen.append))
    assert seen[-1].finished
    last = seen[-1]
    assert (last.total, last.done, last.failed, last.cached, last.created) == (40, 40, 1, 0, 40)
    assert last.cost == 20.0
    assert last.in_flight == 0
    list(client.map("acme/picky", [*numbers(40), {}], journal=journal, progress=seen.append))
    assert (seen[-1].cached, seen[-1].created, seen[-1].failed, seen[-1].done) == (40, 0, 2, 41)
    assert seen[-1].cost is None


def test_nothing_is_counted_before_the_run_begins(client: Client) -> None:
    seen: list[Progress] = []

    def look(plan: Plan) -> None:
        seen.append(batch.progress)

    batch = client.map("acme/double", numbers(3), on_plan=look)
    list(batch)
    assert seen == [Progress()]
    assert batch.progress.finished


def test_what_is_left_takes_as_long_as_the_rate_says() -> None:
    assert Progress(total=10, done=4, rate=0.5).remaining == 12.0
    assert Progress(total=10, done=4).remaining is None


def tally(clock: Clock, *, total: int, cached: int = 0) -> Tally:
    return Tally(total, cached, 0, cached, began=clock.now)


def test_rows_that_were_known_do_not_count_for_the_rate(clock: Clock) -> None:
    counts = tally(clock, total=100, cached=40)
    clock.now += 2.0
    counts.done += 30  # of which the journal held 20, whose files had to be stored
    counts.cached += 20
    assert counts.now(0, None).rate == 5.0


def test_the_rate_is_that_of_the_last_while(clock: Clock) -> None:
    counts = tally(clock, total=10_000)
    for rows in [10] * 100 + [1] * 100:
        clock.now += 1.0
        counts.done += rows
        counts.now(0, None)
    assert counts.now(0, None).rate == 1.0


def test_where_nothing_came_for_a_while_the_rate_is_that_of_the_run(clock: Clock) -> None:
    counts = tally(clock, total=100)
    counts.done += 10
    for _ in range(100):
        clock.now += 1.0
        counts.now(0, None)
    assert counts.now(0, None).rate == 0.1


def test_in_the_end_the_rate_is_that_of_the_run(clock: Clock) -> None:
    counts = tally(clock, total=1000)
    for rows in [5] * 100 + [500]:
        clock.now += 1.0
        counts.done += rows
        last = counts.now(0, None)
    assert last.finished
    assert last.rate == 1000 / 101
