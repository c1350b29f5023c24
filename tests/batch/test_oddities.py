"""Texts, callbacks and pages that are not as they should be: one row's oddity is no other row's trouble."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.batch import Progress
from replicate_kit.batch._ledger.tables import open_journal
from replicate_kit.simulator import Fault

from ._engine.test_reconciler import intend
from ._runs.test_leaving import running
from .bending import bent, predictions
from .conftest import Service, numbers

HALF = "half of \ud83d"


def test_an_output_that_ends_within_a_character_is_kept(service: Service, journal: Path) -> None:
    def halve(request: httpx.Request, body: Any) -> httpx.Response:
        for each in predictions(body):
            if each.get("output") == 2:
                each["output"] = HALF
        return httpx.Response(200, content=json.dumps(body).encode(), request=request)

    with bent(service, halve) as client:
        for _ in range(2):
            results = client.map("acme/double", numbers(3), journal=journal)
            assert [each.output for each in results] == [0, HALF, 4]
    assert service.creates == 3


def test_an_error_that_ends_within_a_character_is_kept(service: Service, client: Client) -> None:
    @service.simulator.model("acme/bad")
    def bad(n: int) -> int:
        raise ValueError(HALF)

    (result,) = client.map("acme/bad", numbers(1))
    assert HALF in str(result.error)


def test_an_input_that_ends_within_a_character_is_invalid(service: Service, client: Client) -> None:
    odd, good = client.map("acme/words", [{"text": HALF}, {"text": "whole"}])
    assert odd.status == "invalid"
    assert "surrogate" in str(odd.error)
    assert good.output == "whole "


@pytest.mark.parametrize(
    "row",
    [
        {"text": HALF},
        {"text": "a", HALF: 1},
        {"text": [HALF]},
        {"text": {"a": {HALF: 1}}},
        {"text": object(), HALF: object()},
        {HALF: float("nan")},
        HALF,
        [HALF],
    ],
    ids=("text", "name", "list", "structure", "object", "number", "no mapping", "list as a row"),
)
def test_a_row_that_no_request_can_carry_is_one_rows_trouble(
    service: Service, client: Client, row: Any
) -> None:
    good, odd = client.map("acme/words", [{"text": "whole"}, row])
    assert (odd.status, good.output) == ("invalid", "whole ")
    assert odd.input == row
    str(odd.error).encode()


def test_a_file_whose_name_is_no_text_is_sent(service: Service, client: Client, tmp_path: Path) -> None:
    path = tmp_path / b"caf\xe9.txt".decode("utf-8", "surrogateescape")
    try:
        path.write_text("sea")
    except OSError:
        pytest.skip("this file system knows texts only")
    (result,) = client.map("acme/words", [{"text": path}], check_input=False)
    assert result.output == "data:text/plain;base64,c2Vh "


def test_the_most_a_run_may_cost_counts_intents_that_may_have_come_to_nothing(
    client: Client, journal: Path
) -> None:
    open_journal(journal).close()
    intend(journal, "acme/double", {"n": 0}, time.time() - 100)
    plan = client.plan("acme/double", numbers(2), journal=journal, price=1.0)
    assert (plan.in_flight, plan.to_pay, plan.cost) == (1, 1, 2.0)


def test_a_progress_that_fails_stops_the_run_in_order(service: Service, client: Client) -> None:
    def fail(progress: Progress) -> None:
        if progress.created:
            raise RuntimeError("no more ink")

    with pytest.raises(RuntimeError, match="no more ink"):
        list(client.map("acme/patient", numbers(5), progress=fail))
    assert not running(service)


def test_pages_that_go_in_circles_are_left(make_service: Callable[..., Service]) -> None:
    service, listed = make_service(faults=[Fault(operation="*.create", calls={2}, cut=True)]), []

    def circle(request: httpx.Request, body: Any) -> None:
        if "results" in body:
            listed.append(request)
            body["next"] = str(request.url)

    with bent(service, circle) as client:
        results = list(client.map("acme/double", numbers(3)))
    assert sorted(each.status for each in results) == ["succeeded", "succeeded", "unknown"]
    assert len(listed) < 100
