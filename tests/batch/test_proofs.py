"""What nobody else does: each case is a promise of the batch engine, counted at the server.

Those that `proofs.py` prints come first; it has one function for each.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import trio

from replicate_kit import BatchError, Client, Result
from replicate_kit.errors import InputError
from replicate_kit.simulator import Fault, RateLimits
from tests.batch import proofs
from tests.batch.proofs import Figures
from tests.waiting import interrupt_when

from .conftest import Service, numbers


def outputs(results: list[Result]) -> list[Any]:
    return [each.output for each in results]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_run_creates_nothing_twice() -> None:
    # In a process of its own, since it forks.
    done = subprocess.run(
        [sys.executable, proofs.__file__, "killed"], capture_output=True, text=True, timeout=300, check=False
    )
    case, *counts = done.stdout.splitlines()[-1].split()[:7]
    assert (case, *map(int, counts)) == ("killed", 300, 300, 300, 0, 0, 0), done.stderr
    assert done.stdout.rstrip().endswith("lost: 0")


def test_one_invalid_row_in_four_hundred_costs_one_error() -> None:
    assert proofs.one_invalid_row() == Figures(rows=400, calls=399, returned=399, errors=1)


def test_one_failing_row_in_four_hundred_costs_one_error() -> None:
    figures = proofs.one_failing_row()
    assert figures == Figures(rows=400, calls=400, returned=399, errors=1)
    assert figures.notes == {"most tries of a row": 1}  # a model's own error is not tried again


def test_a_row_that_the_service_interrupts_twice_is_created_three_times() -> None:
    assert proofs.interrupted_twice() == Figures(rows=100, calls=102, returned=100)


def test_duplicate_index_and_prompt_make_two_calls() -> None:
    assert proofs.frame_with_duplicates() == Figures(rows=4, calls=2, returned=3)


def test_the_same_frame_twice_costs_nothing_the_second_time() -> None:
    assert proofs.same_frame_twice() == Figures(rows=50, calls=0, returned=50)


@pytest.mark.slow
def test_a_refusal_that_names_a_time_stops_all_creates_until_then() -> None:
    figures = proofs.throttled(seconds=2)
    assert figures == Figures(rows=40, calls=40, returned=40)
    assert figures.notes["seconds without creates"] >= 2
    assert figures.notes["ended meanwhile"] >= 1  # what is in flight goes on
    assert figures.notes["refused"] == 1


@pytest.mark.slow
def test_two_hundred_in_flight_need_few_looks() -> None:
    figures = proofs.many_in_flight(seconds=5)
    assert figures == Figures(rows=200, calls=200, returned=200)
    assert figures.notes["GETs a minute"] <= 3000


@pytest.mark.usefixtures("interruptible")
def test_interrupting_cancels_what_is_in_flight_and_loses_nothing() -> None:
    assert proofs.interrupted() == Figures(rows=50, calls=100, returned=50, cancels=50)


@pytest.mark.slow
def test_cells_of_a_notebook_may_block_and_may_await() -> None:
    assert proofs.notebook() == Figures(rows=7, calls=7, returned=7)


def test_equal_rows_share_a_prediction_and_order_is_kept(service: Service, client: Client) -> None:
    rows = [{"n": 7}, {"n": 8}, {"n": 7.0}, {"n": 8}]
    results = list(client.map("acme/double", rows))
    assert outputs(results) == [14, 16, 14, 16]
    assert [each.index for each in results] == [0, 1, 2, 3]
    assert service.creates == 2


def test_more_fewer_or_reordered_rows_find_what_was_paid(
    service: Service, client: Client, journal: Path
) -> None:
    list(client.map("acme/double", numbers(20), journal=journal))
    rows = numbers(10, 15)[::-1]
    results = list(client.map("acme/double", rows, journal=journal))
    assert outputs(results) == [2 * row["n"] for row in rows]
    assert service.creates == 25


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("choice", "said"),
    [("detach", "20 predictions left in flight."), ("cancel", "20 predictions in flight canceled.")],
)
def test_a_run_that_is_stopped_says_what_became_of_what_was_in_flight(
    service: Service, client: Client, journal: Path, choice: Literal["detach", "cancel"], said: str
) -> None:
    interrupt_when(lambda: service.creates >= 20)
    with pytest.raises(KeyboardInterrupt) as caught:
        list(client.map("acme/patient", numbers(20), journal=journal, on_interrupt=choice))
    assert f"The run was stopped with 0 of 20 rows done, and {said}" in caught.value.__notes__[0]


@pytest.mark.usefixtures("interruptible")
def test_a_run_that_detaches_is_taken_up_by_the_next(service: Service, client: Client, journal: Path) -> None:
    interrupt_when(lambda: service.creates >= 20)
    with pytest.raises(KeyboardInterrupt) as caught:
        list(client.map("acme/patient", numbers(20), journal=journal, on_interrupt="detach"))
    assert str(journal) in caught.value.__notes__[0]
    assert service.cancels == 0
    service.gate.set()
    assert outputs(list(client.map("acme/patient", numbers(20), journal=journal))) == list(range(20))
    assert service.creates == 20


def test_leaving_the_loop_cancels_what_is_in_flight(service: Service, client: Client, journal: Path) -> None:
    rows = [{"n": "bad"}, *numbers(8)]
    for result in client.map("acme/patient", rows, journal=journal):
        assert result.status == "invalid"
        while service.creates < 8:
            time.sleep(0.01)
        break
    assert service.cancels == 8


def test_raise_stops_at_the_first_failure_with_the_results_so_far(service: Service, client: Client) -> None:
    with pytest.raises(BatchError, match="no 37") as caught:
        list(client.map("acme/picky", numbers(5000), errors="raise", concurrency=8))
    assert service.creates < 200
    done = caught.value.results
    assert [each.output for each in done if not each.error] == [each.index for each in done if not each.error]
    assert caught.value.journal is not None
    assert Path(caught.value.journal).exists()


def test_raise_refuses_invalid_rows_before_anything_is_spent(service: Service, client: Client) -> None:
    with pytest.raises(InputError, match=r"(?s)2 of 3 rows.*row 0:.*row 2:") as caught:
        list(client.map("acme/double", [{"n": "x"}, {"n": 1}, {}], errors="raise"))
    assert "nothing was created" in str(caught.value)
    assert service.creates == 0


def test_it_works_where_a_loop_is_running(service: Service, client: Client) -> None:
    async def cell() -> list[Any]:
        return outputs(list(client.map("acme/double", numbers(5))))

    assert asyncio.run(cell()) == [0, 2, 4, 6, 8]
    assert trio.run(cell) == [0, 2, 4, 6, 8]


def test_the_asynchronous_form_gives_the_same_in_asyncio_and_trio(service: Service, client: Client) -> None:
    async def main() -> list[Any]:
        async with client.async_map("acme/double", numbers(30)) as batch:
            return [each.output async for each in batch]

    expected = [2 * number for number in range(30)]
    assert asyncio.run(main()) == expected
    assert trio.run(main) == expected


def test_cancelling_the_task_cancels_the_predictions(service: Service, client: Client, journal: Path) -> None:
    async def run() -> None:
        async for _ in client.async_map("acme/patient", numbers(10), journal=journal):
            pass

    async def main() -> None:
        task = asyncio.create_task(run())
        while service.creates < 10:  # noqa: ASYNC110 - a server has no event
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert service.cancels == 10


def test_a_cancelled_scope_of_trio_cancels_the_predictions(
    service: Service, client: Client, journal: Path
) -> None:
    async def main() -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def watch() -> None:
                    while service.creates < 10:  # noqa: ASYNC110 - a server has no event
                        await trio.sleep(0.01)
                    scope.cancel()

                nursery.start_soon(watch)
                async for _ in client.async_map("acme/patient", numbers(10), journal=journal):
                    pass

    trio.run(main)
    assert service.cancels == 10


def test_a_service_that_is_down_stops_the_run_with_what_is_done(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls=set(range(21, 10_000)), refuse=True)])
    with service.client() as client, pytest.raises(BatchError, match="20 of 500 rows done") as caught:
        list(client.map("acme/double", numbers(500), patience=1.0, concurrency=4))
    assert len(caught.value.results) == 20
    assert service.simulator.calls["models.predictions.create"] < 100


def test_a_budget_is_never_overshot(service: Service, client: Client, journal: Path) -> None:
    results = list(client.map("acme/double", numbers(100), price=0.25, budget=10.0, journal=journal))
    assert service.creates == 40
    assert sum(each.cost or 0.0 for each in results) == 10.0
    assert [each.status for each in results].count("skipped") == 60
    more = list(client.map("acme/double", numbers(100), price=0.25, budget=20.0, journal=journal))
    assert service.creates == 100
    assert all(each.error is None for each in more)


def test_limits_of_the_account_are_kept(make_service: Callable[..., Service]) -> None:
    service = make_service(rate_limits=RateLimits(creates=1200, others=6000))
    with service.client() as client:
        results = list(client.map("acme/double", numbers(30)))
    assert len(results) == 30
    assert not [each for each in service.simulator.requests if each.status == 429]
