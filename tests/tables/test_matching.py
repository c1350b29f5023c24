from __future__ import annotations

from typing import Any

import pytest

from replicate_kit import col, template
from replicate_kit.errors import InputError
from replicate_kit.schema import ModelSchema, openapi
from replicate_kit.tables._matching import check_names, conversions, input_of_series, input_of_table


def shout(text: str, times: int = 1, mark: str = "!", weight: float = 1.0) -> str: ...


def pair(first: str, second: str) -> str: ...


def optional(text: str = "", times: int = 1) -> str: ...


SHOUT, PAIR, OPTIONAL = (ModelSchema(openapi(each)) for each in (shout, pair, optional))
SELF = col("")


def place(schema: ModelSchema | None, name: object, input: dict[str, Any], into: str | None = None) -> Any:
    return input_of_series(schema, name, input, into, "acme/model")


def test_series_fills_the_input_that_is_named() -> None:
    assert place(SHOUT, "text", {}, "mark") == {"mark": SELF}


def test_series_fills_the_input_of_its_own_name() -> None:
    assert place(SHOUT, "mark", {"text": "a"}) == {"text": "a", "mark": SELF}


@pytest.mark.parametrize("name", ["caption", None, 7, ("a", "b")])
def test_series_of_another_name_fills_the_only_required_input(name: object) -> None:
    assert place(SHOUT, name, {"times": 2}) == {"times": 2, "text": SELF}


def test_series_fills_the_required_input_that_is_still_open() -> None:
    assert place(PAIR, "caption", {"first": "a"}) == {"first": "a", "second": SELF}


def test_series_that_is_part_of_a_template_need_not_fill_another_input() -> None:
    input = {"text": template("{} again")}
    assert place(SHOUT, "text", input) == input


def test_series_in_a_template_still_fills_the_required_input() -> None:
    input = {"mark": lambda text: text[-1]}
    assert place(SHOUT, "caption", input) == {**input, "text": SELF}


def test_several_required_inputs_are_unclear() -> None:
    with pytest.raises(InputError, match=r"(?s)unclear.*into=.*first \(required\), second \(required\)"):
        place(PAIR, "caption", {})


def test_no_required_input_is_unclear() -> None:
    with pytest.raises(InputError, match=r"unclear.*besides times.*Its inputs are: text, times\."):
        place(OPTIONAL, "caption", {"times": 1})


def test_input_that_is_filled_twice_is_refused() -> None:
    with pytest.raises(InputError, match="both fill 'text'"):
        place(SHOUT, "caption", {"text": "a"}, "text")


def test_series_whose_name_is_a_constant_too_is_refused() -> None:
    with pytest.raises(InputError, match="unclear"):
        place(SHOUT, "text", {"text": "a"})


def test_model_without_a_schema_wants_the_name() -> None:
    assert place(None, "text", {}, "text") == {"text": SELF}
    with pytest.raises(InputError, match=r"no schema of acme/model.*Name it with into="):
        place(None, "text", {})


def test_frame_without_a_mapping_fills_by_name() -> None:
    given = input_of_table(SHOUT, ["times", "text", 5, "text"], "acme/model")
    assert given == {"text": col("text"), "times": col("times", optional=True)}


def test_frame_whose_columns_are_no_inputs_is_refused() -> None:
    with pytest.raises(InputError, match=r"(?s)input=.*text \(required\), times.*columns are: title, 5\."):
        input_of_table(SHOUT, ["title", 5], "acme/model")
    with pytest.raises(InputError, match="no schema"):
        input_of_table(None, ["text"], "acme/model")


def test_input_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"no input 'txt'.*Did you mean 'text'\?.*text \(required\), times, mark"
    ):
        check_names(SHOUT, ["txt", "times"], "acme/model")


def test_any_name_goes_where_there_is_no_schema() -> None:
    check_names(None, ["anything"], "acme/model")
    check_names(ModelSchema({}), ["anything"], "acme/model")


def test_whole_numbers_are_known_from_the_schema() -> None:
    assert conversions(SHOUT).keys() == {"times"}
    assert conversions(SHOUT)["times"](2.0) == 2
    assert conversions(None) == {}
