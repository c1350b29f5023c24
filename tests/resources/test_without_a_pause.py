"""A poll interval of 0: the next look follows at once, and others have their turn all the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from replicate_kit import Client
from replicate_kit.batch._engine.rows import Rows
from replicate_kit.errors import PredictionTimeout
from replicate_kit.simulator import Simulator
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]


def answer_of(ends_after: int, prediction: Any) -> Callable[[httpx.Request], httpx.Response]:
    """An API at which a prediction ends after so many looks, and has one more piece of output at each."""
    looks = [0]

    def answer(request: httpx.Request) -> httpx.Response:
        looks[0] += 1
        status = "succeeded" if looks[0] > ends_after else "processing"
        return httpx.Response(200, json=prediction(status=status, output=["x"] * looks[0]))

    return answer


def test_waiting_never_pauses(connect: Connect, clock: Any, prediction: Any, drive: Drive) -> None:
    client, requests = connect(
        *(prediction(status="processing") for _ in range(40)), prediction(status="succeeded"), poll_interval=0
    )
    created = drive(client.predictions.async_get("p1"))
    drive(created.async_wait())
    assert (len(requests), set(clock.slept)) == (41, {0})


def test_no_pause_stays_none_however_long_it_takes(connect: Connect, clock: Any, prediction: Any) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        clock.time += 1.0
        return httpx.Response(200, json=prediction(status="processing"))

    client, _ = connect(answer, poll_interval=0)
    with pytest.raises(PredictionTimeout):
        client.predictions.get("p1").wait(timeout=100)
    assert set(clock.slept) == {0}


def test_pieces_come_without_a_pause(connect: Connect, clock: Any, prediction: Any) -> None:
    client, _ = connect(answer_of(5, prediction), poll_interval=0)
    assert list(client.predictions.get("p1").output_iterator()) == ["x"] * 6
    assert set(clock.slept) == {0}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_other_tasks_go_on(connect: Connect, prediction: Any, backend: str) -> None:
    client, _ = connect(answer_of(10**9, prediction), poll_interval=0)

    async def main() -> int:
        created = await client.predictions.async_get("p1")
        turns = 0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(created.async_wait)
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
                turns += 1
            tasks.cancel_scope.cancel()
        return turns

    assert anyio.run(main, backend=backend) == 50


def test_other_threads_go_on(connect: Connect, prediction: Any) -> None:
    ended = threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=prediction(status="succeeded" if ended.is_set() else "processing"))

    client, _ = connect(answer, poll_interval=0)
    waiting = client.predictions.get("p1")
    threading.Timer(0.01, ended.set).start()
    waiting.wait()
    assert waiting.status == "succeeded"


def test_batches_end(simulator: Simulator) -> None:
    @simulator.model("acme/shout")
    def shout(text: str) -> str:
        return text.upper()

    with Client(backend=simulator, poll_interval=0) as client:
        assert [each.output for each in client.map("acme/shout", [{"text": "a"}, {"text": "b"}])] == [
            "A",
            "B",
        ]


@pytest.mark.parametrize(("interval", "longest"), [(0, 4.0), (0.5, 4.0), (0.01, 0.08), (2, 16.0)])
def test_pauses_between_attempts_do_not_vanish(
    interval: float, longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    rows: Any = SimpleNamespace(poller=SimpleNamespace(poll_interval=interval))
    assert Rows._pause(rows, 3) == longest
