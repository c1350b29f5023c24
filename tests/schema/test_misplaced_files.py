"""Files for inputs that are texts or numbers are refused before anything is paid for or uploaded."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client, FileOutput
from replicate_kit._files.input_files import is_file
from replicate_kit.errors import InputError
from replicate_kit.schema import ModelSchema
from replicate_kit.simulator import Simulator


@pytest.fixture
def simulator(simulator: Simulator) -> Simulator:
    """A simulator with a model that has inputs of many types."""

    @simulator.model("acme/echo")
    def echo(
        prompt: str,
        tags: list[str] | None = None,
        file: Path | None = None,
        files: list[Path] | None = None,
        count: int = 1,
        anything: Any = None,
    ) -> str:
        return prompt

    return simulator


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    found = tmp_path / "prompt.txt"
    found.write_text("a wombat")
    return found


class Stored:
    """Stands for what fsspec opens."""

    fs, path = object(), "bucket/a.txt"


class Array:
    """Stands for numpy's arrays."""

    def __init__(self, *items: object) -> None:
        self.items = items

    def tolist(self) -> list[object]:
        return list(self.items)


FILES: list[Callable[[pathlib.Path], object]] = [
    lambda path: path,
    lambda path: pathlib.PurePosixPath(path),
    lambda path: path.read_bytes(),
    lambda path: bytearray(b"a wombat"),
    lambda path: memoryview(b"a wombat"),
    lambda path: io.BytesIO(b"a wombat"),
    lambda path: io.StringIO("a wombat"),
    lambda path: Stored(),
]

WAYS: dict[str, Callable[[Client, dict[str, Any]], object]] = {
    "run": lambda client, input: client.run("acme/echo", input),
    "stream": lambda client, input: list(client.stream("acme/echo", input)),
    "use": lambda client, input: client.use("acme/echo")(**input),
    "map": lambda client, input: _mapped(client, input),
}


def _mapped(client: Client, input: dict[str, Any]) -> None:
    (row,) = client.map("acme/echo", [input])
    assert row.error is not None
    raise row.error


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", FILES)
def test_a_file_is_no_prompt(
    simulator: Simulator, path: pathlib.Path, make: Callable[[pathlib.Path], object], way: str
) -> None:
    said = r"input\.prompt: Takes text, not a file\. Pass the text"
    with Client(backend=simulator, file_encoding="upload") as client, pytest.raises(InputError, match=said):
        WAYS[way](client, {"prompt": make(path)})
    assert simulator.calls["models.predictions.create"] == simulator.calls["files.create"] == 0


@pytest.mark.parametrize(
    ("input", "said"),
    [
        ({"tags": ["a", b"b"]}, "input.tags.1: Takes text"),
        ({"tags": ("a", b"b")}, "input.tags.1: Takes text"),
        ({"tags": Array(b"a")}, "input.tags.0: Takes text"),
        ({"count": b"3"}, "input.count: Invalid type. Expected: integer, given: a file"),
        ({"tags": b"a"}, "Expected: array, given: a file"),
    ],
)
def test_nor_is_it_a_tag_or_a_number(simulator: Simulator, input: dict[str, Any], said: str) -> None:
    with Client(backend=simulator) as client:
        for way in WAYS.values():
            with pytest.raises(InputError) as caught:
                way(client, {"prompt": "a", **input})
            assert said in str(caught.value)
    assert simulator.calls["models.predictions.create"] == 0


@pytest.mark.parametrize(
    "input",
    [
        {"file": b"a"},
        {"files": [b"a", io.BytesIO(b"b")]},
        {"anything": b"a"},
        {"anything": {"deep": [b"a"]}},
        {"prompt": FileOutput("https://replicate.delivery/a.png")},
    ],
)
def test_files_go_where_they_may(simulator: Simulator, input: dict[str, Any]) -> None:
    with Client(backend=simulator) as client:
        client.run("acme/echo", {"prompt": "a", **input})


def test_whoever_knows_better_may_send_it(simulator: Simulator) -> None:
    with Client(backend=simulator) as client:
        sent = client.run("acme/echo", {"prompt": b"a"}, check_input=False)
        assert sent == "data:application/octet-stream;base64,YQ=="
        (row,) = client.map("acme/echo", [{"prompt": b"a"}], check_input=False)
        assert row.output == sent


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"type": "string"}, False),
        ({"type": "string", "format": "password"}, False),
        ({"type": "string", "enum": ["a"]}, False),
        ({"enum": ["a"]}, False),
        ({"type": ["string", "null"]}, False),
        ({"type": "boolean"}, False),
        ({"type": "object"}, False),
        ({"allOf": [{"$ref": "#/components/schemas/Choice"}]}, False),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, False),
        ({"type": "string", "format": "uri"}, True),
        ({"type": "string", "format": "binary"}, True),
        ({"type": "string", "contentEncoding": "base64"}, True),
        ({"anyOf": [{"type": "string", "format": "uri"}, {"type": "null"}]}, True),
        ({"anyOf": [{"type": "string"}, {"type": "string", "format": "uri"}]}, True),
        ({"$ref": "#/nowhere"}, True),
        ({}, True),
    ],
)
def test_the_schema_says_where_a_file_may_stand(schema: dict[str, Any], fits: bool) -> None:
    schemas = {"Choice": {"type": "string", "enum": ["a"]}, "Input": {"properties": {"x": schema}}}
    found = ModelSchema({"components": {"schemas": schemas}}).misplaced_files({"x": b"a"}, is_file)
    assert (not found) == fits


def test_lists_within_a_choice_are_looked_into() -> None:
    either = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
    schema = ModelSchema({"components": {"schemas": {"Input": {"properties": {"x": either}}}}})
    assert [each.field for each in schema.misplaced_files({"x": ["a", b"b"]}, is_file)] == ["input.x.1"]
    again: list[Any] = []
    again.append(again)
    assert schema.misplaced_files({"x": again}, is_file) == []
