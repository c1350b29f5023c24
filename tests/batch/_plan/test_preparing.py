"""Rows as they come → what is written down of them: by the short way and by the long one alike."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit import Client
from replicate_kit._unresolved.canonical import FILE
from replicate_kit.batch._plan.preparing import Preparer
from replicate_kit.schema import ModelSchema

INPUT = {
    "type": "object",
    "required": ["prompt"],
    "properties": {
        "prompt": {"type": "string"},
        "seed": {"type": "integer", "nullable": True},
        "scale": {"type": "number", "maximum": 4},
        "fast": {"type": "boolean"},
        "size": {"allOf": [{"enum": ["s", "m"]}]},
        "image": {"type": "string", "format": "uri"},
    },
}
SCHEMA = ModelSchema({"components": {"schemas": {"Input": INPUT}}})


class Word(StrEnum):
    """A text of another type."""

    SEA = "sea"


NAMES = st.sampled_from([*INPUT["properties"], "other", FILE, 1])
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["s", "https://example.com/a.png", "\ud800", Word.SEA, 10**5000, object()]),
    st.lists(st.integers(), max_size=2),
)
ROWS = st.one_of(st.dictionaries(NAMES, VALUES, max_size=4), st.text(), st.integers())


def preparer(schema: ModelSchema | None) -> Preparer:
    """Prepare rows for a model with this schema."""
    session = Client("r8_any", backend="mock").session
    return Preparer("acme/painter", schema, session, required=schema and schema.required)


@pytest.mark.parametrize("schema", [SCHEMA, None])
@given(row=ROWS)
def test_what_is_ready_at_once_is_what_a_closer_look_makes_of_it(
    schema: ModelSchema | None, row: Any
) -> None:
    prepare = preparer(schema)
    ready = prepare.at_once(3, row)
    if ready is not None:
        assert ready == asyncio.run(prepare.prepare(3, row))


@pytest.mark.parametrize(
    "row", ["sea", {"prompt": "sea"}, {"prompt": "sea", "seed": 1.0, "scale": 2, "fast": True, "size": "s"}]
)
def test_texts_and_numbers_that_fit_are_ready_at_once(row: Any) -> None:
    ready = preparer(SCHEMA).at_once(3, row)
    assert ready is not None
    assert ready.problem is None


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"prompt": 1},
        {"prompt": "sea", "scale": 5},
        {"prompt": "sea", "scale": float("nan")},
        {"prompt": "sea", "size": "l"},
        {"prompt": "sea", "image": "no address"},
        {"prompt": "sea", FILE: "0"},
        {"prompt": "\ud800"},
        {"prompt": Word.SEA},
        {"prompt": ["sea"]},
        {"prompt": "sea", 1: "other"},
        7,
    ],
)
def test_any_other_is_looked_at_more_closely(row: Any) -> None:
    assert preparer(SCHEMA).at_once(3, row) is None


@pytest.mark.parametrize("said", [{"pattern": r"^\p{L}+$"}, {"type": "integer", "minimum": "0"}])
def test_what_a_schema_says_that_cannot_be_read_is_a_problem_of_each_row(said: dict[str, Any]) -> None:
    schema = ModelSchema({"components": {"schemas": {"Input": {"properties": {"size": said}}}}})
    prepare, row = preparer(schema), {"size": 3 if said.get("type") else "sea"}
    assert prepare.at_once(0, row) is None
    assert asyncio.run(prepare.prepare(0, row)).problem
