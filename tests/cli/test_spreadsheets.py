"""Spreadsheets as tables: what their cells are, which sheet is read, and what cannot be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import click
import pytest
from click.testing import Result

from replicate_kit.cli._tables.tables import name_results, read_columns, read_rows, write_rows
from replicate_kit.simulator import default
from tests.spreadsheets import locked, write_xlsx

Invoke = Callable[..., Result]

ROWS = [["prompt", "lines"], ["sea", 1], [None, 2], ["hills", 2.0]]
MOMENT = datetime.fromisoformat("2020-01-02T03:04:05")

OASIS = "urn:oasis:names:tc:opendocument:xmlns"
OPEN_DOCUMENT = f"""<office:document-content
  xmlns:office="{OASIS}:office:1.0" xmlns:table="{OASIS}:table:1.0" xmlns:text="{OASIS}:text:1.0">
<office:body><office:spreadsheet><table:table table:name="Sheet1">
<table:table-row>
<table:table-cell office:value-type="string"><text:p>a</text:p></table:table-cell>
<table:table-cell office:value-type="string"><text:p>b</text:p></table:table-cell>
<table:table-cell office:value-type="string"><text:p>c</text:p></table:table-cell>
<table:table-cell office:value-type="string"><text:p>d</text:p></table:table-cell>
</table:table-row>
<table:table-row>
<table:table-cell office:value-type="string"><text:p>sea</text:p></table:table-cell>
<table:table-cell office:value-type="float" office:value="1"><text:p>1</text:p></table:table-cell>
<table:table-cell office:value-type="boolean" office:boolean-value="true"><text:p>TRUE</text:p></table:table-cell>
<table:table-cell office:value-type="date" office:date-value="2020-01-02"><text:p>2/1/20</text:p></table:table-cell>
</table:table-row>
</table:table></office:spreadsheet></office:body></office:document-content>"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.xlsx"
    write_xlsx(
        path, {"Prompts": ROWS, "Notes": [["x"], ["y"]], "Empty": [], "Twice": [["a", "b", "a"], [1, 2, 3]]}
    )
    return path


def cells(path: Path, *values: Any) -> list[Any]:
    """What the cells of a column become."""
    write_xlsx(path, {"Sheet1": [["a", "b"], *([each, "x"] for each in values)]})
    return [row["a"] for row in read_rows(path)]


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ([1, None, 3], [1, None, 3]),
        ([1, 2.5], [1.0, 2.5]),
        ([2.0**53, 1], [2.0**53, 1.0]),
        ([True, None, False], [True, None, False]),
        ([MOMENT, None], [MOMENT, None]),
        ([time(3, 4, 5), time(0)], [time(3, 4, 5), time(0)]),
        ([timedelta(days=1, seconds=2)], [timedelta(days=1, seconds=2)]),
        (["", " ", "=1+1"], [None, " ", "=1+1"]),
        (["#N/A", 1], [None, 1]),
        ([1, "a", True], ["1", "a", "true"]),
        ([MOMENT, timedelta(1), "a"], [str(MOMENT), "1900-01-01 00:00:00", "a"]),
        (["late"] * 5000 + [1], ["late"] * 5000 + ["1"]),
        ([None] * 5000 + [1], [None] * 5000 + [1]),
        ([], []),
    ],
)
def test_cells_are_what_they_were_in_the_spreadsheet(
    tmp_path: Path, values: list[Any], read: list[Any]
) -> None:
    found = cells(tmp_path / "table.xlsx", *values)
    assert [(type(each), each) for each in found] == [(type(each), each) for each in read]


