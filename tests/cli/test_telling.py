"""Errors as programs read them: a JSON object on standard output, beside the message on standard error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from replicate_kit import Client
from replicate_kit.simulator import Fault, default

Invoke = Callable[..., Result]

FAILS = ("demo/flaky", "prompt=sea", "failure_rate=1")

ERRORS: list[tuple[tuple[object, ...], int, dict[str, Any]]] = [
    (("predictions", "get", "nosuch"), 1, {"kind": "NotFound", "status": 404}),
    (("models", "get", "demo"), 2, {"kind": "InvalidReference"}),
    (("models", "inputs", f"demo/painter:{'0' * 64}"), 1, {"kind": "ClickException"}),
    (("predictions", "list", "--status", "nonsense"), 2, {"kind": "BadParameter"}),
    (("predictions", "list", "--no-such"), 2, {"kind": "NoSuchOption"}),
    (("run", "demo/poet"), 2, {"kind": "InputError"}),
    (("run", *FAILS), 1, {"kind": "ModelError"}),
]


def error_in(result: Result) -> dict[str, Any]:
    found = json.loads(result.stdout)
    assert list(found) == ["error"]
    error: dict[str, Any] = found["error"]
    return error


@pytest.mark.parametrize(("command", "code", "expected"), ERRORS, ids=lambda each: str(each)[:40])
def test_an_error_is_a_json_object_where_json_was_asked_for(
    invoke: Invoke, command: tuple[object, ...], code: int, expected: dict[str, Any]
) -> None:
    result = invoke(*command, "--json")
    error = error_in(result)
    assert (result.exit_code, error["exit_code"]) == (code, code)
    assert error | expected == error
    assert error["message"].splitlines()[0] in result.stderr
    plain = invoke(*command)
    assert (plain.exit_code, plain.stdout) == (code, "")
    assert plain.stderr.startswith(result.stderr.split(error["message"][:5])[0])


def test_the_error_names_the_prediction_that_it_is_about(invoke: Invoke) -> None:
    id = error_in(invoke("run", *FAILS, "--json"))["prediction"]
    assert Client(backend="mock").predictions.get(id).status == "failed"


def test_a_document_that_tells_of_the_failure_stays_the_only_one(invoke: Invoke) -> None:
    id = error_in(invoke("run", *FAILS, "--json"))["prediction"]
    result = invoke("predictions", "wait", id, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == "failed"


def test_lines_of_json_have_the_error_as_their_last(invoke: Invoke) -> None:
    result = invoke("stream", *FAILS, "--json")
    *_, last = (json.loads(line) for line in result.stdout.splitlines())
    assert last["error"]["kind"] == "ModelError"
    assert result.exit_code == 1


def test_a_value_that_is_named_like_the_option_asks_for_nothing(invoke: Invoke) -> None:
    assert invoke("predictions", "get", "--", "--json").stdout == ""


CREATES = {
    "predictions": ("predictions", "create", "demo/poet", "prompt=sea"),
    "trainings": (
        "train",
        "stability-ai/sdxl",
        "input_images=https://example.com/a.zip",
        "--destination",
        "local/mine",
    ),
    "deployments": ("deployments", "create", "poets", "--model", "demo/poet", "--hardware", "cpu"),
}


@pytest.mark.parametrize("kind", CREATES)
def test_a_create_that_may_have_been_accepted_is_told_and_not_sent_again(invoke: Invoke, kind: str) -> None:
    assert invoke("models", "create", "local/mine", "--hardware", "cpu").exit_code == 0
    default().faults.add(Fault(operation="*.create", cut=True, acted=True))
    result = invoke(*CREATES[kind], "--json")
    assert (result.exit_code, error_in(result)["kind"]) == (1, "UncertainCreate")
    assert len(getattr(Client(backend="mock"), kind).list()) == 1


def test_the_error_of_a_create_names_the_prediction_that_can_be_its(invoke: Invoke) -> None:
    default().faults.add(Fault(operation="*.create", cut=True, acted=True))
    error = error_in(invoke(*CREATES["predictions"], "--json"))
    assert error["prediction"] == Client(backend="mock").predictions.list()[0].id
