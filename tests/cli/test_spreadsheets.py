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

from replicate_kit.cli._tables.tables import Reading, name_results, read_columns, read_rows, write_rows
from replicate_kit.simulator import default
from tests.spreadsheets import Chart, Formula, locked, write_xlsx

Invoke = Callable[..., Result]

ROWS = [["prompt", "lines"], ["sea", 1], [None, 2], ["hills", 2.0]]
MISSING = ["n/a", "N/A", "NA", "NULL", "None", "NaN"]
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
        ([1, 2.5, -0.0], [1, 2.5, 0]),
        ([2.0**53, 1], [2.0**53, 1]),
        ([True, None, False], [True, None, False]),
        ([MOMENT, None], [MOMENT, None]),
        ([time(3, 4, 5), time(0)], [time(3, 4, 5), time(0)]),
        ([date(2024, 1, 2), datetime.fromisoformat("2024-01-02")], [date(2024, 1, 2)] * 2),
        ([timedelta(days=1, seconds=2), timedelta(hours=-5)], ["24:00:02", "-5:00:00"]),
        (["", " ", "=1+1"], [None, " ", "=1+1"]),
        ([1, *MISSING], [1, *MISSING]),
        (["#N/A", 1], [None, 1]),
        ([1, "a", True], [1, "a", True]),
        ([MOMENT, timedelta(1), "a"], [MOMENT, "24:00:00", "a"]),
        ([Formula("1+1"), Formula("A1", ""), Formula("A1", "b")], [None, None, "b"]),
        (["late"] * 5000 + [1], ["late"] * 5000 + [1]),
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


