"""Awkward columns and templates give the same inputs, whichever library has the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from replicate_kit import Client, col, template
from replicate_kit.cli._tables.filling import Filling
from replicate_kit.cli._tables.tables import read_columns, read_rows
from replicate_kit.errors import InputError
from replicate_kit.schema import ModelSchema
from replicate_kit.tables import Rows, bind, columns_of
from replicate_kit.tables._matching import conversions
from tests.spreadsheets import write_xlsx

Table = Any
LONG = "wörd " * 20_000
SCHEMA = ModelSchema(
    {
        "components": {
            "schemas": {
                "Input": {
                    "type": "object",
                    "properties": {"x": {}, "n": {"type": "integer"}},
                }
            }
        }
    }
)


@dataclass
class Column:
    """A column, and what it is called in each library; `dtype` of pandas may be None for the one that it infers."""

    values: list[Any]
    dtype: Any = None
    polars: Any = None
    arrow: Any = None


COLUMNS: Mapping[str, Column] = {
    "texts": Column(["sea", None, "hills"]),
    "texts of pandas": Column(["sea", None], "string"),
    "texts of Arrow in pandas": Column(["sea", None], "string[pyarrow]"),
    "objects": Column(["sea", None], object),
    "empty texts": Column(["", " ", None]),
    "long texts": Column([LONG, "short"]),
    "odd texts": Column(["{title}", "a\nb\tc\r\n", "\x00", "🦥é", '"quoted", \\']),
    "categories": Column(
        ["a", "b", None, "a"], "category", pl.Categorical(), pa.dictionary(pa.int8(), pa.string())
    ),
    "categories that are fixed": Column(
        ["a", "b", None],
        pd.CategoricalDtype(["a", "b"]),
        pl.Enum(["a", "b"]),
        pa.dictionary(pa.int8(), pa.string()),
    ),
    "whole numbers": Column([1, -2, 2**53 + 1]),
    "whole numbers with nulls": Column([1, None, 3]),
    "nullable whole numbers": Column([1, None, 2**60 + 1], "Int64", pl.Int64, pa.int64()),
    "whole numbers of Arrow in pandas": Column([1, None], "int64[pyarrow]"),
    "small whole numbers": Column([1, 255], "uint8", pl.UInt8, pa.uint8()),
    "fractions": Column([0.5, 2.0, -0.0, 1e300]),
    "fractions with nulls": Column([0.5, None]),
    "not numbers": Column([float("nan"), 1.5]),
    "nullable fractions": Column([0.5, None], "Float64"),
    "truths": Column([True, False]),
    "truths with nulls": Column([True, None], "boolean"),
    "lists": Column([["a", "b"], [], ["c"]]),
    "lists with nulls": Column([["a"], None]),
    "lists of numbers": Column([[1, 2], [3]]),
    "lists of one length": Column([[1, 2], [3, 4]], None, pl.Array(pl.Int64, 2), pa.list_(pa.int64(), 2)),
    "structures": Column([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
    "nested structures": Column([{"a": [{"b": 1}]}, {"a": []}]),
    "dates and times": Column([datetime.fromisoformat("2020-01-02T03:04:05"), None]),
    "parts of a second": Column([datetime.fromisoformat("2020-01-02T03:04:05.678900")]),
    "dates and times with a zone": Column([datetime(2020, 1, 2, tzinfo=UTC)]),
    "dates": Column([date(2020, 1, 2), None], object),
    "times": Column([time(3, 4, 5)], object),
    "durations": Column([timedelta(days=1, seconds=2), None]),
    "decimals": Column([Decimal("1.10"), None], object),
    "bytes": Column([b"abc", None], object, pl.Binary, pa.binary()),
    "nulls alone": Column([None, None]),
    "no rows": Column([], "string", pl.String, pa.string()),
}


IN_A_SHEET = (
    "texts",
    "objects",
    "long texts",
    "categories",
    "whole numbers with nulls",
    "whole numbers of Arrow in pandas",
    "small whole numbers",
    "fractions with nulls",
    "nullable fractions",
    "truths",
    "truths with nulls",
    "dates and times",
    "times",
    "nulls alone",
    "no rows",
)
"""The columns that a spreadsheet can hold as they are: it has whole numbers instead of floats that are
whole, durations as texts, and no text that is empty."""


def of_pandas(column: Column, name: str) -> Table:
    return pd.DataFrame(
        {name: pd.Series(column.values, dtype=column.dtype), "other": range(len(column.values))}
    )


def labelled(column: Column, name: str) -> Table:
    frame = of_pandas(column, name)
    frame.index = pd.Index(["same"] * len(frame))
    return frame


def of_polars(column: Column, name: str) -> Table:
    return pl.DataFrame(
        {name: pl.Series(column.values, dtype=column.polars), "other": range(len(column.values))}
    )


def of_arrow(column: Column, name: str) -> Table:
    return pa.table({name: pa.array(column.values, column.arrow), "other": list(range(len(column.values)))})


def of_batches(column: Column, name: str) -> Table:
    table = of_arrow(column, name)
    return pa.concat_tables([table.slice(0, 1), table.slice(1)])


BUILDERS: Mapping[str, Callable[[Column, str], Table]] = {
    "pandas": of_pandas,
    "pandas with labels": labelled,
    "polars": of_polars,
    "Arrow": of_arrow,
    "Arrow in parts": of_batches,
}
INPUTS: Mapping[str, Mapping[str, Any]] = {
    "column": {"x": col("the title")},
    "optional": {"x": col("the title", optional=True)},
    "integer": {"n": col("the title", optional=True)},
    "template": {"x": template("<{the title}>")},
    "template with a conversion": {"x": template("{the title!s:.3}")},
    "inside": {"x": [col("the title"), {"deep": col("other")}], "constant": 1},
    "function": {"x": lambda row: [row["the title"], row["other"]]},
    "function that skips": {"x": lambda row: row["the title"]},
}


def sent(table: Table, input: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the rows of a table become: their positions, and what is written of each."""
    columns = columns_of(table)
    assert columns is not None
    rows = bind(columns, input, SCHEMA, check_input=False)
    assert isinstance(rows, Rows)
    return rows.positions, [json.dumps(row, default=_written, sort_keys=True) for row in rows]


