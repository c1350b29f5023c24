"""What makes two rows the same."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from replicate_kit._unresolved.canonical import canonical, digest, fingerprint, fingerprint_of_text

FRACTIONS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | FRACTIONS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_the_canonical_form_is_json_and_stays_the_same(value: Any) -> None:
    text = canonical(value)
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_the_order_of_keys_does_not_matter(row: dict[str, Any]) -> None:
    assert canonical(dict(reversed(row.items()))) == canonical(row)


def test_whole_numbers_are_the_same_with_and_without_a_fraction() -> None:
    assert canonical({"seed": 42.0}) == canonical({"seed": 42})
    assert canonical({"seed": True}) != canonical({"seed": 1})
    assert canonical(2.0**60) == json.dumps(2.0**60)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_lacks_has_no_canonical_form(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical({"x": value})


def test_keys_differ_by_model_and_input() -> None:
    keys = {digest("a/b", '{"x":1}'), digest("a/c", '{"x":1}'), digest("a/b", '{"x":2}')}
    assert len(keys) == 3
    assert all(len(key) == 16 for key in keys)


def test_a_prediction_is_recognised_without_its_nulls_and_in_any_order() -> None:
    assert fingerprint({"a": 1, "b": None}) == fingerprint({"a": 1.0})
    assert fingerprint({"a": "\ud800"}) != fingerprint({"a": ""})


@given(st.dictionaries(st.text() | st.sampled_from(["null", "a"]), VALUES, max_size=4))
def test_it_is_recognised_by_its_canonical_text_as_well(input: dict[str, Any]) -> None:
    assert (
        fingerprint_of_text(canonical(input))
        == fingerprint(json.loads(canonical(input)))
        == fingerprint(input)
    )
