"""Whatever a cell holds, there are results, and what reads them reads them again."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas
import pyarrow.parquet
import pytest
from click.testing import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate_kit.cli._tables.tables import read_rows, write_rows
from replicate_kit.simulator import default

pytestmark = pytest.mark.slow  # a large family

Invoke = Callable[..., Result]

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
HALF = "half of \ud83d"


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


VALUES: dict[str, Any] = {
    "half a character": HALF,
    "the other half": "\ude00",
    "two halves": "\ud83d\ude00",
    "bytes that are no text": "caf\udce9",
    "NUL": "a\0b",
    "control characters": "\x01\x1a\x1b[31m\x7f\x85",
    "lines": "a\rb\nc\r\nd\u2028e",
    "quotes": "\"a\", 'b'\t;|\\",
    "a byte order mark": "\ufeffa",
    "no characters": "\ufffe\uffff",
    "a long text": "x" * 100_000,
    "a long text with half a character": "日" * 100_000 + "\ud83d",
    "nothing": None,
    "an empty text": "",
    "truth": True,
    "no number": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "a huge number": 10**30,
    "a number that Python does not write": 10**5000,
    "bytes": b"\0\xff",
    "a date": date(2026, 1, 2),
    "a time": datetime(2026, 1, 2, tzinfo=UTC),
    "a decimal": Decimal("1.50"),
    "an id": UUID(int=1),
    "a list": ["a", 1],
    "an empty list": [],
    "lists of nothing": [[[]]],
    "an empty structure": {},
    "a structure of empty ones": {"a": {}, "b": [{}]},
    "a structure with halves": {HALF: [{"a": HALF}]},
    "a structure with what JSON lacks": {"a": math.nan, "b": [math.inf, -math.inf, 10**5000], "c": b"a"},
    "a structure with odd keys": {1: {(2, 3): 4}},
    "a deep structure": nested(100_000),
    "an object": object(),
}


def _lines(path: Path) -> list[Any]:
    return [json.loads(line, parse_constant=_strict) for line in path.read_text("utf-8").split("\n") if line]


def _strict(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


READERS: dict[str, Callable[[Path], Any]] = {
    ".csv": pandas.read_csv,
    ".tsv": lambda path: pandas.read_csv(path, sep="\t"),
    ".jsonl": _lines,
    ".ndjson": _lines,
    ".parquet": lambda path: pyarrow.parquet.read_table(path).to_pylist(),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("beside", ["nothing else", "a text", "a number", "a list", "itself"])
def test_any_value_is_written_and_read_again(tmp_path: Path, suffix: str, value: str, beside: str) -> None:
    path = tmp_path / f"table{suffix}"
    others = {
        "nothing else": [],
        "a text": ["text"],
        "a number": [1],
        "a list": [["a"]],
        "itself": [VALUES[value]],
    }
    cells = [VALUES[value], *others[beside]]
    write_rows(path, ["n", "v"], [{"n": number, "v": each} for number, each in enumerate(cells)])
    assert len(READERS[suffix](path)) == len(cells)
    assert [int(row["n"]) for row in read_rows(path)] == list(range(len(cells)))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("type", ["string", "float64", "bool", "int64"])
def test_a_type_that_does_not_fit_keeps_nothing_from_being_written(
    tmp_path: Path, suffix: str, type: str
) -> None:
    path = tmp_path / f"table{suffix}"
    for value in VALUES.values():
        write_rows(path, ["n", "v"], [{"n": 1, "v": value}], {"v": type})
        assert len(READERS[suffix](path)) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_half_a_character_is_an_escape_and_a_remark_says_where(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    remarks = write_rows(path, ["a", "b"], [{"a": "whole", "b": HALF}, {"a": HALF, "b": [HALF]}])
    (remark,) = remarks
    assert "(3 cells: " in remark
    assert all(f"row {row}, column {name!r}" in remark for row, name in ((1, "b"), (2, "a"), (2, "b")))
    assert remark.startswith(f"{path}: half of a surrogate pair")
    rows = list(read_rows(path))
    assert rows[0]["b"] == (HALF if "json" in suffix else "half of \\ud83d")
    assert write_rows(path, ["a"], [{"a": "größer 😀"}]) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_of_columns_may_have_half_a_character_and_stay_apart(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    names = [HALF, "half of \\ud83d", "half of \\ud83d_2", "", "a\0b", "a,b"]
    remarks = write_rows(path, names, [{name: str(number) for number, name in enumerate(names)}])
    assert any("the name of the column" in each for each in remarks)
    (row,) = read_rows(path)
    assert list(row.values()) == [str(number) for number in range(len(names))]
    assert len(READERS[suffix](path)) == 1


CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary()
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner),
)


@settings(suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "c\ud800"]), CELLS), max_size=8),
    st.sampled_from(SUFFIXES),
)
def test_any_rows_are_written(tmp_path: Path, rows: list[dict[str, Any]], suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    write_rows(path, ["n", "a", "b", "c\ud800"], [{"n": 0, **row} for row in rows])
    assert len(READERS[suffix](path)) == len(rows)


def odd() -> list[Any]:
    """Outputs that an API may give: JSON of any kind."""
    return [
        HALF,
        [HALF],
        {HALF: HALF},
        "a\0b",
        10**30,
        1.5,
        True,
        None,
        "x" * 100_000,
        [[]],
        {},
        [{}],
        ["a", 1],
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_map_writes_whatever_a_model_gives_and_a_table_has(
    invoke: Invoke, tmp_path: Path, suffix: str
) -> None:
    @default().model("acme/odd")
    def give(n: int) -> Any:
        if n == len(odd()):
            raise ValueError(HALF)
        return odd()[n]

    table, out, page = tmp_path / "t.jsonl", tmp_path / f"out{suffix}", tmp_path / "page.html"
    rows = [{"n": n, f"note {HALF}": HALF, "deep": {HALF: [n]}} for n in range(len(odd()) + 1)]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = invoke("map", "acme/odd", table, "-i", "n=n", "--out", out, "--gallery", page)
    assert result.exit_code == 3, result.output
    assert "half of a surrogate pair" in result.stderr
    assert "the name of the column" in result.stderr
    assert len(READERS[suffix](out)) == len(rows)
    assert "half of \\ud83d" in page.read_text("utf-8")
    exported = tmp_path / f"export{suffix}"
    told = invoke("journal", "export", tmp_path / "t.journal.sqlite", exported)
    assert (told.exit_code, len(READERS[suffix](exported))) == (0, len(rows))
    assert "half of a surrogate pair" in told.stderr


def test_a_row_that_cannot_be_sent_is_shown_with_its_reason(invoke: Invoke, tmp_path: Path) -> None:
    table = tmp_path / "t.jsonl"
    table.write_text("".join(json.dumps({"prompt": each}) + "\n" for each in (HALF, "sea")))
    before = default().created
    for refused in (invoke("map", "demo/poet", table), invoke("map", "demo/poet", table, "--dry-run")):
        assert (refused.exit_code, default().created) == (2, before)
        assert "row 1:\n- input.prompt has half of a surrogate pair, \\ud83d" in refused.output
    out, page = tmp_path / "out.csv", tmp_path / "page.html"
    told = invoke("map", "demo/poet", table, "--skip-invalid", "--out", out, "--gallery", page)
    assert told.exit_code == 3
    first, second = read_rows(out)
    assert (first["prompt"], first["status"], second["status"]) == ("half of \\ud83d", "invalid", "succeeded")
    assert str(first["error"]).startswith("- input.prompt has half of a surrogate pair")
    assert "half of \\ud83d" in page.read_text("utf-8")


def test_a_table_whose_name_is_no_text_is_read_and_its_results_are_told(
    invoke: Invoke, tmp_path: Path
) -> None:
    table = tmp_path / b"caf\xe9.csv".decode("utf-8", "surrogateescape")
    try:
        table.write_text("prompt\nsea\n")
    except OSError:
        pytest.skip("this file system knows texts only")
    assert invoke("map", "demo/poet", table, "--gallery", tmp_path / "page.html").exit_code == 0
    for arguments in ((), ("--json",)):
        assert invoke("map", "demo/poet", table, *arguments).exit_code == 0
        assert invoke("journal", "list", table.with_suffix(".journal.sqlite"), *arguments).exit_code == 0
    assert table.with_name(f"{table.stem}-results.csv").is_file()


def test_a_journal_that_holds_halves_is_exported(invoke: Invoke, tmp_path: Path) -> None:
    journal, table = tmp_path / "j.sqlite", tmp_path / "t.csv"
    table.write_text("prompt\nsea\n")
    invoke("map", "demo/poet", table, "--journal", journal)
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE items SET output = ?, error = ?", ('{"a": "\\ud83d"}', '{"message": "\\ud83d"}'))
    for suffix in SUFFIXES:
        assert invoke("journal", "export", journal, tmp_path / f"out{suffix}").exit_code == 0
        (row,) = read_rows(tmp_path / f"out{suffix}")
        assert json.loads(row["output"]) == {"a": "\ud83d"}