def sent_by_command(input: Mapping[str, Any], path: Path) -> tuple[Any, ...]:
    """What the command line makes of the table in a file."""
    filling = Filling(list(read_columns(path)), input, conversions(SCHEMA))
    inputs = dict(enumerate(each for _, each in filling.over(read_rows(path))))
    kept = {position: each for position, each in inputs.items() if each is not None}
    return list(kept), [json.dumps(each, default=_written, sort_keys=True) for each in kept.values()]


def _written(value: Any) -> str:
    """What stands for a value that JSON lacks: its kind and its text, whichever library made it."""
    kinds = (datetime, date, time, timedelta, Decimal, bytes)
    return f"{next(each.__name__ for each in kinds if isinstance(value, each))} {value}"


@pytest.mark.parametrize("how", INPUTS)
@pytest.mark.parametrize("name", COLUMNS)
def test_awkward_columns_give_the_same_inputs(name: str, how: str, tmp_path: Path) -> None:
    column, input = COLUMNS[name], INPUTS[how]
    if (name, how) == ("bytes", "template"):
        for build in BUILDERS.values():
            with pytest.raises(InputError, match="'the title' cannot be written in a text"):
                sent(build(column, "the title"), input)
        return
    given = {which: sent(build(column, "the title"), input) for which, build in BUILDERS.items()}
    parquet.write_table(of_arrow(column, "the title"), tmp_path / "table.parquet")
    given["the command line"] = sent_by_command(input, tmp_path / "table.parquet")
    if name in IN_A_SHEET:
        rows = zip(column.values, range(len(column.values)), strict=True)
        write_xlsx(tmp_path / "table.xlsx", {"Sheet1": [("the title", "other"), *rows]})
        given["a spreadsheet"] = sent_by_command(input, tmp_path / "table.xlsx")
    expected = given["Arrow"]
    assert given == dict.fromkeys(given, expected)
    assert len(expected[0]) == len(expected[1]) <= len(column.values)


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("input", [{"x": col("titel")}, {"x": template("{titel}")}, {"x": template("{}")}])
def test_a_column_that_is_not_there_is_named(build: Any, input: Mapping[str, Any]) -> None:
    with pytest.raises(InputError, match=r"titel|Name the column of a table") as caught:
        sent(build(COLUMNS["texts"], "title"), input)
    assert "titel" not in str(caught.value) or "Did you mean 'title'?" in str(caught.value)


def test_a_name_of_several_columns_is_refused() -> None:
    twice = [
        pd.DataFrame([["a", "b"]], columns=["x", "x"]),
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["x", "x"]),
    ]
    for table in twice:
        with pytest.raises(InputError, match="'x' names 2 columns"):
            sent(table, {"x": col("x")})


@pytest.mark.parametrize("text", ["half \ud83d", "\ud83d"])
def test_half_a_character_is_refused_before_anything_is_created(text: str) -> None:
    with Client(backend="mock") as client:
        batch = client.map("demo/poet", pd.DataFrame({"prompt": pd.Series([text], dtype=object)}))
        (result,) = batch
        assert result.status == "invalid"
        assert "surrogate" in str(result.error)
