"""`replicate-kit models` on the mock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from replicate_kit.simulator import default

Invoke = Callable[..., Result]


def test_list_names_models(invoke: Invoke) -> None:
    lines = invoke("models", "list", "--limit", 2).stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("demo/") for line in lines)
    assert len(json.loads(invoke("models", "list", "--json").stdout)) >= 5


def test_get_shows_what_is_known_of_a_model(invoke: Invoke) -> None:
    assert "model\tdemo/poet\n" in invoke("models", "get", "demo/poet").stdout
    assert json.loads(invoke("models", "get", "demo/poet", "--json").stdout)["name"] == "poet"


def test_inputs_shows_types_defaults_and_limits(invoke: Invoke) -> None:
    rows = {line.split("\t")[0]: line.split("\t")[1:4] for line in _lines(invoke, "demo/painter")}
    assert rows["prompt"] == ["string", "required", ""]
    assert rows["width"] == ["integer", "512", "16…2048"]
    assert rows["style"] == ["string", "auto", "auto, mountains, waves"]
    as_json = json.loads(invoke("models", "inputs", "demo/painter", "--json").stdout)
    assert as_json["required"] == ["prompt"]


def test_inputs_of_an_unknown_model_is_an_error(invoke: Invoke) -> None:
    result = invoke("models", "inputs", "nobody/nothing")
    assert result.exit_code == 1
    assert "nobody/nothing" in result.stderr


WRONG = (
    *(
        "",
        " ",
        "/",
        "demo",
        "demo/",
        "/painter",
        "demo/painter/x",
        "demo painter",
        "demo/painter:",
        "a/b:c:d",
    ),
    *("..", "../..", "demo/..", "./painter", "deployments/demo", "deployments/a/b:c", "deployments/../b"),
    *("demo/p\0x", "demo/p\nx", "demo/\ud800", "https://replicate.com/", "https://replicate.com/explore"),
    *("http://example.com/a/b", "demo/painter:zzz", f"demo/painter:{'0' * 63}", f"demo/painter:{'Z' * 64}"),
)


@pytest.mark.parametrize("model", WRONG)
@pytest.mark.parametrize(
    "command",
    [("models", "get"), ("models", "inputs"), ("run",), ("stream",), ("map",)],
    ids=lambda command: command[-1],
)
def test_what_names_no_model_is_wrong_usage(
    invoke: Invoke, tmp_path: Path, command: tuple[str, ...], model: str
) -> None:
    (tmp_path / "t.csv").write_text("prompt\nsea\n")
    arguments = {"map": (tmp_path / "t.csv",), "run": ("prompt=sea",), "stream": ("prompt=sea",)}
    before = default().created
    result = invoke(*command, model, *arguments.get(command[0], ()))
    assert (result.exit_code, default().created) == (2, before), result.output
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("model", [f"demo/painter:{'0' * 64}", "0" * 64])
def test_a_schema_that_the_api_does_not_show_is_no_wrong_usage(invoke: Invoke, model: str) -> None:
    result = invoke("models", "inputs", model)
    assert result.exit_code == 1
    assert f"The API shows no schema of {model}." in result.stderr


def _lines(invoke: Invoke, model: str) -> list[str]:
    return invoke("models", "inputs", model).stdout.splitlines()
