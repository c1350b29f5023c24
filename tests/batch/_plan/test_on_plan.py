"""Whoever starts a run may look at its plan before anything is spent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from replicate_kit import Client
from replicate_kit.batch import Plan
from replicate_kit.batch._runs.runner import Runner

from ..conftest import Service, numbers


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


@pytest.mark.usefixtures("interruptible")
def test_interrupting_the_plan_says_that_nothing_was_created(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping, stop = threading.Event(), Runner.stop

    def noticed(runner: Runner, *, detach: bool) -> None:
        stop(runner, detach=detach)
        stopping.set()

    def inputs() -> Iterator[dict[str, int]]:
        signal.raise_signal(signal.SIGINT)
        stopping.wait()
        yield {"n": 1}

    monkeypatch.setattr(Runner, "stop", noticed)
    with pytest.raises(KeyboardInterrupt) as caught:
        list(client.map("acme/double", inputs()))
    assert caught.value.__notes__ == ["The run was stopped before it had begun: it has created nothing."]
    assert service.creates == 0
