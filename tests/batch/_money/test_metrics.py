"""Prices of what models count in the metrics of their predictions."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import httpx
import numpy as np
import pytest

from replicate_kit import Budget, Client
from replicate_kit.batch import journals
from replicate_kit.batch._ledger.stores import store_of
from replicate_kit.batch._money.meter import Meter
from replicate_kit.batch._money.pricing import Price
from replicate_kit.errors import ConfigError
from replicate_kit.simulator import metric

from ..bending import bent, predictions
from ..conftest import Service, numbers
from .test_amounts import NEVER, named

PRICE = {"output_token_count": 0.01, "image_count": 2.0}
MOST = {"output_token_count": 100, "image_count": 3}


@pytest.fixture(params=["file", "memory"])
def place(request: pytest.FixtureRequest, journal: Path) -> str:
    """A journal of each kind that needs no server."""
    return str(journal) if request.param == "file" else f"memory://{journal.parent.name}"


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A service with models that count.

    Of one each row has as many tokens as it says, and one picture; of the other at random, and now and then untold.
    """
    service = make_service()

    @service.simulator.model("acme/counts", workers=64)
    def counts(n: int) -> int:
        metric("output_token_count", n)
        metric("image_count", 1)
        return n

    @service.simulator.model("acme/rambles", workers=64)
    def rambles(n: int) -> int:
        if n % 7:
            metric("output_token_count", Random(n).uniform(0.0, 100.0))
        return n

    return service


def test_units_of_several_metrics_add_up(service: Service, client: Client, place: str) -> None:
    options: Any = {"journal": place, "price": PRICE, "most": MOST}
    assert client.plan("acme/counts", numbers(3), **options).cost == pytest.approx(3 * (1.0 + 6.0))
    batch = client.map("acme/counts", numbers(3), **options)
    assert [each.cost for each in batch] == pytest.approx([2.0, 2.01, 2.02])
    assert batch.progress.cost == pytest.approx(6.03)
    again = list(client.map("acme/counts", numbers(3), journal=place))  # without a price
    assert [(each.cached, each.cost) for each in again] == [
        (True, pytest.approx(2 + n / 100)) for n in range(3)
    ]
    assert sum(each.cost or 0 for each in journals.costs(place)) == pytest.approx(6.03)


def test_seconds_have_their_metric_too(service: Service, client: Client) -> None:
    plan = client.plan("acme/counts", numbers(2), price={"predict_time": 0.5}, cancel_after=10)
    assert plan.cost == 10.0
    price = {"predict_time": 1e6, "image_count": 0.0}
    (result,) = client.map("acme/counts", numbers(1), price=price, most=MOST, cancel_after=10)
    assert result.cost == pytest.approx(1e6 * (result.seconds or 0))


@pytest.mark.parametrize("per", ["run", "journal"])
def test_a_budget_of_money_sets_the_most_aside(
    service: Service, client: Client, place: str, per: Any
) -> None:
    options: Any = {"journal": place, "price": PRICE, "most": MOST, "budget": Budget(money=12.0, per=per)}
    results = list(client.map("acme/counts", numbers(9), concurrency=1, **options))
    # Of 12, seven have to be left for one to begin: after three, 5.97 are.
    assert [each.status for each in results] == ["succeeded"] * 3 + ["skipped"] * 6
    more = list(client.map("acme/counts", numbers(9), concurrency=1, **options))
    assert sum(each.status == "succeeded" for each in more) == (6 if per == "run" else 3)


def test_rows_without_a_cost_are_counted_as_the_most(service: Service, client: Client, place: str) -> None:
    list(client.map("acme/counts", numbers(2), journal=place))
    budget = Budget(money=20.9, per="journal")
    results = client.map("acme/counts", numbers(5), journal=place, price=PRICE, most=MOST, budget=budget)
    assert [each.status for each in results].count("skipped") == 3  # 14 are spent, and 7 more do not fit
    assert service.creates == 2


