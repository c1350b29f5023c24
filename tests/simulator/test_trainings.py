from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit.simulator import Simulator, log, sleep

Send = Callable[..., httpx.Response]


@pytest.fixture
def tuner(simulator: Simulator, ask: Send) -> str:
    """A trainable model, and a destination; gives where trainings are created."""

    @simulator.model("acme/tuner")
    def generate(prompt: str, replicate_weights: Path | None = None) -> str:
        return f"{prompt} with {replicate_weights.read_text() if replicate_weights else 'nothing'}"

    @simulator.trainer("acme/tuner")
    def train(train_data: Path, steps: int = 10) -> bytes:
        log(f"{steps} steps")
        return train_data.read_bytes().upper()

    ask(
        "POST", "/models", json={"owner": "local", "name": "mine", "visibility": "private", "hardware": "cpu"}
    )
    return f"/models/acme/tuner/versions/{simulator.version('acme/tuner')}/trainings"


def finish(send: Send, id: str) -> dict[str, Any]:
    for _ in range(1000):
        found = dict(send("GET", f"/trainings/{id}").json())
        if found["status"] not in ("starting", "processing"):
            return found
        threading.Event().wait(0.005)
    raise AssertionError(found)


def test_a_training_makes_a_version_that_runs(tuner: str, send: Send) -> None:
    response = send("POST", tuner, json={"destination": "local/mine", "input": {"train_data": "data:,cats"}})
    created = response.json()
    assert response.status_code == 201
    assert (created["status"], created["output"], created["model"]) == ("starting", None, "acme/tuner")
    assert "/v1/predictions/" in created["urls"]["get"]
    done = finish(send, created["id"])
    assert done["status"] == "succeeded"
    assert done["urls"]["get"] == f"https://api.replicate.test/v1/trainings/{created['id']}"
    assert (done["logs"], done["input"]) == ("10 steps\n", {"train_data": "data:,cats"})
    assert set(done["output"]) == {"version", "weights"}
    assert send("GET", done["output"]["weights"]).content == b"CATS"
    made = send("GET", "/models/local/mine").json()["latest_version"]["id"]
    assert done["output"]["version"] == f"local/mine:{made}"
    run = send(
        "POST",
        "/predictions",
        json={"version": done["output"]["version"], "input": {"prompt": "a dog"}},
        headers={"Prefer": "wait"},
    )
    assert run.json()["output"] == "a dog with CATS"


def test_a_version_runs_however_long_ago_it_was_trained(simulator: Simulator, tuner: str, send: Send) -> None:
    created = send("POST", tuner, json={"destination": "local/mine", "input": {"train_data": "data:,cats"}})
    version = finish(send, created.json()["id"])["output"]["version"]
    simulator.clock.advance(7200)
    assert send("GET", f"/trainings/{created.json()['id']}").json()["output"]["version"] == version
    body = {"version": version, "input": {"prompt": "a dog"}}
    run = send("POST", "/predictions", json=body, headers={"Prefer": "wait"}).json()
    assert run["output"] == "a dog with CATS"


def test_a_trainable_version_says_what_its_training_takes(
    tuner: str, simulator: Simulator, ask: Send
) -> None:
    schemas = ask("GET", "/models/acme/tuner").json()["latest_version"]["openapi_schema"]["components"][
        "schemas"
    ]
    assert set(schemas["TrainingInput"]["properties"]) == {"train_data", "steps"}
    assert schemas["TrainingOutput"]["format"] == "uri"
    assert set(schemas["Input"]["properties"]) == {"prompt", "replicate_weights"}


def test_trainings_are_listed_apart_from_predictions(tuner: str, ask: Send) -> None:
    made = [
        ask("POST", tuner, json={"destination": "local/mine", "input": {"train_data": "data:,x"}}).json()[
            "id"
        ]
        for _ in range(2)
    ]
    assert [each["id"] for each in ask("GET", "/trainings").json()["results"]] == made[::-1]
    assert ask("GET", "/predictions").json()["results"] == []
    assert ask("GET", f"/predictions/{made[0]}").json()["id"] == made[0]
    assert ask("GET", "/trainings/none").status_code == 404


def test_a_training_without_a_destination_of_ones_own_is_refused(tuner: str, ask: Send) -> None:
    for destination in ("local/none", "acme/tuner"):
        response = ask("POST", tuner, json={"destination": destination, "input": {"train_data": "data:,x"}})
        assert response.status_code == 404
        assert response.json() == {
            "detail": "The specified training destination does not exist",
            "status": 404,
        }


def test_a_training_that_cannot_be_is_refused(tuner: str, simulator: Simulator, ask: Send) -> None:
    wrong = ask("POST", tuner, json={"destination": "local/mine", "input": {"steps": 1.5}})
    assert wrong.status_code == 422
    assert {each["type"] for each in wrong.json()["invalid_fields"]} == {"required", "invalid_type"}
    plain = f"/models/acme/shout/versions/{simulator.version('acme/shout')}/trainings"
    assert ask("POST", plain, json={"destination": "local/mine", "input": {}}).status_code == 422
    assert ask("POST", tuner, json={"input": {}}).status_code == 422
    unknown = "/models/acme/shout/versions/none/trainings"
    assert ask("POST", unknown, json={"destination": "local/mine", "input": {}}).status_code == 422


def test_a_training_can_be_canceled_and_can_fail(simulator: Simulator, tuner: str, ask: Send) -> None:
    started = threading.Event()

    @simulator.trainer("acme/tuner")
    def train(fail: bool = False) -> bytes:
        if fail:
            raise RuntimeError("Out of data")
        started.set()
        sleep(60)
        return b""

    running = ask("POST", tuner, json={"destination": "local/mine", "input": {}}).json()
    assert started.wait(10)
    assert ask("POST", f"/trainings/{running['id']}/cancel").json()["status"] == "canceled"
    failing = ask("POST", tuner, json={"destination": "local/mine", "input": {"fail": True}}).json()
    assert finish(ask, failing["id"])["error"] == "Out of data"
    assert ask("GET", "/models/local/mine").json()["latest_version"] is None


def test_a_destination_that_is_gone_at_the_end_fails_the_training(
    simulator: Simulator, tuner: str, ask: Send
) -> None:
    release = threading.Event()

    @simulator.trainer("acme/tuner")
    def train() -> bytes:
        release.wait(10)
        return b"weights"

    running = ask("POST", tuner, json={"destination": "local/mine", "input": {}}).json()
    assert ask("DELETE", "/models/local/mine").status_code == 204
    release.set()
    assert "destination" in finish(ask, running["id"])["error"]
