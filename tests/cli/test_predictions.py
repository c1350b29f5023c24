"""`replicate-kit predictions` on the mock that this process shares."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import Result

from replicate_kit import Client
from replicate_kit._formats.statuses import STATUSES
from replicate_kit.resources.predictions import Prediction
from replicate_kit.simulator import default

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


def test_create_shows_a_prediction_at_once_and_with_wait_its_output(invoke: Invoke) -> None:
    begun = json.loads(invoke("predictions", "create", "demo/slow", "seconds=60", "--json").stdout)
    assert begun["input"] == {"seconds": 60}
    assert begun["status"] in ("starting", "processing")
    result = invoke("prediction", "create", "demo/poet", "prompt=sea", "lines=1", "--wait")
    shown = dict(line.split("\t", 1) for line in result.stdout.splitlines())
    assert (shown["status"], shown["input prompt"]) == ("succeeded", "sea")
    assert "ea" in shown["output"]


def test_create_runs_deployments_and_tells_webhooks(invoke: Invoke) -> None:
    client = Client(backend="mock")
    poet = client.models.get("demo/poet")
    client.deployments.create(
        "poets", model=poet, version=poet.latest_version, hardware="cpu", min_instances=0, max_instances=1
    )
    options = ("--webhook", "https://example.com/hook", "--webhook-events", "completed", "--json")
    found = json.loads(invoke("p", "create", "deployments/local/poets", "prompt=sea", *options).stdout)
    assert found["deployment"] == "local/poets"
    assert found["webhook_events_filter"] == ["completed"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("demo/poet",),
        ("demo/poet", "prompt"),
        ("demo/poet", "prompt=sea", "lines=many"),
        ("demo/poet", "prompt=sea", "--timeout", "5"),
        ("demo/poet", "prompt=sea", "--webhook", "nowhere"),
        ("demo/poet", "prompt=sea", "--webhook-events", "never"),
        ("demo/poet", "prompt=sea", "--separator", ""),
        ("demo/poet", "prompt=sea", "--separator", ":"),
    ],
)
def test_a_wrong_create_creates_nothing(invoke: Invoke, wrong: tuple[str, ...]) -> None:
    before = default().created
    result = invoke("predictions", "create", *wrong)
    assert (result.exit_code, default().created) == (2, before)
    assert "Error: " in result.stderr


@pytest.mark.parametrize("pair", ["prompt:a=b", "prompt::a=b", "prompt=>a=b"])
def test_a_separator_stands_between_name_and_value(invoke: Invoke, pair: str) -> None:
    separator = pair.removeprefix("prompt").removesuffix("a=b")
    command = ("predictions", "create", "demo/poet", pair, "--separator", separator, "--json")
    assert json.loads(invoke(*command).stdout)["input"] == {"prompt": "a=b"}


def test_watch_tells_each_status_and_the_logs(invoke: Invoke) -> None:
    id = create("demo/slow", seconds=0.05, steps=2)
    result = invoke("predictions", "watch", id)
    assert result.exit_code == 0
    assert f"{id}: succeeded\n" in result.stderr
    assert Client(backend="mock").predictions.get(id).logs.splitlines()[-1] in result.stderr
    assert "status\tsucceeded\n" in result.stdout


@pytest.mark.parametrize(
    "command", [("create", "demo/poet", "prompt=sea"), ("get",)], ids=lambda each: each[0]
)
def test_web_opens_the_page_of_a_prediction(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", lambda url: opened.append(url) or 1)
    if command == ("get",):
        command = ("get", create("demo/poet", prompt="sea"))
    result = invoke("predictions", *command, "--web", "--json")
    assert opened == [json.loads(result.stdout)["urls"]["web"]]
    assert f"Opening {opened[0]}\nNo browser could be opened." in result.stderr


def test_cancel_prints_a_line_of_json_for_each(invoke: Invoke) -> None:
    ids = [create("demo/slow", seconds=60) for _ in range(2)]
    lines = invoke("predictions", "cancel", *ids, "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids


def test_list_can_be_narrowed_to_a_time(invoke: Invoke) -> None:
    id = create("demo/poet", prompt="sea")
    after = invoke("predictions", "list", "--created-after", "2020-01-01", "--limit", 1).stdout
    assert after.startswith(f"{id}\t")
    assert invoke("predictions", "list", "--created-before", "2020-01-01").stdout == ""
    wrong = invoke("predictions", "list", "--created-after", "yesterday")
    assert wrong.exit_code == 2
    assert "--created-after 'yesterday' cannot be used" in wrong.stderr


def test_whoever_stops_to_wait_is_told_that_it_runs_on(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Prediction, "wait", stop)
    monkeypatch.setattr("replicate_kit.cli._commands.api._jobs.is_fleeting", lambda _: False)
    id = create("demo/slow", seconds=60)
    result = invoke("predictions", "wait", id)
    assert result.exit_code == 130
    assert f"runs on. Stop it with: replicate-kit predictions cancel {id}" in result.stderr
