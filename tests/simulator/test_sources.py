from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit.schema import ModelSchema
from replicate_kit.simulator import Simulator

Send = Callable[..., httpx.Response]

MARKED = """
from __future__ import annotations
from typing import Iterator
import helper
from replicate_kit.simulator import model

@model("acme/echo", description="Says it again", official=False)
def echo(text: str) -> str:
    return helper.again(text)

@model("acme/letters")
def letters(text: str) -> Iterator[str]:
    yield from text

def not_a_model(text: str) -> str:
    return text
"""
PLAIN = """
import os.path
from base64 import b64encode

def shout(text: str) -> str:
    return _loud(text)

def _loud(text: str) -> str:
    return text.upper()
"""


def run(send: Send, version: str, **input: Any) -> Any:
    body = {"version": version, "input": input}
    response = send("POST", "/predictions", json=body, headers={"Prefer": "wait"})
    assert response.status_code == 201, response.text
    assert response.json()["error"] is None, response.text
    return response.json()["output"]


def test_marked_functions_of_a_file_are_models(simulator: Simulator, ask: Send, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def again(text): return text * 2\n")
    (tmp_path / "marked_models.py").write_text(MARKED)
    assert simulator.load(tmp_path / "marked_models.py") == ["acme/echo", "acme/letters"]
    assert ask("GET", "/models/acme/echo").json()["description"] == "Says it again"
    assert run(ask, simulator.version("acme/echo"), text="a") == "aa"
    assert run(ask, "acme/letters", text="ab") == ["a", "b"]


def test_without_marks_all_public_functions_are_models(
    simulator: Simulator, ask: Send, tmp_path: Path
) -> None:
    (tmp_path / "plain_models.py").write_text(PLAIN)
    assert simulator.load(str(tmp_path / "plain_models.py")) == ["local/shout"]
    assert run(ask, "local/shout", text="a") == "A"


def test_a_file_with_a_simulator_of_its_own_is_refused(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from replicate_kit.simulator import Simulator\n"
        "own = Simulator()\n\n"
        "@own.model('acme/shout')\ndef shout(text: str) -> str:\n    return text.upper()\n"
    )
    with pytest.raises(LookupError, match=r"Simulator of its own\. Mark them with @replicate_kit"):
        simulator.load(tmp_path / "own.py")


def test_a_file_without_models_or_none_says_so(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(LookupError, match="no function in"):
        simulator.load(tmp_path / "empty.py")
    with pytest.raises(FileNotFoundError, match=r"no Python file .*none\.py"):
        simulator.load(tmp_path / "none.py")


def document(output: dict[str, Any], **more: Any) -> dict[str, Any]:
    input = {
        "type": "object",
        "required": ["prompt"],
        "properties": {"prompt": {"type": "string"}, "steps": {"type": "integer", "maximum": 4}},
    }
    return {"openapi": "3.0.2", "components": {"schemas": {"Input": input, "Output": output, **more}}}


def test_a_schema_alone_makes_a_model(simulator: Simulator, send: Send) -> None:
    output = {"type": "array", "items": {"type": "string", "format": "uri"}}
    simulator.imitate("acme/flux", document(output))
    urls = run(send, "acme/flux", prompt="a fox")
    assert len(urls) == 2
    assert send("GET", urls[0]).content[:4] == b"\x89PNG"
    assert run(send, "acme/flux", prompt="a fox") != urls
    refused = send("POST", "/models/acme/flux/predictions", json={"input": {"steps": 9}})
    assert {each["type"] for each in refused.json()["invalid_fields"]} == {"required", "number_lte"}
    published = send("GET", "/models/acme/flux").json()["latest_version"]["openapi_schema"]
    assert published == document(output)


def test_inputs_that_nobody_declared_are_taken(simulator: Simulator, send: Send) -> None:
    @simulator.model("acme/closed")
    def closed(prompt: str) -> list[str]:
        return [prompt]

    @simulator.model("acme/open")
    def takes_more(prompt: str, **more: Any) -> list[str]:
        return [prompt, *more]

    simulator.imitate("acme/recorded", document({"type": "string"}))
    forbidding = document({"type": "string"})
    forbidding["components"]["schemas"]["Input"]["additionalProperties"] = False
    simulator.imitate("acme/forbidding", forbidding)
    assert run(send, "acme/closed", prompt="a", stream=True) == ["a"]
    assert run(send, "acme/open", prompt="a", stream=True) == ["a", "stream"]
    assert run(send, "acme/recorded", prompt="a", stream=True)
    sent = {"input": {"prompt": "a", "stream": True}}
    echoed = send("POST", "/models/acme/closed/predictions", json=sent, headers={"Prefer": "wait"})
    assert echoed.json()["input"] == sent["input"]
    refused = send("POST", "/models/acme/forbidding/predictions", json=sent)
    assert [each["type"] for each in refused.json()["invalid_fields"]] == ["additional_property_not_allowed"]


OUTPUTS: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "string", "minLength": 30, "maxLength": 40},
    {"type": "string", "enum": ["yes", "no"]},
    {"type": "string", "format": "date-time"},
    {"type": "integer", "minimum": 5, "maximum": 6},
    {"type": "number", "maximum": 0.5},
    {"type": "number", "minimum": 200},
    {"type": "boolean"},
    {"type": ["string", "null"]},
    {"type": "array", "minItems": 3, "items": {"type": "integer"}},
    {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"},
    {"type": "object", "properties": {"a": {"type": "number"}, "b": {"$ref": "#/components/schemas/Kind"}}},
    {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    {"allOf": [{"$ref": "#/components/schemas/Kind"}]},
    {"type": "object", "properties": {"again": {"$ref": "#/components/schemas/Output"}}, "nullable": True},
    {"const": 7},
    {},
]


@pytest.mark.parametrize("output", OUTPUTS)
def test_outputs_fit_the_schema_and_repeat(simulator: Simulator, ask: Send, output: dict[str, Any]) -> None:
    described = document(output, Kind={"type": "string", "enum": ["red", "green"]})
    simulator.imitate("acme/any", described, description="Made up")
    first = run(ask, "acme/any", prompt="a fox")
    from replicate_kit.schema import check

    assert check(first, ModelSchema(described).output, described) == []
    assert run(ask, "acme/any", prompt="a fox") == first
