"""`wait` looks when others of the same model tended to end: few requests, and each end is seen soon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]

TRIP = 0.004  # seconds that each request takes


@dataclass
class Service:
    """An API whose next prediction waits, runs and ends as told; its clock is another one than ours."""

    clock: Any
    skew: float = 0.0
    run: float = 1.0
    queued: float = 0.0
    status: str = "succeeded"
    times: bool = True
    version: str = "f" * 64
    created: float = 0.0
    looks: int = 0
    shown: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.clock.time += TRIP / 2
        if request.method == "POST":
            self.created, self.looks = self.clock.time, 0
            if "wait" in request.headers.get("Prefer", ""):
                self.clock.time += 60
        else:
            self.looks += 1
        answer = httpx.Response(200, json=self._json())
        self.clock.time += TRIP / 2
        return answer

    @property
    def end(self) -> float:
        return self.created + self.queued + self.run

    def _at(self, moment: float) -> str:
        since = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=moment + self.skew)
        return since.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _json(self) -> dict[str, Any]:
        started, ended = self.clock.time >= self.created + self.queued, self.clock.time >= self.end
        status = self.status if ended else "processing" if started else "starting"
        self.shown.append(status)
        json: dict[str, Any] = {"id": "p1", "version": self.version, "status": status, "input": {}}
        if self.times:
            json["created_at"] = self._at(self.created)
        if started and self.times:
            json["started_at"] = self._at(self.created + self.queued)
        if ended:
            json["metrics"] = {"predict_time": self.run}
            if self.times:
                json["completed_at"] = self._at(self.end)
        return json


@pytest.fixture
def service(clock: Any) -> Service:
    return Service(clock)


def run(client: Client, service: Service, drive: Drive, **options: Any) -> tuple[int, float]:
    """Run one more; how many looks that took, and how late its end was seen."""

    async def create_and_wait() -> None:
        prediction = await client.predictions.async_create(service.version, {}, **options)
        await prediction.async_wait()

    drive(create_and_wait())
    return service.looks, service.clock.time - service.end


TIMES = [0.2, 1.9, 2.05, 2.35, 20.0]


@pytest.mark.parametrize("skew", [0.0, -3600.0, 86400.0])
@pytest.mark.parametrize("seconds", TIMES)
def test_a_model_is_known_when_one_has_ended(
    connect: Connect, service: Service, drive: Drive, seconds: float, skew: float
) -> None:
    client, _ = connect(service, poll_interval=None)
    service.run, service.skew = seconds, skew
    _, late = run(client, service, drive)
    assert late <= max(0.1, seconds / 10) + 2 * TRIP
    for _ in range(5):
        looks, late = run(client, service, drive)
        assert looks <= 3
        assert late <= 0.06


@pytest.mark.parametrize("seconds", TIMES)
def test_metrics_tell_it_where_there_are_no_times(
    connect: Connect, service: Service, drive: Drive, seconds: float
) -> None:
    client, _ = connect(service, poll_interval=None)
    service.run, service.times = seconds, False
    run(client, service, drive)
    looks, late = run(client, service, drive)
    assert looks <= 3
    assert late <= 0.06


@pytest.mark.parametrize("queued", [0.7, 5.0, 130.0])
@pytest.mark.parametrize("seconds", [2.35, 20.0])
def test_the_queue_is_not_the_run(
    connect: Connect, service: Service, drive: Drive, seconds: float, queued: float
) -> None:
    client, _ = connect(service, poll_interval=None)
    service.run = seconds
    run(client, service, drive)
    service.queued = queued
    looks, late = run(client, service, drive)
    # One that is found in the queue before it starts is seen to end in time.
    assert late <= max(0.06, min(queued / 10, 5.0) - seconds + 0.06)
    assert looks <= 60
    service.queued = 0.0
    looks, late = run(client, service, drive)
    assert looks <= 3
    assert late <= 0.06


@pytest.mark.parametrize(("before", "after"), [(20.0, 2.0), (2.0, 20.0), (0.2, 60.0), (60.0, 0.2)])
def test_times_that_change_are_known_anew(
    connect: Connect, service: Service, drive: Drive, before: float, after: float
) -> None:
    client, _ = connect(service, poll_interval=None)
    service.run = before
    for _ in range(12):
        run(client, service, drive)
    service.run = after
    for _ in range(3):
        run(client, service, drive)
    looks, late = run(client, service, drive)
    assert looks <= 3 + after / 15
    assert late <= 0.06 + after / 1000


@pytest.mark.parametrize("status", ["failed", "canceled", "aborted"])
def test_what_did_not_succeed_says_nothing_of_the_others(
    connect: Connect, service: Service, drive: Drive, status: str
) -> None:
    client, _ = connect(service, poll_interval=None)
    service.run = 20.0
    run(client, service, drive)
    service.status, service.run = status, 1.0
    for _ in range(5):
        run(client, service, drive)
    service.status, service.run = "succeeded", 20.0
    looks, late = run(client, service, drive)
    assert looks <= 3
    assert late <= 0.06


def test_models_are_apart(connect: Connect, service: Service, drive: Drive) -> None:
    client, _ = connect(service, poll_interval=None)
    seconds = {"a" * 64: 20.0, "b" * 64: 2.05}
    for _ in range(2):
        for service.version, service.run in seconds.items():
            found = run(client, service, drive)
        assert found[1] <= 0.3
    for service.version, service.run in seconds.items():
        looks, late = run(client, service, drive)
        assert looks <= 3
        assert late <= 0.06


def test_an_answer_that_was_held_came_later_than_its_prediction(
    connect: Connect, service: Service, drive: Drive
) -> None:
    client, _ = connect(service, poll_interval=None)
    service.run = 100.0
    run(client, service, drive)
    looks, late = run(client, service, drive, wait=True)
    assert looks <= 5
    assert late <= 0.06 + 100.0 / 1000


def test_clients_with_other_options_know_it_too(connect: Connect, service: Service, drive: Drive) -> None:
    client, _ = connect(service, poll_interval=None)
    service.run = 20.0
    run(client, service, drive)
    looks, _ = run(client.with_options(timeout=5), service, drive)
    assert looks <= 3


def test_one_that_somebody_else_created_is_looked_at_more_often(
    connect: Connect, service: Service, drive: Drive
) -> None:
    client, _ = connect(service, poll_interval=None)
    service.run = 20.0
    run(client, service, drive)
    service.created, service.looks = service.clock.time - 15.0, 0  # of which nobody told us

    async def wait() -> None:
        await (await client.predictions.async_get("p1")).async_wait()

    drive(wait())
    assert service.clock.time - service.end <= 0.5 + 2 * TRIP


@pytest.mark.parametrize("interval", [0.5, 0.02])
def test_an_interval_that_was_given_is_kept(
    connect: Connect, service: Service, drive: Drive, interval: float
) -> None:
    client, _ = connect(service, poll_interval=interval)
    service.run = 8.1 * (interval + TRIP)
    for _ in range(3):
        assert run(client, service, drive)[0] == 9
    assert set(service.clock.slept) == {interval}
