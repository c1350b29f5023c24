"""`replicate-kit predictions` on the mock that this process shares."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from replicate_kit import Client
from replicate_kit._formats.statuses import STATUSES
from replicate_kit.resources.predictions import Prediction

Invoke = Callable[..., Result]


def create(model: str, **input: object) -> str:
    return Client(backend="mock").predictions.create(model=model, input=input).id


def test_list_shows_the_newest_first(invoke: Invoke) -> None:
    older, newer = create("demo/poet", prompt="old"), create("demo/poet", prompt="new")
    lines = invoke("predictions", "list", "--limit", 2).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == [newer, older]


def test_list_can_be_narrowed_to_a_status(invoke: Invoke) -> None:
    failed = create("demo/flaky", prompt="sea", failure_rate=1)
    Client(backend="mock").predictions.get(failed).wait()
    found = json.loads(invoke("predictions", "list", "--status", "failed", "--limit", 1, "--json").stdout)
    assert [each["id"] for each in found] == [failed]


def test_a_list_of_none_says_so(invoke: Invoke) -> None:
    result = invoke("predictions", "list", "--status", "aborted")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "There are no predictions with the status 'aborted' in this account.\n"
    assert json.loads(invoke("predictions", "list", "--status", "aborted", "--json").stdout) == []


def test_a_status_that_there_is_not_is_wrong_usage(invoke: Invoke) -> None:
    for wrong in ("nonsense", "successful", "Succeeded", "", "cancelled"):
        result = invoke("predictions", "list", "--status", wrong)
        assert result.exit_code == 2
        assert all(each in result.stderr for each in STATUSES)


def test_get_shows_input_output_and_status(invoke: Invoke) -> None:
    id = create("demo/poet", prompt="sea", lines=1)
    invoke("predictions", "wait", id)
    shown = dict(line.split("\t", 1) for line in invoke("predictions", "get", id).stdout.splitlines())
    assert (shown["id"], shown["status"], shown["input prompt"]) == (id, "succeeded", "sea")
    assert "ea" in shown["output"]


def test_wait_exits_with_1_if_the_model_failed(invoke: Invoke) -> None:
    result = invoke("predictions", "wait", create("demo/flaky", prompt="sea", failure_rate=1))
    assert result.exit_code == 1
    assert "status\tfailed\n" in result.stdout
    assert "the model failed" in result.stderr


def test_cancel_stops_what_runs(invoke: Invoke) -> None:
    ids = [create("demo/slow", seconds=60) for _ in range(2)]
    result = invoke("predictions", "cancel", *ids)
    assert [line.split("\t") for line in result.stdout.splitlines()] == [[id, "canceled"] for id in ids]


def test_unknown_id_is_an_error_that_says_what_to_check(invoke: Invoke) -> None:
    result = invoke("predictions", "get", "nosuchprediction")
    assert result.exit_code == 1
    assert "Check the spelling" in result.stderr


@pytest.mark.parametrize("seconds", ["5", "", None, True, -1, 1e308, [1], {"a": 1}])
def test_a_list_shows_whatever_a_server_tells_of_seconds(
    invoke: Invoke, seconds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    create("demo/poet", prompt="sea", lines=1)
    monkeypatch.setattr(Prediction, "metrics", {"predict_time": seconds})
    assert invoke("predictions", "list", "--limit", 1).exit_code == 0


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "soon"])
def test_a_wait_that_is_no_time_is_wrong_usage(invoke: Invoke, seconds: str) -> None:
    assert invoke("predictions", "wait", "abc", "--timeout", seconds).exit_code == 2
    assert invoke("run", "demo/poet", "prompt=sea", "--timeout", seconds).exit_code == 2
    assert invoke("run", "demo/poet", "prompt=sea", "--cancel-after", seconds).exit_code == 2
