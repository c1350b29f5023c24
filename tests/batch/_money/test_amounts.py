"""Numbers that guard money and pace: bad ones are refused before anything is planned, false ones are not believed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from replicate_kit import Budget, Client
from replicate_kit.batch import journals
from replicate_kit.batch._engine.limits import Bucket, stated_limit
from replicate_kit.batch._money.amounts import LONGEST, billed_seconds
from replicate_kit.errors import ConfigError

from ..bending import bent, predictions
from ..conftest import Service, numbers


def named(value: Any) -> str:
    """A name for a test that is the same in every process."""
    return f"{type(value).__name__} {value!r}"[:30]


NAN, INF = float("nan"), float("inf")
NEVER: list[Any] = [
    -1, -0.5, NAN, INF, -INF, 10**400, True, False, np.True_, "10", "", b"1", [1], {}, object, 1j,
    np.timedelta64(90, "m"), np.datetime64("2030-01-01"), np.array([1.0]), pd.NA, np.float64(NAN), np.float32(-1),
    np.int64(-1), Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal(-1),
]  # fmt: skip
MONEY = ("price", "price_per_second", "budget")
OPTIONS = (*MONEY, "concurrency", "creates_per_minute", "retries", "patience", "cancel_after")


@pytest.mark.parametrize("value", NEVER, ids=named)
@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_that_is_no_number_to_use_is_refused_by_its_name(
    service: Service, client: Client, option: str, value: Any
) -> None:
    given = {"price": 1.0} | {option: value}
    if option == "cancel_after" and isinstance(value, str):
        value = given[option] = "soon"  # a text may be a time
    with pytest.raises(
        ConfigError, match=rf"^{option}=.* cannot be used\. Pass .*Nothing was created"
    ) as caught:
        client.map("acme/nothing", numbers(3), **given)
    assert repr(value)[:8] in str(caught.value)
    assert service.simulator.calls.total() == 0


@pytest.mark.parametrize("value", NEVER, ids=named)
@pytest.mark.parametrize("limit", ["predictions", "seconds", "money"])
def test_a_budget_of_what_is_no_number_is_refused_when_it_is_made(limit: str, value: Any) -> None:
    options: Any = {limit: value}
    with pytest.raises(ConfigError, match=rf"^Budget\.{limit}=.* or None for no limit"):
        Budget(**options)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("concurrency", each) for each in (0, 2.5, Fraction(1, 2), Decimal("1.5"), np.float64(3.5))),
        *(("retries", each) for each in (0.5, np.float32(1.5), None)),
        *(("creates_per_minute", each) for each in (0, 0.0, np.int64(0), None)),
        ("patience", None),
        *(("cancel_after", each) for each in (0, 4, np.int64(4), 1e12)),
    ],
)
def test_nothing_and_parts_are_refused_where_they_make_no_sense(
    client: Client, option: str, value: Any
) -> None:
    with pytest.raises(ConfigError, match=f"^{option}="):
        client.map("acme/nothing", numbers(3), **{option: value})


@pytest.mark.parametrize("method", ["map", "async_map", "plan"])
def test_every_way_to_begin_checks_them(service: Service, client: Client, method: str) -> None:
    with pytest.raises(ConfigError, match=r"^price=-1 "):
        getattr(client, method)("acme/double", numbers(3), price=-1)
    assert service.simulator.calls.total() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [int, float, np.float64, np.float32, np.int64, np.uint8, Decimal, Fraction],
    ids=lambda each: each.__name__,
)
def test_numbers_of_every_kind_do(service: Service, client: Client, journal: Path, kind: Any) -> None:
    results = list(
        client.map(
            "acme/double", numbers(5), journal=journal, price=kind(1), budget=kind(3), retries=kind(1),
            concurrency=kind(2), creates_per_minute=kind(60), patience=kind(9), cancel_after=kind(30),
        )
    )  # fmt: skip
    assert [each.cost for each in results] == [1.0, 1.0, 1.0, None, None]
    assert [type(each.cost) for each in results[:3]] == [float] * 3
    assert service.creates == 3
    assert journals.describe(journal).cost == 3.0
    limits = Budget(predictions=kind(3), seconds=kind(4), money=kind(5))
    assert [type(each) for each in (limits.predictions, limits.seconds, limits.money)] == [int, float, float]


def test_a_budget_of_nothing_leaves_all_out_and_no_price_costs_nothing(
    service: Service, client: Client
) -> None:
    results = list(client.map("acme/double", numbers(3), price=1, budget=0))
    assert {each.status for each in results} == {"skipped"}
    assert service.creates == 0
    results = list(client.map("acme/double", numbers(3), price=0, budget=0))
    assert [each.cost for each in results] == [0.0] * 3


@pytest.mark.parametrize("value", [-1, NAN, INF, True, "1d"], ids=named)
def test_an_age_that_is_none_forgets_nothing(client: Client, journal: Path, value: Any) -> None:
    list(client.map("acme/double", numbers(3), journal=journal))
    with pytest.raises(ConfigError, match=r"^older_than="):
        journals.prune(journal, older_than=value)
    assert journals.describe(journal).states == {"finished": 3}


# What servers tell.

FALSE: list[Any] = [-100.0, -1e-9, NAN, INF, -INF, 1e308, LONGEST * 2, 10**400, "5", "", True, False, [], {}]


def measured(value: Any) -> Callable[[httpx.Request, Any], Any]:
    """Let all predictions that have ended be told with this running time."""

    def bend(request: httpx.Request, body: Any) -> httpx.Response:
        for each in predictions(body):
            if each.get("completed_at"):
                each["metrics"] = {"predict_time": value}
        status = 201 if request.method == "POST" else 200
        return httpx.Response(status, text=json.dumps(body), request=request)

    return bend


@pytest.mark.parametrize("value", FALSE, ids=named)
def test_a_running_time_that_cannot_be_true_is_charged_as_the_most(
    service: Service, journal: Path, value: Any
) -> None:
    with bent(service, measured(value)) as client:
        batch = client.map(
            "acme/double", numbers(8), journal=journal, price_per_second=1.0, cancel_after=10, budget=25.0
        )
        results = list(batch)
    assert service.creates == 2
    assert [each.status for each in results].count("skipped") == 6
    paid = [each for each in results if each.status == "succeeded"]
    assert [(each.seconds, each.cost) for each in paid] == [(None, 10.0)] * 2
    assert batch.progress.cost == journals.describe(journal).cost == 20.0


@pytest.mark.parametrize("value", FALSE, ids=named)
def test_a_budget_of_seconds_is_not_stretched_by_it(service: Service, value: Any) -> None:
    with bent(service, measured(value)) as client:
        list(client.map("acme/double", numbers(8), cancel_after=10, budget=Budget(seconds=30)))
    assert service.creates == 3


def test_a_longer_time_than_was_allowed_is_charged_as_it_is(service: Service) -> None:
    with bent(service, measured(14)) as client:
        results = list(
            client.map(
                "acme/double", numbers(8), price_per_second=1.0, cancel_after=10, budget=25.0, concurrency=2
            )
        )
    assert [each.cost for each in results[:3]] == [14.0, 14.0, None]


TIMES = {"started_at": "2030-01-01T00:00:00Z", "completed_at": "2030-01-01T00:00:04.5Z"}


@pytest.mark.parametrize(
    ("prediction", "seconds"),
    [
        (TIMES, 4.5),
        (TIMES | {"metrics": {}}, 4.5),
        (TIMES | {"metrics": None}, 4.5),
        (TIMES | {"metrics": {"predict_time": None}}, 4.5),
        (TIMES | {"metrics": {"predict_time": 3}}, 3.0),
        (TIMES | {"metrics": {"predict_time": 0}}, 0.0),
        (TIMES | {"metrics": {"predict_time": -1}}, None),
        (TIMES | {"metrics": {"predict_time": "3"}}, None),
        (TIMES | {"started_at": "2030-01-01T00:00:09Z"}, None),
        (TIMES | {"started_at": "1970-01-01T00:00:00Z"}, None),
        (TIMES | {"started_at": None}, None),
        (TIMES | {"started_at": 7, "created_at": "2030-01-01T00:00:00Z"}, None),
        (TIMES | {"started_at": None, "created_at": "2029-12-31T23:59:58Z"}, 6.5),
        (TIMES | {"started_at": None, "created_at": "2030-01-01T00:00:09Z"}, None),
        (TIMES | {"completed_at": 7}, None),
        ({}, None),
        ({"status": "aborted", "metrics": {"predict_time": -1}}, 0.0),
    ],
)
def test_times_are_believed_where_they_can_be_true(prediction: dict[str, Any], seconds: float | None) -> None:
    assert billed_seconds(prediction) == seconds


@pytest.mark.parametrize("told", ["nan", "inf", "-inf", "-5", "1e308", "many", "", "9" * 400])
def test_a_server_that_tells_no_count_does_not_undo_the_pace(told: str) -> None:
    bucket = Bucket(1.0, 1.0, lambda: 0.0)
    ticket = bucket.take()
    bucket.told({"ratelimit-remaining": told}, ticket)
    assert 0 < bucket.ready_in() <= 1.0
    assert bucket.rate == 1.0


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("6 requests per minute with a burst of 0 requests", (0.1, 1.0)),
        ("0 requests per minute with a burst of 5 requests", None),
        (f"{'9' * 400} requests per minute", None),
        (f"60 requests per minute with a burst of {'9' * 400} requests", (1.0, 1.0)),
    ],
)
def test_a_refusal_that_states_no_rate_changes_none(text: str, limit: Any) -> None:
    assert stated_limit(text) == limit


def test_a_later_look_without_a_price_does_not_forget_what_it_cost(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service()
    with service.client() as client:
        list(client.map("acme/pictures", [{"text": "a"}], journal=journal, price=0.5))
        age(journal, 2 * 3600)
        (again,) = client.map("acme/pictures", [{"text": "a"}], journal=journal)
    assert (again.cached, again.cost) == (True, 0.5)


def age(journal: Path, seconds: float) -> None:
    """Let what is in a journal have ended earlier."""
    from replicate_kit.batch._ledger.tables import open_journal

    connection = open_journal(journal)
    connection.execute("UPDATE items SET finished_at = ? - ?", (time.time(), seconds))
    connection.close()
