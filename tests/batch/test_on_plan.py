"""Whoever starts a run may look at its plan before anything is spent."""

from __future__ import annotations

import pytest

from replicate_kit import Client
from replicate_kit.batch import Plan

from .conftest import Service, numbers


def test_on_plan_sees_the_plan_first(service: Service, client: Client) -> None:
    seen: list[tuple[int, int]] = []
    results = list(
        client.map(
            "acme/double", numbers(3), on_plan=lambda plan: seen.append((plan.to_pay, service.creates))
        )
    )
    assert seen == [(3, 0)]
    assert [each.output for each in results] == [0, 2, 4]


def test_on_plan_stops_a_run_before_it_costs_anything(service: Service, client: Client) -> None:
    def refuse(plan: Plan) -> None:
        raise RuntimeError(f"{plan.to_pay} are too many")

    with pytest.raises(RuntimeError, match="3 are too many"):
        list(client.map("acme/double", numbers(3), on_plan=refuse))
    assert service.creates == 0


def test_on_plan_is_told_of_invalid_rows_that_are_collected(service: Service, client: Client) -> None:
    seen: list[int] = []
    results = list(client.map("acme/double", [{"n": "x"}], on_plan=lambda plan: seen.append(plan.invalid)))
    assert seen == [1]
    assert results[0].status == "invalid"
