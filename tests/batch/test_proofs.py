"""What nobody else does: each case is a promise of the batch engine, counted at the server."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from replicate_kit import BatchError, Client, Result
from replicate_kit.errors import InputError, ModelError
from replicate_kit.simulator import Fault, RateLimits

from .conftest import Service, numbers


def outputs(results: list[Result]) -> list[Any]:
    return [each.output for each in results]


def test_one_bad_row_in_four_hundred_costs_one_error(service: Service, client: Client) -> None:
    rows = [*numbers(36), {"n": "many"}, *numbers(363, 40)]
    results = list(client.map("acme/double", rows))
    assert len(results) == 400
    assert [each.index for each in results if each.error] == [36]
    assert isinstance(results[36].error, InputError)
    assert service.creates == 399


def test_one_failing_row_in_four_hundred_costs_one_error(service: Service, client: Client) -> None:
    rows = numbers(400, 20)  # of which 37, 137, 237 and 337 fail
    results = list(client.map("acme/picky", rows))
    failed = [each.index + 20 for each in results if each.error]
    assert failed == [37, 137, 237, 337]
    assert all(isinstance(each.error, ModelError) for each in results if each.error)
    assert service.creates == 400  # a model's own error is not tried again
    assert max(service.tries.values()) == 1


def test_a_row_that_the_service_interrupts_twice_is_created_three_times(
    service: Service, client: Client
) -> None:
    results = list(client.map("acme/shaky", numbers(100)))
    assert outputs(results) == list(range(100))
    assert service.creates == 102


def test_equal_rows_share_a_prediction_and_order_is_kept(service: Service, client: Client) -> None:
    rows = [{"n": 7}, {"n": 8}, {"n": 7.0}, {"n": 8}]
    results = list(client.map("acme/double", rows))
    assert outputs(results) == [14, 16, 14, 16]
    assert [each.index for each in results] == [0, 1, 2, 3]
    assert service.creates == 2


def test_the_same_rows_twice_cost_nothing_the_second_time(
    service: Service, client: Client, journal: Path
) -> None:
    first = list(client.map("acme/double", numbers(50), journal=journal))
    service.simulator.calls.clear()
    second = list(client.map("acme/double", numbers(50), journal=journal))
    assert outputs(first) == outputs(second)
    assert all(each.cached for each in second)
    assert not any(name.endswith("create") for name in service.simulator.calls)


def test_more_fewer_or_reordered_rows_find_what_was_paid(
    service: Service, client: Client, journal: Path
) -> None:
    list(client.map("acme/double", numbers(20), journal=journal))
    rows = numbers(10, 15)[::-1]
    results = list(client.map("acme/double", rows, journal=journal))
    assert outputs(results) == [2 * row["n"] for row in rows]
    assert service.creates == 25


def test_interrupting_cancels_what_is_in_flight_and_loses_nothing(
    service: Service, client: Client, journal: Path
) -> None:
    def interrupt() -> None:
        while service.creates < 50:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt) as caught:
        list(client.map("acme/patient", numbers(50), journal=journal, concurrency=64))
    assert str(journal) in caught.value.__notes__[0]
    assert service.cancels == 50
    service.gate.set()
    results = list(client.map("acme/patient", numbers(50), journal=journal))
    assert outputs(results) == list(range(50))
    assert service.creates == 100


def test_a_run_that_detaches_is_taken_up_by_the_next(service: Service, client: Client, journal: Path) -> None:
    def interrupt() -> None:
        while service.creates < 20:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        list(client.map("acme/patient", numbers(20), journal=journal, on_interrupt="detach"))
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


def test_a_refusal_that_names_a_time_stops_all_creates_until_then(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls={11}, status=429, retry_after=2)])
    moments: list[float] = []

    @service.simulator.model("acme/clocked", workers=64)
    def clocked(n: int) -> int:
        moments.append(time.monotonic())
        return n

    with service.client() as client:
        results = list(client.map("acme/clocked", numbers(40), concurrency=4))
    assert outputs(results) == list(range(40))
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert max(gaps) >= 1.9  # nothing was created meanwhile
    assert sum(gap > 1 for gap in gaps) == 1
    assert service.creates == 40
    refused = [each for each in service.simulator.requests if each.status == 429]
    assert len(refused) <= 4  # those that were on their way


def test_two_hundred_in_flight_need_few_looks(service: Service, client: Client) -> None:
    def release() -> None:
        while service.creates < 200:
            time.sleep(0.01)
        time.sleep(2.0)
        service.gate.set()

    threading.Thread(target=release).start()
    with service.client(poll_interval=0.5) as slow:
        began = time.monotonic()
        results = list(slow.map("acme/patient", numbers(200), concurrency=200))
    minutes = (time.monotonic() - began) / 60
    assert len(results) == 200
    assert service.gets <= 3000 * minutes + 50


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
    with service.client() as client, pytest.raises(BatchError, match="20 of 500 rows are done") as caught:
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
