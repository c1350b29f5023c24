"""Tables in files, read and written."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate_kit.cli._paths import check_writable
from replicate_kit.cli._tables.tables import read_columns, read_rows, write_rows

ROWS: list[dict[str, Any]] = [
    {"prompt": 'a "wombat", at sea\nor not', "seed": "1", "note": None},
    {"prompt": "ein Hügel", "seed": None, "note": "x"},
]
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".parquet")
UNHURRIED = settings(suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_come_back_as_they_were_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    write_rows(path, list(ROWS[0]), ROWS)
    assert list(read_rows(path)) == ROWS
    assert list(read_columns(path)) == list(ROWS[0])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_without_rows_keeps_its_columns_where_the_format_can(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    write_rows(path, ["prompt", "output"], [])
    assert list(read_rows(path)) == []
    assert list(read_columns(path)) == ([] if "json" in suffix else ["prompt", "output"])


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
        ("table.jsonl", '{"a": 1}\n{"b": \n', r"line 2: not JSON \(Expecting value, column 6\)"),
        ("table.parquet", "a", "cannot be read as Parquet"),
        ("table.xlsx", "", "cannot be read as a spreadsheet"),
        ("table.json", "", "not in .json"),
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


def test_cells_of_a_csv_may_be_as_large_as_pictures(tmp_path: Path) -> None:
    rows = [{"image": "data:," + "a" * 200_000}]
    write_rows(tmp_path / "table.csv", ["image"], rows)
    assert list(read_rows(tmp_path / "table.csv")) == rows


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b,a\n1,2,3\n")
    with pytest.raises(click.ClickException, match="several columns named 'a'"):
        read_columns(path)


def test_keys_that_come_late_in_json_lines_are_columns_too(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text('{"a": 1}\n' * 5000 + '{"b": 2}\n')
    assert list(read_columns(path)) == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1, "two", None, [3], {"four": 4}, 2**70], ["1", "two", None, "[3]", '{"four": 4}', str(2**70)]),
        ([[{}], []], ["[{}]", "[]"]),
        ([1] * 5000 + ["two"], ["1"] * 5000 + ["two"]),
        ([["a"]] * 5000 + [True], ['["a"]'] * 5000 + ["true"]),
        ([["a", b"\x80"], ["b"]], ['["a", "gA=="]', '["b"]']),
    ],
    ids=[
        "in one batch",
        "structure without fields",
        "in later batches",
        "lists, and something else",
        "bytes",
    ],
)
def test_values_of_several_kinds_are_texts_in_parquet(tmp_path: Path, values: list[Any], texts: Any) -> None:
    path = tmp_path / "table.parquet"
    write_rows(path, ["a"], [{"a": value} for value in values])
    assert [row["a"] for row in read_rows(path)] == texts


def test_columns_of_parquet_keep_the_types_that_they_had(tmp_path: Path) -> None:
    columns = {
        "small": pyarrow.array([1, None], pyarrow.int8()),
        "moment": pyarrow.array([1, None], pyarrow.timestamp("ns", "UTC")),
        "kind": pyarrow.array(["x", None]).dictionary_encode(),
        "pairs": pyarrow.array([[("k", 1)], None], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        "nothing": pyarrow.nulls(2),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "in.parquet")
    types, rows = read_columns(tmp_path / "in.parquet"), list(read_rows(tmp_path / "in.parquet"))
    write_rows(tmp_path / "out.parquet", types, rows, types)
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").equals(pyarrow.table(columns))


def test_what_json_lacks_is_written_so_that_it_can_be_read(tmp_path: Path) -> None:
    row = {"bytes": b"\xff", "nan": float("nan"), "date": date(2020, 1, 2)}
    write_rows(tmp_path / "table.jsonl", list(row), [row])
    assert list(read_rows(tmp_path / "table.jsonl")) == [{"bytes": "/w==", "nan": None, "date": "2020-01-02"}]


def test_a_place_where_nothing_can_be_written_is_an_error_beforehand(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "table.csv")
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(click.ClickException, match=r"table.csv cannot be written \(.*Nothing was done"):
        check_writable(tmp_path / "file" / "table.csv")


@UNHURRIED
@given(rows=st.lists(st.fixed_dictionaries({"a": st.text(min_size=1), "b": st.none() | st.text(min_size=1)})))
def test_any_text_survives_json_lines(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tables") / "table.jsonl"
    write_rows(path, ["a", "b"], rows)
    assert list(read_rows(path)) == rows
