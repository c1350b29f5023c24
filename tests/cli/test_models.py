"""`replicate-kit models` on the mock."""

from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result

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


def _lines(invoke: Invoke, model: str) -> list[str]:
    return invoke("models", "inputs", model).stdout.splitlines()
