"""`replicate-kit map` in a pipe: a table on standard input, results on standard output, and nothing else there."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from replicate_kit.cli import cli
from replicate_kit.cli._tables.tables import read_rows, write_rows
from replicate_kit.simulator import default
from tests.spreadsheets import write_xlsx

Invoke = Callable[..., Result]

ROWS = [{"prompt": "sea"}, {"prompt": "größer"}]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")


def pipe(content: bytes, *arguments: object) -> Result:
    """Run it with a table on standard input."""
    given = ["map", "demo/poet", *(str(each) for each in arguments)]
    return CliRunner().invoke(cli, given, input=content, catch_exceptions=False)


def rows_in(text: str) -> list[dict[str, Any]]:
    """Read what was written: JSON lines or a CSV."""
    if text.startswith("{"):
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("prompt\nsea\ngrößer\n".encode(), "csv"),
        ("prompt;b\nsea;1\ngrößer;2\n".encode("latin-1"), "csv"),
        ("prompt\tb\nsea\t1\ngrößer\t2\n".encode("utf-16"), "csv"),
        (gzip.compress("prompt\nsea\ngrößer\n".encode(), mtime=0), "csv"),
        ('{"prompt": "sea"}\n{"prompt": "größer"}\n'.encode(), "json"),
        ('\n {"prompt": "sea"}\n{"prompt": "größer"}\n'.encode("utf-16"), "json"),
        (gzip.compress('{"prompt": "sea"}\n{"prompt": "größer"}\n'.encode(), mtime=0), "json"),
    ],
    ids=["csv", "semicolons", "tabs", "csv.gz", "jsonl", "utf-16", "jsonl.gz"],
)
def test_any_table_of_text_is_read_from_standard_input(content: bytes, kind: str) -> None:
    result = pipe(content, "-")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("{") == (kind == "json")
    found = rows_in(result.stdout)
    assert [(row["prompt"], row["status"]) for row in found] == [
        ("sea", "succeeded"),
        ("größer", "succeeded"),
    ]
    assert "2 rows: 2 succeeded, 2 created" in result.stderr


@pytest.mark.parametrize("suffix", [".parquet", ".xlsx"])
def test_other_tables_are_read_from_standard_input_too(tmp_path: Path, suffix: str) -> None:
    table = tmp_path / f"t{suffix}"
    if suffix == ".xlsx":
        write_xlsx(table, {"A": [["prompt"], ["sea"], ["größer"]]})
    else:
        write_rows(table, ["prompt"], ROWS)
    found = rows_in(pipe(table.read_bytes(), "-").stdout)
    assert [row["prompt"] for row in found] == ["sea", "größer"]


@pytest.mark.parametrize(
    ("suffix", "first"), [(".csv", "prompt,"), (".tsv", "prompt\t"), (".jsonl", "{"), (".parquet", "prompt,")]
)
def test_results_go_to_standard_output_in_the_format_of_the_table(
    tmp_path: Path, suffix: str, first: str
) -> None:
    write_rows(tmp_path / f"t{suffix}", ["prompt"], ROWS)
    result = pipe(b"", tmp_path / f"t{suffix}", "-s", "lines=1", "--out", "-", "--json")
    assert result.stdout.startswith(first)
    assert result.stdout.count("\n") == (2 if first == "{" else 3)
    assert json.loads(result.stderr)["out"] == "-"
    assert not list(tmp_path.glob("*-results*"))


@pytest.mark.parametrize("options", [(), ("--out", "-")], ids=" ".join)
@pytest.mark.parametrize("fault", [("--budget", "1"), ("-i", "nope=prompt")], ids=" ".join)
def test_an_error_leaves_standard_output_to_the_results(
    fault: tuple[str, ...], options: tuple[str, ...]
) -> None:
    result = pipe(b"prompt\nsea\n", "-", *fault, *options, "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert json.loads(result.stderr.splitlines()[0])["error"]["exit_code"] == 2


def test_results_of_standard_input_go_to_a_file_that_is_named(tmp_path: Path) -> None:
    result = pipe(b"prompt\nsea\n", "-", "--out", "r.jsonl")
    assert result.stdout == "1 row: 1 succeeded, 1 created\nwrote r.jsonl\n"
    assert [row["prompt"] for row in read_rows(tmp_path / "r.jsonl")] == ["sea"]


def test_a_table_that_comes_again_is_not_paid_again(tmp_path: Path) -> None:
    for created in (1, 0):
        result = pipe(b"prompt\nsea\n", "-", "--json")
        assert json.loads(result.stderr)["created"] == created
    assert [each.name for each in tmp_path.iterdir()] == ["stdin.journal.sqlite"]


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (b"", (), "Error: standard input, line 1: there is no header."),
        (b"prompt\ncaf\x8e\n", (), "Error: standard input, line 2: not in UTF-8"),
        (b"prompt,b\nsea\n", (), "Error: standard input, line 2: the row has not as many cells"),
        (b"prompt;b,c\nsea;1,2\n", (), "Error: standard input: its cells may be separated"),
        (gzip.compress(b"prompt\n", mtime=0)[:-9], (), "Error: standard input cannot be read"),
        (b"PAR1", (), "Error: standard input cannot be read as Parquet"),
        (b"prompt\nsea\n", ("--sheet", "A"), "and standard input is none"),
        (b"lines\n2\n", ("--set", "prompt=@-"), "--set prompt=@- reads standard input, which is the table"),
        (b"prompt\nsea\n", ("--journal", "-"), "standard input and output cannot be used here"),
    ],
)
def test_what_is_wrong_with_it_is_told_by_its_name(
    content: bytes, arguments: tuple[str, ...], said: str
) -> None:
    before = default().created
    result = pipe(content, "-", *arguments)
    assert (result.exit_code, default().created) == (2, before)
    assert said in " ".join(result.stderr.split())
    assert result.stdout == ""


@pytest.mark.parametrize("option", ["--out", "--gallery"])
def test_nothing_is_written_over_the_table_that_is_piped_in(tmp_path: Path, option: str) -> None:
    table, before = tmp_path / "t.csv", default().created
    write_rows(table, ["prompt"], ROWS)
    command = [sys.executable, "-m", "replicate_kit", "map", "demo/poet", "-", option, "t.csv"]
    with table.open("rb") as given:
        ended = subprocess.run(command, stdin=given, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, default().created) == (2, before)
    assert f"{option} is the table itself (t.csv)" in ended.stderr
    assert list(read_rows(table)) == ROWS


def test_a_reader_that_leaves_stops_the_run(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.csv", ["prompt"], [{"prompt": f"sea {number}"} for number in range(3000)])
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "replicate_kit", "map", "demo/poet", "t.csv", "--out", "-"]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert ended.returncode == 1
    assert "Nobody reads the results any more, so the run stops" in ended.stderr
    assert "Traceback" not in ended.stderr
    with closing(sqlite3.connect(tmp_path / "t.journal.sqlite")) as journal:
        (found,) = journal.execute("SELECT COUNT(*) FROM items WHERE status = 'succeeded'").fetchone()
    assert found < 3000


def test_at_a_terminal_it_says_that_it_reads_from_there() -> None:
    ours, theirs = pty.openpty()
    os.write(ours, b"prompt\nsea\n\x04")
    try:
        command = [sys.executable, "-m", "replicate_kit", "map", "demo/poet", "-", "--dry-run"]
        done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False, timeout=120)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert "The table is read from this terminal. End it with Ctrl-D" in done.stderr