def test_what_ended_without_a_cost_can_be_filled_in_by_the_most(client: Client, place: str) -> None:
    list(client.map("acme/double", numbers(2), journal=place))
    with closing(store_of(place).administrator(place)) as administrator:
        assert administrator.fill_costs(Price(units=PRICE, mosts=MOST)) == 2
        assert administrator.summary().cost == 14.0


TOLD: list[Any] = [None, -1, float("nan"), float("inf"), True, "7", [], {}]


@pytest.mark.parametrize("value", TOLD, ids=named)
def test_a_metric_that_is_not_told_is_charged_as_the_most_and_told_once(
    service: Service, journal: Path, caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    def bend(request: httpx.Request, body: Any) -> httpx.Response:
        for each in predictions(body):
            if each.get("completed_at"):
                each["metrics"] = {"predict_time": 1.0, "image_count": value}
        status = 201 if request.method == "POST" else 200
        return httpx.Response(status, text=json.dumps(body), request=request)

    with bent(service, bend) as client, caplog.at_level(logging.WARNING, "replicate_kit"):
        results = list(
            client.map(
                "acme/counts",
                numbers(3),
                journal=journal,
                price={"image_count": 1.0},
                most={"image_count": 4},
            )
        )
    assert [each.cost for each in results] == [4.0] * 3
    (said,) = [each.getMessage() for each in caplog.records]
    assert "does not say its image_count (its metrics are: predict_time)" in said
    assert "The most, 4, is counted for it" in said


def test_more_than_the_most_is_charged_as_it_is_and_told_once(
    client: Client, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    options: Any = {"price": {"output_token_count": 1.0}, "most": {"output_token_count": 5}, "budget": 20.0}
    with caplog.at_level(logging.WARNING, "replicate_kit"):
        results = list(client.map("acme/counts", numbers(9, 9), concurrency=1, **options))
    assert [each.cost for each in results[:3]] == [9.0, 10.0, None]
    (said,) = [each.getMessage() for each in caplog.records]
    assert "used 9 of output_token_count, and most= says that one uses 5 at most" in said


def test_a_prediction_that_never_began_uses_nothing() -> None:
    meter = Meter(Price(each=1.0, units=PRICE, mosts=MOST))
    used = meter.read("p", {"image_count": 1, "output_token_count": 0})
    assert used == {"image_count": 1, "output_token_count": 0}
    assert meter.charge(None, used) == 3.0


@pytest.mark.parametrize("value", NEVER, ids=named)
@pytest.mark.parametrize("option", ["price", "most"])
def test_an_amount_that_is_no_number_is_refused_by_its_metric(
    client: Client, option: str, value: Any
) -> None:
    given: dict[str, Any] = {"price": PRICE, "most": MOST} | {option: {"image_count": value}}
    with pytest.raises(ConfigError, match=rf"^{option}\['image_count'\]=.* cannot be used\. Pass "):
        client.map("acme/counts", numbers(3), **given)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"price": {"image_count": 1}},
            r"^The metric 'image_count' has a price, .*most=\{'image_count': …\}",
        ),
        ({"price": {}}, r"^price=\{\} cannot be used"),
        ({"price": {7: 1}}, r"^price=\{7: 1\} cannot be used\. Pass amounts by names of metrics"),
        ({"price": {"": 1}}, r"^price=\{'': 1\} cannot be used"),
        ({"most": 7}, r"^most=7 cannot be used\. Pass amounts by names of metrics"),
        ({"most": {"predict_time": 7}}, r"^most must be without 'predict_time', which cancel_after= limits"),
        (
            {"price": {"predict_time": 1}, "price_per_second": 1},
            r"^price=.* and price_per_second= are the same",
        ),
    ],
)
def test_prices_that_cannot_be_meant_are_refused(client: Client, options: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        client.map("acme/counts", numbers(3), **options)


@pytest.mark.parametrize("kind", [int, float, np.float32, Decimal])
def test_amounts_of_every_kind_do(client: Client, service: Service, kind: Any) -> None:
    given: Mapping[str, Any] = {"image_count": kind(2)}
    (result,) = client.map("acme/counts", numbers(1), price=given, most=given, budget=4)
    assert result.cost == 2.0


# Budgets.


def told(service: Service) -> float:
    """How many tokens there are of all predictions, those that were not told as the most."""
    with Client(backend=service.simulator) as client:
        found = [each for each in client.predictions.list() if each.status == "succeeded"]
    return sum(each.metrics.get("output_token_count", 100.0) for each in found)


@pytest.mark.parametrize("limit", [50, 100, 1234, 10_000])
@pytest.mark.parametrize("per", ["run", "journal"])
def test_a_budget_of_tokens_is_never_overshot_and_used_well(
    service: Service, place: str, limit: int, per: Any
) -> None:
    budget = Budget(metrics={"output_token_count": limit}, per=per)
    options: Any = {
        "budget": budget,
        "most": {"output_token_count": 100},
        "journal": place,
        "concurrency": 64,
    }
    with service.client() as client:
        plan = client.plan("acme/rambles", numbers(150), **options)
        results = list(client.map("acme/rambles", numbers(150), **options))
    assert plan.fits == limit // 100
    assert plan.fits <= service.creates <= 150
    assert told(service) <= limit * (1 + 1e-9)
    assert service.creates == 150 or told(service) > limit - 100
    assert sum(each.status == "skipped" for each in results) == 150 - service.creates


def test_a_budget_of_the_journal_counts_what_all_runs_used(service: Service, place: str) -> None:
    budget = Budget(metrics={"output_token_count": 3000}, per="journal")
    options: Any = {
        "budget": budget,
        "most": {"output_token_count": 100},
        "journal": place,
        "concurrency": 64,
    }
    with service.client() as client:
        for start in range(0, 100, 20):
            plan = client.plan("acme/rambles", numbers(20, start), **options)
            before = service.creates
            list(client.map("acme/rambles", numbers(20, start), **options))
            assert service.creates - before >= (plan.fits or 0)
            assert told(service) <= 3000
    assert told(service) > 2900
    assert plan.fits == 0
    assert f"sure to fit into the budget: {plan.fits} predictions" in str(plan)


def test_rows_that_ran_without_the_most_count_as_the_most_of_the_present_run(
    service: Service, client: Client, place: str
) -> None:
    list(client.map("acme/counts", numbers(3), journal=place))
    budget = Budget(metrics={"output_token_count": 450}, per="journal")
    results = client.map("acme/counts", numbers(9), journal=place, budget=budget, most=MOST, concurrency=1)
    assert [each.status for each in results].count("skipped") == 0  # of 450 tokens 300 are said to be gone
    assert service.creates == 9
    again = client.map("acme/counts", numbers(3, 90), journal=place, budget=budget, most=MOST, concurrency=1)
    assert [each.status for each in again] == ["succeeded", "skipped", "skipped"]


def test_a_budget_of_seconds_may_be_told_as_a_metric() -> None:
    assert Budget(metrics={"predict_time": 5, "x": 1}) == Budget(seconds=5.0, metrics={"x": 1.0})


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"x": -1}, r"^Budget\.metrics\['x'\]=-1 cannot be used"),
        ({}, r"^Budget\.metrics=\{\} cannot be used\. Pass amounts by names of metrics"),
        (7, r"^Budget\.metrics=7 cannot be used"),
        ({"predict_time": 5}, "are the same. Pass one of them"),
    ],
)
def test_a_budget_of_metrics_that_cannot_be_meant_is_refused(metrics: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Budget(metrics=metrics, seconds=1)


def test_a_budget_needs_to_know_the_most(client: Client) -> None:
    with pytest.raises(ConfigError, match=r"^The metric 'x' has a budget, and most= does not say"):
        client.map("acme/counts", numbers(1), budget=Budget(metrics={"x": 1}))
