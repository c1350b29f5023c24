"""A table that gets one more row has the same inputs in those before: nothing is paid again for it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from pyarrow import ArrowException
from pyarrow import parquet as pq
from pyarrow import table as arrow

from replicate_kit import Client
from replicate_kit.cli._asking import resolved
from replicate_kit.cli._cells import as_cell
from replicate_kit.cli._tables.filling import read_filling
from replicate_kit.cli._tables.tables import read_columns, read_rows
from tests.spreadsheets import write_xlsx

COLUMNS = {
    "dates": [date(2024, 1, 2), None, date(2024, 1, 3)],
    "dates and times": [datetime.fromisoformat("2024-01-02T03:04:05"), datetime.fromisoformat("2024-01-02")],
    "times": [time(3, 4, 5), time(0)],
    "durations": [timedelta(days=1, hours=6), timedelta(minutes=1)],
    "truths": [True, None, False],
    "whole numbers": [1, None, 3, 2**40],
    "fractions": [1.5, 2.0],
    "texts": ["a", "1", "2024-01-02", "true", "n/a", " "],
    "nothing": [None, None],
}
MORE = {
    "text": "a",
    "missing": "n/a",
    "empty": None,
    "number": 7,
    "fraction": 0.5,
    "large number": 2**60,
    "date": date(1999, 12, 31),
    "time": time(1),
    "duration": timedelta(hours=30),
    "truth": True,
}


def spreadsheet(path: Path, values: Sequence[Any]) -> Path:
    write_xlsx(path.with_suffix(".xlsx"), {"Sheet1": [["x", "other"], *([each, "y"] for each in values)]})
    return path.with_suffix(".xlsx")


def separated(path: Path, values: Sequence[Any]) -> Path:
    with open(path.with_suffix(".csv"), "w", newline="") as file:
        csv.writer(file).writerows([["x", "other"], *([as_cell(each), "y"] for each in values)])
    return path.with_suffix(".csv")


def lines(path: Path, values: Sequence[Any]) -> Path:
    rows = [json.dumps({"x": each, "other": "y"}, default=str) for each in values]
    path.with_suffix(".jsonl").write_text("\n".join(rows))
    return path.with_suffix(".jsonl")


def parquet(path: Path, values: Sequence[Any]) -> Path:
    try:
        made = arrow({"x": list(values), "other": ["y"] * len(values)})
    except ArrowException:
        pytest.skip("a column of Parquet has cells of one kind")
    pq.write_table(made, path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def sent(table: Path) -> list[str]:
    """What the rows of a table send, by a column and by a template, and whether they are skipped."""
    with Client(backend="mock") as client:
        schema = resolved(client, "demo/poet").schema
    columns = list(read_columns(table))
    fillings = [read_filling([f"prompt={each}"], {}, columns, schema) for each in ("x", "{x} {other}")]
    return [
        repr([input for _, input in filling.over([row])]) for row in read_rows(table) for filling in fillings
    ]


@pytest.mark.parametrize("write", [spreadsheet, separated, lines, parquet])
@pytest.mark.parametrize("more", MORE)
@pytest.mark.parametrize("name", COLUMNS)
def test_one_more_row_leaves_the_others_as_they_were(
    tmp_path: Path, name: str, more: str, write: Callable[[Path, Sequence[Any]], Path]
) -> None:
    values = COLUMNS[name]
    if write is parquet and (name, more) in CONVERTED:
        pytest.skip("a column of Parquet has one type, which whoever writes it has chosen")
    before = sent(write(tmp_path / "before", values))
    after = sent(write(tmp_path / "after", [*values, MORE[more]]))
    assert after[: len(before)] == before
    assert len(after) == len(before) + 2


CONVERTED = {("dates and times", "date"), ("dates and times", "large number"), ("times", "large number")}


def test_one_more_row_of_a_spreadsheet_is_paid_alone(invoke: Callable[..., Result], tmp_path: Path) -> None:
    kept = [[date(2024, 1, 2), 1], [datetime.fromisoformat("2024-01-02T03:04:05"), 2]]
    created = []
    for more in ([], [["n/a", 3]], [["n/a", 3], [4.5, 4]], [["n/a", 3], [4.5, 4], [timedelta(hours=30), 5]]):
        write_xlsx(tmp_path / "t.xlsx", {"Sheet1": [["prompt", "lines"], *kept, *more]})
        result = invoke("map", "demo/poet", tmp_path / "t.xlsx", "--json")
        assert result.exit_code == 0, result.output
        created.append(json.loads(result.stdout)["created"])
    assert created == [2, 1, 1, 1]