def test_durations_of_open_document_are_those_of_other_spreadsheets(tmp_path: Path) -> None:
    duration = '<table:table-cell office:value-type="time" office:time-value="PT30H00M05S"/>'
    with ZipFile(tmp_path / "book.ods", "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("META-INF/manifest.xml", "<manifest/>")
        row = f"<table:table-row>{duration}</table:table-row></table:table>"
        file.writestr("content.xml", OPEN_DOCUMENT.replace("</table:table>", row).replace(">\n<", "><"))
    assert [row["a"] for row in read_rows(tmp_path / "book.ods")] == ["sea", "30:00:05"]


def test_rows_of_a_spreadsheet_run_and_their_results_are_a_csv(invoke: Invoke, book: Path) -> None:
    result = invoke("map", "demo/poet", book, "-i", "prompt=prompt", "-i", "lines=lines")
    assert result.exit_code == 0, result.output
    chosen, _ = result.stderr.splitlines()
    assert chosen == f"{book}: the sheet 'Prompts' is read; --sheet names another: Notes, Empty, Twice"
    rows = list(read_rows(book.with_name("book-results.csv")))
    assert [(row["prompt"], row["lines"], row["status"]) for row in rows] == [
        ("sea", "1", "succeeded"),
        (None, "2", "skipped"),
        ("hills", "2", "succeeded"),
    ]


def test_a_sheet_is_chosen_by_its_name(book: Path, invoke: Invoke) -> None:
    assert list(read_rows(book, Reading("Notes"))) == [{"x": "y"}]
    result = invoke(
        "map", "demo/poet", book, "--sheet", "Notes", "-i", "prompt=x", "--out", book.with_name("o.parquet")
    )
    assert result.exit_code == 0, result.output
    (row,) = read_rows(book.with_name("o.parquet"))
    assert (row["x"], row["status"]) == ("y", "succeeded")


@pytest.mark.parametrize(
    ("sheet", "said"),
    [
        (
            "Note",
            "has no sheet 'Note' with cells. Did you mean 'Notes'? There are: Prompts, Notes, Empty, Twice.",
        ),
        ("", "has no sheet '' with cells. There are: Prompts,"),
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
    for content in (b"", b"PK nothing", b"\0\1\2", book.read_bytes()[:-30]):
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
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(click.ClickException, match=r'pip install "replicate-kit\[excel\]"'):
        read_columns(book)


def test_times_of_day_are_such_in_workbooks_that_count_from_1904(tmp_path: Path) -> None:
    cells = [time(3, 4, 5), date(2024, 1, 2), MOMENT]
    write_xlsx(tmp_path / "t.xlsx", {"Sheet1": [["a"], *([each] for each in cells)]}, from_1904=True)
    assert [row["a"] for row in read_rows(tmp_path / "t.xlsx")] == cells


def test_the_first_sheet_that_people_see_is_read_and_that_is_said(invoke: Invoke, tmp_path: Path) -> None:
    table = tmp_path / "t.xlsx"
    sheets = {"Plot": Chart(), "Old": [["prompt"], ["no"]], "New": [["prompt"], ["sea"]]}
    write_xlsx(table, sheets, hidden=["Old"])
    result = invoke("map", "demo/poet", table, "--dry-run")
    assert result.exit_code == 0, result.output
    assert f"{table}: the sheet 'New' is read; --sheet names another: Old\n" == result.stderr
    assert list(read_rows(table)) == [{"prompt": "sea"}]
    assert list(read_rows(table, Reading("Old"))) == [{"prompt": "no"}]
    assert "is read" not in invoke("map", "demo/poet", table, "--dry-run", "--sheet", "New").stderr
    assert "has no sheet 'Plot' with cells." in invoke("map", "demo/poet", table, "--sheet", "Plot").stderr


def test_hidden_sheets_alone_are_read_all_the_same(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "t.xlsx", {"Old": [["prompt"], ["sea"]]}, hidden=["Old"])
    assert list(read_rows(tmp_path / "t.xlsx")) == [{"prompt": "sea"}]


def test_cells_that_only_seem_to_be_empty_are_counted(invoke: Invoke, tmp_path: Path) -> None:
    table = tmp_path / "t.xlsx"
    rows = [[Formula("B1")], ["#N/A"], ["sea"], [Formula("B1", "")], [None], [Formula("1")], [Formula("2")]]
    write_xlsx(table, {'A & "B"': [["prompt"], *rows]})
    result = invoke("map", "demo/poet", table, "-i", "prompt=prompt", "--dry-run")
    assert result.exit_code == 0, result.output
    (formulas, errors) = result.stderr.splitlines()
    assert formulas.endswith("open the file in a spreadsheet program and save it (3 cells: A2; A7; A8)")
    assert errors.endswith("an error is read as an empty cell (1 cell: #N/A in A3)")
    assert [row["prompt"] for row in read_rows(table)] == [None, None, "sea"]


def test_a_table_of_values_has_no_such_remark(invoke: Invoke, tmp_path: Path) -> None:
    write_xlsx(tmp_path / "t.xlsx", {"Sheet1": [["prompt"], ["<f>"], [Formula("1", "2")], [None], ["sea"]]})
    assert invoke("map", "demo/poet", tmp_path / "t.xlsx", "--dry-run").stderr == ""


def test_empty_rows_are_rows_between_others_and_nothing_after_them(tmp_path: Path) -> None:
    rows = [["a", "b"], [1, 2], [None, None], [3, None], [Formula("1"), None], ["", ""]]
    write_xlsx(tmp_path / "t.xlsx", {"Sheet1": rows})
    empty = {"a": None, "b": None}
    assert list(read_rows(tmp_path / "t.xlsx")) == [{"a": 1, "b": 2}, empty, {"a": 3, "b": None}]


@pytest.mark.parametrize(
    ("rows", "read"),
    [
        ([[" ", None], [None, None], ["a", "b"], [1, 2]], [{"a": 1, "b": 2}]),
        ([[None, "a", None, "b", " "], [None, 1, None, 2]], [{"a": 1, "b": 2}]),
        ([[None, "a"], [0, "x"]], [{"": 0, "a": "x"}]),
        ([[2024, date(2024, 1, 2), True], [1, 2, 3]], [{"2024": 1, "2024-01-02": 2, "true": 3}]),
    ],
)
def test_the_header_is_the_first_row_that_has_cells(
    tmp_path: Path, rows: list[list[Any]], read: list[Any]
) -> None:
    write_xlsx(tmp_path / "t.xlsx", {"Sheet1": rows})
    assert list(read_columns(tmp_path / "t.xlsx")) == list(read[0])
    assert list(read_rows(tmp_path / "t.xlsx")) == read


def test_columns_without_a_header_are_named_by_their_letters(invoke: Invoke, tmp_path: Path) -> None:
    write_xlsx(
        tmp_path / "t.xlsx", {"Sheet1": [[None, "a", None, "b", None, None], [None, 1, 2, 3, None, 4]]}
    )
    result = invoke("map", "demo/poet", tmp_path / "t.xlsx")
    assert result.exit_code == 2
    assert "columns C and F have cells but no header: name them or clear them." in result.stderr
    assert "the first row that has cells" in result.stderr


def test_a_title_above_the_header_is_told(invoke: Invoke, tmp_path: Path) -> None:
    write_xlsx(tmp_path / "t.xlsx", {"Sheet1": [[" My table"], ["prompt"], ["sea"]]})
    for options in ([], ["-i", "prompt=prompt"], ["-i", "prompt={prompt}"]):
        result = invoke("map", "demo/poet", tmp_path / "t.xlsx", *options)
        assert result.exit_code == 2
        said = " ".join(result.stderr.split())
        assert "The columns are: ' My table'. The header of a spreadsheet is to be the first row" in said


def test_names_that_cannot_be_seen_are_quoted_in_any_table(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("My table,, a\nprompt,b,c\n")
    result = invoke("map", "demo/poet", tmp_path / "t.csv", "-i", "prompt=prompt")
    assert "The columns are: My table, '', ' a'." in " ".join(result.stderr.split())
    assert "spreadsheet" not in result.stderr


def test_a_spreadsheet_of_another_kind_than_its_name_says_is_told(
    invoke: Invoke, tmp_path: Path, book: Path
) -> None:
    contents = {
        "a.xls": (book.read_bytes(), "what is in it is .xlsx. Rename it to a.xlsx."),
        "b.ods": (book.read_bytes(), "Rename it to b.xlsx."),
        "c.xlsx": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "Rename it to c.xls."),
        "d.xls": (b"<html><table></table></html>", "it is a text that has the name of one"),
        "e.xlsx": ("größe,b\r\n1,2\r\n".encode("cp1252"), "name it .csv if it is one"),
    }
    for name, (content, said) in contents.items():
        (tmp_path / name).write_bytes(content)
        result = invoke("map", "demo/poet", tmp_path / name)
        assert result.exit_code == 2
        assert f"{name} cannot be read as a spreadsheet: " in result.stderr
        assert said in result.stderr
