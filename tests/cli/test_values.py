"""NAME=VALUE -> a model's input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit.cli._values import convert, read_input, read_json
from replicate_kit.schema import ModelSchema

SCHEMA = ModelSchema(
    {
        "components": {
            "schemas": {
                "Input": {
                    "properties": {
                        "prompt": {"type": "string"},
                        "steps": {"type": "integer"},
                        "scale": {"type": "number"},
                        "safe": {"type": "boolean"},
                        "image": {"type": "string", "format": "uri"},
                        "images": {"type": "array", "items": {"type": "string", "format": "uri"}},
                        "sizes": {"type": "array", "items": {"type": "integer"}},
                        "extra": {"type": "object"},
                    }
                }
            }
        }
    }
)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (["prompt=12"], {"prompt": "12"}),
        (["prompt=a=b"], {"prompt": "a=b"}),
        (["prompt="], {"prompt": ""}),
        (["prompt=@@home"], {"prompt": "@home"}),
        (["steps=4", "scale=2.5", "safe=no"], {"steps": 4, "scale": 2.5, "safe": False}),
        (["steps=four", "safe=perhaps"], {"steps": "four", "safe": "perhaps"}),
        (["scale=3"], {"scale": 3}),
        (["sizes=1", "sizes=2"], {"sizes": [1, 2]}),
        (["sizes=[1, 2]"], {"sizes": [1, 2]}),
        (["sizes=1"], {"sizes": [1]}),
        (['extra={"a": 1}'], {"extra": {"a": 1}}),
        (["steps:=null", 'prompt:="x"'], {"steps": None, "prompt": "x"}),
        (["unknown=1"], {"unknown": "1"}),
    ],
)
def test_values_get_the_type_that_the_model_wants(pairs: list[str], expected: dict[str, Any]) -> None:
    assert read_input(pairs, SCHEMA) == expected


def test_a_file_is_sent_as_a_file_or_as_its_text_as_the_input_wants(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("hello\n")
    pairs = [f"prompt=@{note}", f"image=@{note}", f"images=@{note}", f"images=@{note}"]
    assert read_input(pairs, SCHEMA) == {"prompt": "hello", "image": note, "images": [note, note]}
    assert read_input([f"anything=@{note}"], None) == {"anything": note}


@pytest.mark.parametrize("pair", ["prompt", "=x", ":=1", "steps:={", "image=@nowhere.png"])
def test_what_cannot_be_read_is_a_usage_error(pair: str) -> None:
    with pytest.raises(click.UsageError):
        read_input([pair], SCHEMA)


@pytest.mark.parametrize("name", ["api_key", "hf_token", "password", "declared"])
@pytest.mark.parametrize(("before", "advice"), [(":=", "is not JSON"), ("=@", "there is no such file")])
def test_what_was_typed_for_a_secret_input_is_in_no_error(name: str, before: str, advice: str) -> None:
    properties = {"declared": {"type": "string", "format": "password", "x-cog-secret": True}}
    schema = ModelSchema({"components": {"schemas": {"Input": {"properties": properties}}}})
    with pytest.raises(click.UsageError, match=advice) as raised:
        read_input([f"{name}{before}hunter2"], schema)
    assert "hunter2" not in raised.value.message
    assert f"{name}{before}[secret]" in raised.value.message


def test_a_name_that_comes_twice_is_an_error_unless_it_is_a_list() -> None:
    with pytest.raises(click.UsageError, match="given 2 times"):
        read_input(["prompt=a", "prompt=b"], SCHEMA)


@pytest.mark.parametrize("text", ["", "{", "[1]", "@nowhere.json"])
def test_a_whole_input_must_be_a_json_object(text: str) -> None:
    with pytest.raises(click.UsageError):
        read_json(text)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_being_written(number: float) -> None:
    assert convert(str(number), {"type": "number"}) == number
