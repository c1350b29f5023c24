"""Every create has a deadline, and what that ends is not lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.batch import MapOptions
from replicate_kit.errors import ConfigError, PredictionAborted, PredictionCanceled
from replicate_kit.simulator import Clock, sleep

from ..bending import bent, predictions
from ..conftest import Service, numbers

MakeService = Callable[..., Service]


@pytest.fixture
def crowded(make_service: MakeService) -> Service:
    """A service whose only worker is taken by somebody else, until the gate is opened. Its seconds are short."""
    service = make_service(clock=Clock(rate=10.0))

    @service.simulator.model("acme/crowded", workers=1)
    def crowded(n: int) -> int:
        service.tries[n] += 1
        while not service.gate.is_set():
            sleep(0.1)
        return n

    with service.client() as other:
        other.predictions.create("acme/crowded", {"n": 99})
    return service


def statuses(service: Service) -> Counter[str]:
    with service.client() as client:
        return Counter(each.status for each in client.predictions.list_all())


def deadlines(service: Service) -> set[float]:
    """The seconds that predictions had, from their creation."""
    with service.client() as client:
        return {
            (each.deadline - each.created_at).total_seconds()
            for each in client.predictions.list_all()
            if each.deadline is not None and each.created_at is not None
        }


def test_every_create_has_a_deadline(service: Service, client: Client) -> None:
    list(client.map("acme/double", numbers(3)))
    assert deadlines(service) == {3600.0}


def test_the_deadline_may_be_said_in_seconds_or_as_a_text(service: Service, client: Client) -> None:
    list(client.map("acme/double", numbers(1), cancel_after=9.5))
    list(client.map("acme/double", numbers(1, 10), cancel_after="1h30m"))
    assert deadlines(service) == {10.0, 5400.0}


def test_a_deadline_that_is_none_is_refused_before_anything_is_spent(client: Client) -> None:
    with pytest.raises(ConfigError, match="cancel_after='soon'"):
        client.map("acme/double", numbers(1), cancel_after="soon")


def test_what_did_not_begin_before_its_deadline_is_created_again(crowded: Service) -> None:
    def open_late() -> None:
        while not statuses(crowded)["aborted"]:
            time.sleep(0.01)
        crowded.gate.set()

    helper = threading.Thread(target=open_late)
    helper.start()
    with crowded.client() as client:
        results = list(client.map("acme/crowded", numbers(4), cancel_after=10, concurrency=4, retries=50))
    helper.join()
    assert [each.output for each in results] == [0, 1, 2, 3]
    assert all(count == 1 for count in crowded.tries.values())  # nothing that began was begun again


def test_what_never_began_is_free_and_left_to_the_next_run(crowded: Service, journal: Path) -> None:
    with crowded.client() as client:
        options: MapOptions = {"journal": journal, "price": 1.0}
        results = list(client.map("acme/crowded", numbers(4), cancel_after=5, retries=0, **options))
        assert {each.status for each in results} == {"aborted"}
        assert all(isinstance(each.error, PredictionAborted) for each in results)
        assert {each.cost for each in results} == {None}
        crowded.gate.set()
        results = list(client.map("acme/crowded", numbers(4), **options))
        assert [each.output for each in results] == [0, 1, 2, 3]


def test_what_was_ended_while_it_ran_was_paid_and_is_not_created_again(
    make_service: MakeService, journal: Path
) -> None:
    service = make_service(clock=Clock(rate=10.0))

    @service.simulator.model("acme/slow")
    def slow(n: int) -> int:
        service.tries[n] += 1
        sleep(600.0)
        return n

    with service.client() as client:
        options: MapOptions = {"journal": journal, "price": 1.0, "retries": 50}
        (result,) = client.map("acme/slow", numbers(1), cancel_after=5, **options)
        assert isinstance(result.error, PredictionCanceled)
        assert result.cost == 1.0
        (again,) = client.map("acme/slow", numbers(1), **options)
        assert str(again.error) == str(result.error)
    assert service.tries[0] == 1


@pytest.mark.parametrize("digits", [0, 3])
def test_times_without_fractions_hide_no_deadline(crowded: Service, journal: Path, digits: int) -> None:
    def cut(request: httpx.Request, body: Any) -> None:
        for each in predictions(body):
            if each.get("completed_at"):
                seconds, _, fraction = each["completed_at"].rstrip("Z").partition(".")
                each["completed_at"] = f"{seconds}.{fraction[:digits]}".rstrip(".") + "Z"

    with bent(crowded, cut, timeout=1.0) as client:
        results = list(client.map("acme/crowded", numbers(4), journal=journal, cancel_after=5, retries=0))
        assert {each.status for each in results} == {"aborted"}
        crowded.gate.set()
        assert [each.output for each in client.map("acme/crowded", numbers(4), journal=journal)] == [
            0,
            1,
            2,
            3,
        ]
