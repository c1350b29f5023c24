"""Tables in files, read and written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit.cli.tables import read_columns, read_rows, write_rows

ROWS: list[dict[str, Any]] = [
    {"prompt": 'a "wombat", at sea\nor not', "seed": "1", "note": None},
    {"prompt": "ein Hügel", "seed": None, "note": "x"},
]
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_come_back_as_they_were_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    write_rows(path, list(ROWS[0]), ROWS)
    assert list(read_rows(path)) == ROWS
    assert read_columns(path) == list(ROWS[0])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_without_rows_keeps_its_columns_where_the_format_can(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    write_rows(path, ["prompt", "output"], [])
    assert list(read_rows(path)) == []
    assert read_columns(path) == ([] if suffix in (".jsonl", ".ndjson") else ["prompt", "output"])


def test_a_table_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_rows(path, ["a"], [{"a": "first"}])

    def failing() -> Any:
        yield {"a": "second"}
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_rows(path, ["a"], failing())
    assert list(read_rows(path)) == [{"a": "first"}]
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]


def test_columns_of_parquet_may_begin_with_nulls_for_longer_than_a_batch(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    rows = [{"n": number, "error": "late" if number > 5000 else None} for number in range(5002)]
    write_rows(path, ["n", "error"], rows)
    assert list(read_rows(path)) == rows


def test_csv_of_a_spreadsheet_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("\ufeffprompt\r\nsea\r\n".encode())
    assert list(read_rows(path)) == [{"prompt": "sea"}]


def test_structures_are_json_in_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_rows(path, ["a", "b"], [{"a": ["x", 1], "b": True}])
    assert list(read_rows(path)) == [{"a": '["x", 1]', "b": "true"}]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("table.csv", "a,b\n1\n", "line 2: the row has not as many cells"),
        ("table.csv", "a\n1,2\n", "line 2: the row has not as many cells"),
        ("table.jsonl", '{"a": 1}\n{\n', "line 2: not JSON"),
        ("table.jsonl", "[1]\n", "line 1: not a JSON object"),
        ("table.xlsx", "", "not in .xlsx"),
        ("table", "", "not in nothing"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(click.ClickException, match=message):
        list(read_rows(path))


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(click.ClickException, match="pip install pyarrow"):
        list(read_rows(tmp_path / "table.parquet"))


@given(rows=st.lists(st.fixed_dictionaries({"a": st.text(min_size=1), "b": st.none() | st.text(min_size=1)})))
def test_any_text_survives_json_lines(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tables") / "table.jsonl"
    write_rows(path, ["a", "b"], rows)
    assert list(read_rows(path)) == rows
