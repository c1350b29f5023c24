from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from replicate_kit.simulator import Clock, Simulator

Send = Callable[..., httpx.Response]


def body(simulator: Simulator, **change: Any) -> dict[str, Any]:
    return {
        "name": "app",
        "model": "acme/shout",
        "version": simulator.version("acme/shout"),
        "hardware": "gpu-t4",
        "min_instances": 0,
        "max_instances": 2,
        **change,
    }


def test_a_deployment_is_created_with_its_first_release(simulator: Simulator, send: Send) -> None:
    response = send("POST", "/deployments", json=body(simulator))
    assert response.status_code == 200
    made = response.json()
    assert (made["owner"], made["name"]) == ("local", "app")
    release = made["current_release"]
    assert list(release) == ["number", "model", "version", "created_at", "created_by", "configuration"]
    assert (release["number"], release["model"], release["version"]) == (
        1,
        "acme/shout",
        simulator.version("acme/shout"),
    )
    assert release["configuration"] == {"hardware": "gpu-t4", "min_instances": 0, "max_instances": 2}
    assert release["created_by"]["username"] == "local"
    assert send("GET", "/deployments/local/app").json() == made
    assert send("GET", "/deployments").json()["results"] == [made]


def test_each_change_is_a_release(simulator: Simulator, ask: Send) -> None:
    ask("POST", "/deployments", json=body(simulator))
    release = ask("PATCH", "/deployments/local/app", json={"min_instances": 1}).json()["current_release"]
    assert release["number"] == 2
    assert release["configuration"] == {"hardware": "gpu-t4", "min_instances": 1, "max_instances": 2}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"max_instances": 21}, 422),
        ({"min_instances": 6}, 422),
        ({"min_instances": 3}, 422),
        ({"hardware": "abacus"}, 422),
        ({"version": "0" * 64}, 422),
        ({"model": "acme/none"}, 422),
        ({"name": "Not A Name"}, 422),
        ({"max_instances": None}, 422),
    ],
)
def test_a_deployment_that_cannot_be_is_refused(
    simulator: Simulator, ask: Send, change: dict[str, Any], status: int
) -> None:
    assert ask("POST", "/deployments", json=body(simulator, **change)).status_code == status
    assert ask("GET", "/deployments").json()["results"] == []


def test_a_change_that_cannot_be_is_refused(simulator: Simulator, ask: Send) -> None:
    ask("POST", "/deployments", json=body(simulator))
    for change in ({"hardware": "abacus"}, {"min_instances": 5}, {"version": "x"}, {"max_instances": "many"}):
        assert ask("PATCH", "/deployments/local/app", json=change).status_code == 422
    assert ask("GET", "/deployments/local/app").json()["current_release"]["number"] == 1


def test_a_deployment_is_made_once_and_is_its_owners(simulator: Simulator, ask: Send) -> None:
    assert [ask("POST", "/deployments", json=body(simulator)).status_code for _ in range(2)] == [200, 422]
    for method in ("GET", "PATCH", "DELETE"):
        assert ask(method, "/deployments/acme/app", json={}).status_code == 404


def test_predictions_of_a_deployment_name_it(simulator: Simulator, send: Send) -> None:
    simulator.deployment("app", model="acme/shout")
    response = send(
        "POST",
        "/deployments/local/app/predictions",
        json={"input": {"text": "a"}},
        headers={"Prefer": "wait"},
    )
    assert response.status_code == 201
    assert (response.json()["deployment"], response.json()["output"]) == ("local/app", "A!")
    assert simulator.calls["deployments.predictions.create"] == 1
    assert send("POST", "/deployments/local/none/predictions", json={"input": {}}).status_code == 404


def test_a_disabled_deployment_does_not_run(simulator: Simulator, ask: Send) -> None:
    simulator.deployment("app", model="acme/shout")
    ask("PATCH", "/deployments/local/app", json={"min_instances": 0, "max_instances": 0})
    assert ask("POST", "/deployments/local/app/predictions", json={"input": {"text": "a"}}).status_code == 422


def test_a_deployment_is_deleted_when_it_has_been_quiet(ask_of: Callable[..., Send]) -> None:
    clock = Clock()
    simulator = Simulator(clock=clock)
    ask = ask_of(simulator)
    simulator.model("acme/shout")(str_of)
    simulator.deployment("app", model="acme/shout")
    ask(
        "POST",
        "/deployments/local/app/predictions",
        json={"input": {"text": "a"}},
        headers={"Prefer": "wait"},
    )
    assert ask("DELETE", "/deployments/local/app").status_code == 422
    clock.advance(15 * 60 + 1)
    assert ask("DELETE", "/deployments/local/app").status_code == 204
    assert ask("GET", "/deployments/local/app").status_code == 404


def str_of(text: str) -> str:
    return text
