from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from replicate_kit.errors import InputError
from replicate_kit.tables import Cells, Columns, OneColumn, columns_of


def table(data: Any) -> Columns | OneColumn:
    found = columns_of(data)
    assert found is not None
    return found


def cells_of(series: pd.Series[Any]) -> Cells:
    return table(series).cells("")


FRAME = pd.DataFrame({"title": ["Sea", None], "year": [1, 2]}, index=[7, 7])


@pytest.mark.parametrize(
    ("series", "values"),
    [
        (pd.Series(["a", None]), ["a", None]),
        (pd.Series(["a", None], dtype=object), ["a", None]),
        (pd.Series(["a", None], dtype="string"), ["a", None]),
        (pd.Series(["a", None], dtype="string[pyarrow]"), ["a", None]),
        (pd.Series(["a", None], dtype="category"), ["a", None]),
        (pd.Series([1, 2]), [1, 2]),
        (pd.Series([1, None]), [1, None]),
        (pd.Series([1e300, None]), [1e300, None]),
        (pd.Series([2.0**53, None]), [2.0**53, None]),
        (pd.Series([1.0, 2.5, None]), [1.0, 2.5, None]),
        (pd.Series([1.0, float("inf"), None]), [1.0, float("inf"), None]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series([1, None], dtype="int64[pyarrow]"), [1, None]),
        (pd.Series([0.5, None], dtype="Float32"), [0.5, None]),
        (pd.Series([True, None], dtype="boolean"), [True, None]),
        (pd.Series([pd.NA, pd.NaT, float("nan"), None, 0], dtype=object), [None, None, None, None, 0]),
        (pd.Series([["a"], {"b": 1}, b"c"]), [["a"], {"b": 1}, b"c"]),
        (pd.Series([0.0, 1.0], dtype="Sparse[float]"), [0.0, 1.0]),
        (pd.Series([], dtype=object), []),
    ],
    ids=lambda each: str(each.dtype) if isinstance(each, pd.Series) else "",
)
def test_cells_are_python_values_with_their_nulls(series: pd.Series[Any], values: list[Any]) -> None:
    cells = cells_of(series)
    seen = [None if null else value for value, null in zip(cells.values, cells.null, strict=True)]
    assert seen == values
    assert [type(each) for each in seen] == [type(each) for each in values]


def test_dates_are_timestamps_with_their_nulls() -> None:
    cells = cells_of(pd.Series(pd.to_datetime(["2020-01-02", None])))
    assert str(cells.values[0]) == "2020-01-02 00:00:00"
    assert cells.null == [False, True]


@pytest.mark.parametrize("dtype", ["Float64", "double[pyarrow]"])
def test_not_a_number_is_null_where_the_dtype_tells_them_apart(dtype: str) -> None:
    zeros = pd.Series([0.0, 1.0, None], dtype=dtype)
    assert cells_of(zeros / zeros).null == [True, False, True]


def test_missing_column_is_named_beside_those_that_are_there() -> None:
    with pytest.raises(
        InputError, match=r"no column 'titel'. Did you mean 'title'\? The columns are: title, year"
    ):
        table(FRAME).cells("titel")
    with pytest.raises(InputError, match=r"{} is the value of a Series"):
        table(FRAME).cells("")


def test_name_of_two_columns_is_refused() -> None:
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(InputError, match="'a' names 2 columns"):
        table(twice).cells("a")


def test_columns_of_several_levels_are_named_by_tuples() -> None:
    frame = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
    assert table(frame).cells(("a", "y")).values == [2]
    with pytest.raises(InputError, match="'a' names 2 columns"):
        table(frame).cells("a")
    frame = pd.DataFrame([[1, 2, 3]], columns=pd.MultiIndex.from_tuples([("a", ""), ("b", "x"), ("a b", "")]))
    assert table(frame).cells("a").values == [1]
    with pytest.raises(InputError, match="'b' names 1 column"):
        table(frame).cells("b")


def test_rows_of_a_frame_are_mappings() -> None:
    rows = list(table(FRAME).rows())
    assert rows[0] == {"title": "Sea", "year": 1}


def test_rows_of_a_frame_without_columns_are_empty_mappings() -> None:
    assert list(table(pd.DataFrame(index=[1, 2])).rows()) == [{}, {}]


def test_series_answers_to_its_name_and_to_none() -> None:
    years = table(FRAME["year"])
    assert years.cells("").values == years.cells("year").values == list(years.rows()) == [1, 2]


def test_series_refuses_other_names() -> None:
    with pytest.raises(InputError, match=r"no column 'title': its name is 'year'.*df\.replicate\.run"):
        table(FRAME["year"]).cells("title")
