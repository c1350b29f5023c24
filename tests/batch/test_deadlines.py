"""Every create has a deadline, and what that ends is not lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from replicate_kit import Client
from replicate_kit.errors import InputError, PredictionAborted, PredictionCanceled
from replicate_kit.simulator import Clock, sleep

from .conftest import Service, numbers

MakeService = Callable[..., Service]


@pytest.fixture
def crowded(make_service: MakeService) -> Service:
    """A service whose only worker takes four of its seconds for each prediction, which are short ones."""
    service = make_service(clock=Clock(rate=50.0))

    @service.simulator.model("acme/crowded", workers=1)
    def crowded(n: int) -> int:
        service.tries[n] += 1
        sleep(4.0)
        return n

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
    with pytest.raises(InputError, match="cancel_after='soon'"):
        client.map("acme/double", numbers(1), cancel_after="soon")


def test_what_did_not_begin_before_its_deadline_is_created_again(crowded: Service) -> None:
    with crowded.client() as client:
        results = list(client.map("acme/crowded", numbers(4), cancel_after=6, concurrency=4, retries=20))
    assert statuses(crowded)["aborted"] >= 1
    assert {each.status for each in results} <= {"succeeded", "canceled"}
    assert all(count == 1 for count in crowded.tries.values())  # nothing that began was begun again


def test_what_never_began_is_free_and_left_to_the_next_run(crowded: Service, journal: Path) -> None:
    with crowded.client() as client:
        options = {"cancel_after": 6, "journal": journal, "price": 1.0}
        results = list(client.map("acme/crowded", numbers(4), concurrency=4, retries=0, **options))
        aborted = [each for each in results if each.status == "aborted"]
        assert aborted
        assert all(isinstance(each.error, PredictionAborted) for each in aborted)
        assert {each.cost for each in aborted} == {None}
        plan = client.plan("acme/crowded", numbers(4), **options)
        assert plan.to_pay == len(aborted)


def test_what_was_ended_while_it_ran_was_paid_and_is_not_created_again(
    crowded: Service, journal: Path
) -> None:
    @crowded.simulator.model("acme/slow")
    def slow(n: int) -> int:
        sleep(60.0)
        return n

    with crowded.client() as client:
        (result,) = client.map("acme/slow", numbers(1), cancel_after=5, journal=journal, price=1.0)
        assert isinstance(result.error, PredictionCanceled)
        assert result.cost == 1.0
        assert client.plan("acme/slow", numbers(1), journal=journal).to_pay == 0
    assert crowded.creates == 1