def test_spreadsheets_of_open_document_are_read(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "book.ods", "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("META-INF/manifest.xml", "<manifest/>")
        file.writestr("content.xml", OPEN_DOCUMENT.replace(">\n<", "><"))
    assert list(read_rows(tmp_path / "book.ods")) == [{"a": "sea", "b": 1, "c": True, "d": date(2020, 1, 2)}]


def test_rows_of_a_spreadsheet_run_and_their_results_are_a_csv(invoke: Invoke, book: Path) -> None:
    result = invoke("map", "demo/poet", book, "-i", "prompt=prompt", "-i", "lines=lines")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    rows = list(read_rows(book.with_name("book-results.csv")))
    assert [(row["prompt"], row["lines"], row["status"]) for row in rows] == [
        ("sea", "1", "succeeded"),
        (None, "2", "skipped"),
        ("hills", "2", "succeeded"),
    ]


def test_a_sheet_is_chosen_by_its_name(book: Path, invoke: Invoke) -> None:
    assert list(read_rows(book, "Notes")) == [{"x": "y"}]
    result = invoke(
        "map", "demo/poet", book, "--sheet", "Notes", "-i", "prompt=x", "--out", book.with_name("o.parquet")
    )
    assert result.exit_code == 0, result.output
    (row,) = read_rows(book.with_name("o.parquet"))
    assert (row["x"], row["status"]) == ("y", "succeeded")


@pytest.mark.parametrize(
    ("sheet", "said"),
    [
        ("Note", "has no sheet 'Note'. Did you mean 'Notes'? There are: Prompts, Notes, Empty, Twice."),
        ("", "has no sheet ''. There are: Prompts,"),
        ("Empty", "the sheet 'Empty' is empty"),
        ("Twice", "several columns named 'a' (1, 3 of 3)"),
    ],
)
def test_a_sheet_that_is_no_table_is_wrong_usage(invoke: Invoke, book: Path, sheet: str, said: str) -> None:
    before = default().created
    result = invoke("map", "demo/poet", book, "--sheet", sheet)
    assert (result.exit_code, default().created) == (2, before)
    assert said in result.stderr


@pytest.mark.parametrize("name", ["book.xlsx", "book.xlsm", "book.xlsb", "book.xls", "book.ods"])
def test_a_damaged_spreadsheet_is_told(invoke: Invoke, tmp_path: Path, book: Path, name: str) -> None:
    for content in (b"", b"PK nothing", book.read_bytes()[:-30]):
        (tmp_path / name).write_bytes(content)
        result = invoke("map", "demo/poet", tmp_path / name)
        assert result.exit_code == 2
        assert f"{name} cannot be read as a spreadsheet: " in result.stderr
        assert "Save it anew or as CSV" in result.stderr


def test_a_spreadsheet_with_a_password_is_told(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "book.xlsx").write_bytes(locked())
    result = invoke("map", "demo/poet", tmp_path / "book.xlsx")
    assert result.exit_code == 2
    assert "book.xlsx is protected by a password. Save it without one" in result.stderr


def test_a_sheet_of_another_table_is_wrong_usage(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("prompt\nsea\n")
    result = invoke("map", "demo/poet", tmp_path / "t.csv", "--sheet", "Notes")
    assert result.exit_code == 2
    assert "--sheet is for spreadsheets (.xlsx, " in result.stderr


def test_results_are_no_spreadsheet_and_that_is_told_before_anything_is_created(
    invoke: Invoke, book: Path
) -> None:
    before = default().created
    result = invoke("map", "demo/poet", book, "--out", book.with_name("results.xlsx"))
    assert (result.exit_code, default().created) == (2, before)
    assert "are read and not written. Name a table that ends in .csv, .tsv" in " ".join(result.stderr.split())
    with pytest.raises(click.UsageError, match="not written"):
        write_rows(book.with_name("results.ods"), ["a"], [])


@pytest.mark.parametrize(
    ("table", "results"),
    [
        ("a.csv", "a-results.csv"),
        ("a.PARQUET", "a-results.PARQUET"),
        ("a.XLSX", "a-results.csv"),
        ("a.ods", "a-results.csv"),
    ],
)
def test_results_stand_beside_the_table(table: str, results: str) -> None:
    assert name_results(Path("folder") / table) == Path("folder") / results


def test_what_reads_spreadsheets_is_asked_for_by_name(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    with pytest.raises(click.ClickException, match=r'pip install "replicate-kit\[excel\]"'):
        read_columns(book)
