"""`replicate-kit trainings` and `train` on the mock."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from replicate_kit import Client
from replicate_kit.simulator import default, progress, sleep

Invoke = Callable[..., Result]


@pytest.fixture
def trainable(invoke: Invoke) -> str:
    """A model that can be trained, and one that its versions go to, local/mine."""

    @default().model("acme/base")
    def base(prompt: str) -> str:
        return prompt

    @default().trainer("acme/base")
    def train(data: str, steps: int = 10, seconds: float = 0) -> bytes:
        sleep(seconds)
        list(progress(range(steps)))
        return b"weights"

    assert invoke("models", "create", "local/mine", "--hardware", "cpu").exit_code == 0
    return "acme/base"


def start(invoke: Invoke, model: str, *more: str) -> dict[str, Any]:
    arguments = ("data=sea", "steps=3", "--destination", "local/mine", "--json", *more)
    result = invoke("trainings", "create", model, *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("command", [("trainings", "create"), ("training", "create"), ("train",)])
def test_a_training_is_started_of_the_latest_version_or_of_the_one_that_is_named(
    invoke: Invoke, trainable: str, command: tuple[str, ...]
) -> None:
    version = default().version(trainable)
    for model in (trainable, f"{trainable}:{version}"):
        result = invoke(*command, model, "data=sea", "steps=3", "--destination", "local/mine", "--json")
        found = json.loads(result.stdout)
        assert found["version"] == version
        assert found["input"] == {"data": "sea", "steps": 3}


def test_wait_shows_what_a_training_gave_and_watch_its_logs(invoke: Invoke, trainable: str) -> None:
    id = start(invoke, trainable)["id"]
    result = invoke("trainings", "watch", id)
    shown = dict(line.split("\t", 1) for line in result.stdout.splitlines())
    assert (shown["id"], shown["status"], shown["input data"]) == (id, "succeeded", "sea")
    assert shown["output version"].startswith("local/mine:")
    assert "3/3" in result.stderr
    assert (
        json.loads(invoke("training", "show", id, "--json").stdout)["output"]["version"]
        == shown["output version"]
    )
    assert invoke("trainings", "wait", id).stdout == result.stdout
    assert invoke("training", "list").stdout.startswith(f"{id}\t")


def test_cancel_stops_a_training(invoke: Invoke, trainable: str) -> None:
    id = start(invoke, trainable, "seconds=60")["id"]
    assert invoke("trainings", "cancel", id).stdout == f"{id}\tcanceled\n"
    assert invoke("trainings", "wait", id).exit_code == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ("acme/base", "data=sea"),
        ("acme/base", "data=sea", "--destination", ""),
        ("acme/base", "data=sea", "--destination", "mine"),
        ("acme/base", "data", "--destination", "local/mine"),
        ("acme/base:abc", "data=sea", "--destination", "local/mine"),
        ("deployments/acme/base", "data=sea", "--destination", "local/mine"),
        ("local/mine", "data=sea", "--destination", "local/mine"),
        ("acme/base", "steps=3", "--destination", "local/mine"),
        ("acme/base", "data=sea", "steps=many", "--destination", "local/mine"),
        ("acme/base", "data=sea", "hue=red", "--destination", "local/mine"),
    ],
)
@pytest.mark.usefixtures("trainable")
def test_a_wrong_training_starts_nothing(invoke: Invoke, wrong: tuple[str, ...]) -> None:
    result = invoke("train", *wrong)
    assert result.exit_code == 2, result.output
    assert "Error: " in result.stderr
    assert not Client(backend="mock").trainings.list().results
    none = invoke("trainings", "list")
    assert (none.stdout, none.stderr) == ("", "There are no trainings in this account.\n")
