"""What `input=` says → the inputs of rows, over tables of pandas, which have the most kinds of nulls."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate_kit import col, template
from replicate_kit.errors import InputError
from replicate_kit.schema import ModelSchema, openapi
from replicate_kit.tables import Columns, OneColumn, Rows, columns_of
from replicate_kit.tables._matching import conversions
from replicate_kit.tables._rows import fill

FRAME = pd.DataFrame(
    {"title": ["Sea", "Hill", None], "artist": ["Turner", None, "Hokusai"], "year": [1842.0, 1830.0, None]},
    index=["a", "a", "b"],
)

UNHURRIED = settings(suppress_health_check=[HealthCheck.too_slow])


def table(data: Any) -> Columns | OneColumn:
    found = columns_of(data)
    assert found is not None
    return found


def filled(input: dict[str, Any], frame: pd.DataFrame = FRAME) -> list[dict[str, Any]]:
    return list(fill(table(frame), input))


def test_constants_stand_in_every_row() -> None:
    assert filled({"prompt": "a {title}", "seed": 1}) == [{"prompt": "a {title}", "seed": 1}] * 3


def test_column_fills_an_input_and_skips_nulls() -> None:
    rows = fill(table(FRAME), {"prompt": col("title"), "seed": 1})
    assert list(rows) == [{"prompt": "Sea", "seed": 1}, {"prompt": "Hill", "seed": 1}]
    assert rows.positions == [0, 1]


def test_row_is_skipped_where_any_of_its_columns_is_null() -> None:
    rows = fill(table(FRAME), {"prompt": col("title"), "by": col("artist")})
    assert rows.positions == [0]


def test_optional_column_is_left_out_where_it_is_null() -> None:
    assert filled({"prompt": col("title"), "by": col("artist", optional=True)}) == [
        {"prompt": "Sea", "by": "Turner"},
        {"prompt": "Hill"},
    ]


NESTED: dict[str, tuple[Any, str]] = {
    "a list": (["é", 1, 2.5, True], '["é", 1, 2.5, true]'),
    "a tuple": (("a", None), '["a", null]'),
    "an object": ({"a": {"b": []}}, '{"a": {"b": []}}'),
    "an array": (np.array([1.5, float("nan")]), "[1.5, null]"),
    "arrays in a list": ([np.array([[1], [2]]), np.int64(3), pd.NA], "[[[1], [2]], 3, null]"),
    "an array of texts": (np.array(["a", "b"], dtype=object), '["a", "b"]'),
    "times": ([pd.Timestamp("2026-08-01"), Decimal("0.10")], '["2026-08-01T00:00:00", "0.10"]'),
    "a number of numpy": (np.int64(7), "7"),
    "a text": ("[1, 'a']", "[1, 'a']"),
}


@pytest.mark.parametrize("how", sorted(NESTED))
@pytest.mark.parametrize(("text", "cut"), [("{a} and {b}", None), ("{a:.3} and {b}", 3)])
def test_a_cell_with_parts_is_json_in_a_template(how: str, text: str, cut: int | None) -> None:
    value, written = NESTED[how]
    if cut and not isinstance(value, np.integer):
        written = written[:cut]
    elif cut:
        return  # a format of numbers has no such cut
    frame = pd.DataFrame({"a": pd.Series([value], dtype=object), "b": ["x"]})
    assert filled({"prompt": template(text)}, frame) == [{"prompt": f"{written} and x"}]


def test_tables_of_arrow_and_of_pandas_with_arrow_are_alike() -> None:
    nested = pa.table({"a": [["é", None]], "b": [{"c": [1]}]})
    for data in (nested, nested.to_pandas(), nested.to_pandas(types_mapper=pd.ArrowDtype)):
        found = fill(table(data), {"prompt": template("{a} and {b}")})
        assert list(found) == [{"prompt": '["é", null] and {"c": [1]}'}]


@pytest.mark.parametrize(
    "value",
    [b"x", bytearray(b"x"), {1, 2}, [b"x"], {"a": {1}}, {1: "a"}, [float("inf")], [1 + 2j]],
    ids=repr,
)
def test_a_cell_that_no_text_has_is_refused_in_a_template(value: Any) -> None:
    frame = pd.DataFrame({"a": pd.Series([value], dtype=object)})
    with pytest.raises(InputError, match=r"of 'a' cannot be written in a text"):
        filled({"prompt": template("{a}")}, frame)
    assert filled({"prompt": template("{a!s}")}, frame) == [{"prompt": str(value)}], (
        "asked for, it is Python's"
    )


def test_template_has_columns_formats_and_braces() -> None:
    text = template("{title!r} ({year:.0f}) {{by}} {artist:.3}")
    assert filled({"prompt": text}) == [{"prompt": "'Sea' (1842) {by} Tur"}]


def test_template_names_columns_in_full() -> None:
    frame = pd.DataFrame({"a b": [1], "c.d": [2], "e[0]": [3]})
    assert filled({"x": template("{a b}{c.d}{e[0]}")}, frame) == [{"x": "123"}]


def test_template_names_columns_whose_names_are_no_texts() -> None:
    frame = pd.DataFrame([["a", "b"]], columns=pd.Index([0, ("x", "y")], tupleize_cols=False))
    assert filled({"x": template("{0}{('x', 'y')}")}, frame) == [{"x": "ab"}]


def test_template_writes_whole_numbers_as_such() -> None:
    frame = pd.DataFrame({"year": [1842.0, None, 0.5]})
    assert filled({"x": template("{year} {year:.1f} {year!r}")}, frame) == [
        {"x": "1842 1842.0 1842.0"},
        {"x": "0.5 0.5 0.5"},
    ]


def test_template_without_columns_is_a_text() -> None:
    assert filled({"x": template("{{}}")}) == [{"x": "{}"}] * 3


def test_optional_template_is_left_out_where_a_column_is_null() -> None:
    assert filled({"x": template("{artist}", optional=True)}) == [{"x": "Turner"}, {}, {"x": "Hokusai"}]


@pytest.mark.parametrize("text", ["{title", "}", "{a!x}"])
def test_malformed_template_is_refused(text: str) -> None:
    frame = pd.DataFrame({"title": ["x"], "a": ["y"]})
    with pytest.raises(InputError):
        filled({"prompt": template(text)}, frame)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('{"name": "{title}"}', '{{"name": "{title}"}}'),
        ('{"a": {"b": "{title}"}}', '{{"a": {{"b": "{title}"}}}}'),
        ("() => { return {title}; }", "() => {{ return {title}; }}"),
    ],
)
def test_template_with_braces_that_are_text_says_how_to_write_them(text: str, written: str) -> None:
    with pytest.raises(InputError, match="Double braces that are text") as caught:
        filled({"prompt": template(text)})
    assert str(caught.value).endswith(f"{written!r}.")
    assert filled({"prompt": template(written)})[0]["prompt"] == text.replace("{title}", "Sea")


def test_format_that_does_not_fit_names_the_row() -> None:
    with pytest.raises(
        InputError,
        match=r"row 'a' could not be made \(the cell 'Sea' does not fit the format of {title:d}: .*Nothing was",
    ):
        filled({"prompt": template("{title:d}")})


def test_function_gets_rows_that_are_not_skipped() -> None:
    rows = filled({"prompt": lambda row: row["title"].upper(), "year": col("year")})
    assert [each["prompt"] for each in rows] == ["SEA", "HILL"]


def test_function_gets_values_of_a_series_and_no_nulls() -> None:
    rows = fill(table(FRAME["title"]), {"prompt": lambda title: title.upper()})
    assert list(rows) == [{"prompt": "SEA"}, {"prompt": "HILL"}]


def test_function_skips_a_row_by_giving_nothing() -> None:
    rows = fill(table(FRAME), {"prompt": lambda row: row["artist"]})
    assert rows.positions == [0, 2]


def test_function_that_fails_names_the_row() -> None:
    with pytest.raises(InputError, match=r"row 'b' could not be made \(ZeroDivisionError") as caught:
        filled({"x": lambda row: 1 if isinstance(row["title"], str) else 1 / 0})
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_columns_stand_inside_lists_and_dicts() -> None:
    value = {"images": [col("title"), "fixed", col("artist", optional=True)], "more": {"by": col("title")}}
    assert filled(value) == [
        {"images": ["Sea", "fixed", "Turner"], "more": {"by": "Sea"}},
        {"images": ["Hill", "fixed"], "more": {"by": "Hill"}},
    ]


def test_whole_numbers_stay_whole_where_the_model_wants_them() -> None:
    def draw(seed: int, weight: float) -> str: ...

    schema = ModelSchema(openapi(draw))
    years = pd.DataFrame({"year": [1842.0]})
    rows = fill(table(years), {"seed": col("year"), "weight": col("year")}, conversions(schema))
    assert [type(each) for each in rows[0].values()] == [int, float]


def test_paths_are_paths_only_where_that_is_said() -> None:
    frame = pd.DataFrame({"photo": ["cat.png", Path("dog.png"), None]})
    assert filled({"image": col("photo", path=True)}, frame) == [
        {"image": Path("cat.png")},
        {"image": Path("dog.png")},
    ]
    urls = ["https://example.com/a.png", "data:,a"]
    assert filled({"image": col("photo", path=True)}, pd.DataFrame({"photo": urls})) == [
        {"image": url} for url in urls
    ]
    assert filled({"image": col("photo")}, frame)[0] == {"image": "cat.png"}


def test_files_are_constants_even_if_they_can_be_called() -> None:
    class Odd:
        def read(self) -> bytes:
            return b""

        def __call__(self, row: Any) -> str:
            return "called"

    handle = Odd()
    assert filled({"image": handle})[0] == {"image": handle}


def test_rows_are_a_sequence() -> None:
    rows = fill(table(FRAME), {"prompt": col("title"), "n": 1})
    assert len(rows) == 2
    assert rows[1] == rows[-1] == {"n": 1, "prompt": "Hill"}
    assert isinstance(rows[1:], Rows)
    assert list(rows[1:]) == [rows[1]]
    assert list(rows) == list(rows)


def test_no_rows_give_no_inputs() -> None:
    assert filled({"prompt": col("title"), "x": template("{title}"), "f": lambda row: 1}, FRAME[:0]) == []


@UNHURRIED
@given(st.lists(st.none() | st.text() | st.integers() | st.floats()))
def test_every_value_comes_or_is_null(values: list[Any]) -> None:
    series = pd.Series(values, dtype=object)
    rows = fill(table(series), {"x": col("")})
    wanted = [place for place, value in enumerate(values) if value is not None and value == value]
    assert list(rows.positions) == wanted
    assert [row["x"] for row in rows] == [values[place] for place in wanted]


@UNHURRIED
@given(st.text(), st.text())
def test_template_is_what_str_format_makes(before: str, value: str) -> None:
    text = before.replace("{", "{{").replace("}", "}}") + "{:>10}"
    rows = fill(table(pd.Series([value], dtype=object)), {"x": template(text)})
    assert [row["x"] for row in rows] == [text.format(value)]


def test_an_error_says_one_time_that_nothing_was_created() -> None:
    def refusing(row: object) -> str:
        raise InputError("The row is odd. Nothing was created.")

    with pytest.raises(InputError, match="The input of row 'a' could not be made") as caught:
        filled({"prompt": refusing})
    assert str(caught.value).count("othing was created") == 1
