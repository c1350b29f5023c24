"""Results that cannot be written cost nothing: the run goes on, its journal keeps all, and it is said how to get it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from replicate_kit import Client
from replicate_kit._files import atomic
from replicate_kit.cli import _show
from replicate_kit.cli._tables import tables
from replicate_kit.cli._tables.tables import read_rows, write_rows
from replicate_kit.simulator import Simulator, default

pytestmark = pytest.mark.slow  # a large family

Invoke = Callable[..., Result]
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
ROWS = 6


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_rows(tmp_path / "t.csv", ["n"], [{"n": str(n)} for n in range(ROWS)])
    return tmp_path / "t.csv"


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Have something happen while the third row runs."""

    def arrange(happen: Callable[[], None]) -> None:
        @default().model("acme/double")
        def double(n: int) -> int:
            if n == 2:
                happen()
            return 2 * n

    return arrange


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def check_lost_nothing(invoke: Invoke, table: Path, out: Path, result: Result) -> None:
    """What was paid for is in the journal; what the message says to do gives it, without paying again."""
    before = default().created
    journal = table.with_name("t.journal.sqlite")
    assert result.exit_code == 1, result.output
    assert f"{out} could not be written" in result.stderr
    assert f"the journal {journal} keeps it" in result.stderr
    assert not out.is_file()
    other, exported = table.with_name("other.csv"), table.with_name("exported.csv")
    assert invoke("map", "acme/double", table, "--out", other).exit_code == 0
    assert f"replicate-kit journal export {journal} " in result.stderr
    assert invoke("journal", "export", journal, exported).exit_code == 0
    for path in (other, exported):
        assert sorted(int(row["output"]) for row in read_rows(path)) == [2 * n for n in range(ROWS)]
    assert default().created == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_that_is_full_stops_no_run(
    invoke: Invoke, table: Path, during: Any, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    during(lambda: None)
    out, before = table.with_name(f"out{suffix}"), default().created

    def some(file: Any, names: Any, rows: Any, *_: Any) -> None:
        for _ in range(3):
            next(rows)
        full()

    monkeypatch.setitem(tables._WRITERS, suffix, some)  # type: ignore[attr-defined,arg-type]
    result = invoke("map", "acme/double", table, "--out", out, "--concurrency", "1")
    assert default().created - before == ROWS
    assert "The run goes on" in result.stderr
    assert "No space left on device" in result.stderr
    assert f"{ROWS} rows: {ROWS} succeeded" in result.stdout
    assert f"wrote {out}" not in result.stdout
    monkeypatch.undo()
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    check_lost_nothing(invoke, table, out, result)


@pytest.mark.parametrize(
    "failure", [MemoryError(), RuntimeError("odd"), UnicodeError("odd"), PermissionError(13, "denied")]
)
def test_whatever_else_fails_in_writing_stops_no_run(
    invoke: Invoke, table: Path, during: Any, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    during(lambda: None)
    out = table.with_name("out.csv")

    def fail(*_: Any) -> None:
        raise failure

    monkeypatch.setitem(tables._WRITERS, ".csv", fail)  # type: ignore[attr-defined,arg-type]
    result = invoke("map", "acme/double", table, "--out", out, "--json")
    assert json.loads(result.stdout)["succeeded"] == ROWS
    assert json.loads(result.stdout)["out"] is None
    monkeypatch.undo()
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    check_lost_nothing(invoke, table, out, result)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_cannot_take_its_place_costs_nothing(
    invoke: Invoke, table: Path, during: Any, suffix: str
) -> None:
    out = table.with_name(f"out{suffix}")
    during(lambda: out.mkdir(exist_ok=True))
    result = invoke("map", "acme/double", table, "--out", out, "--concurrency", "1")
    check_lost_nothing(invoke, table, out, result)
    assert not [each for each in table.parent.iterdir() if each.suffix == ".part"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("removed", ["the file", "the folder"])
def test_a_file_or_folder_that_is_removed_meanwhile_is_made_again(
    invoke: Invoke, table: Path, during: Any, suffix: str, removed: str
) -> None:
    folder = table.with_name("results")

    def remove() -> None:
        if removed == "the folder":
            shutil.rmtree(folder)
        else:
            for each in folder.iterdir():
                each.unlink()

    during(remove)
    out = folder / f"out{suffix}"
    assert invoke("map", "acme/double", table, "--out", out, "--concurrency", "1").exit_code == 0
    assert [int(row["output"]) for row in read_rows(out)] == [2 * n for n in range(ROWS)]
    assert [each.name for each in folder.iterdir()] == [out.name]


def test_a_folder_that_becomes_a_file_costs_nothing(invoke: Invoke, table: Path, during: Any) -> None:
    folder = table.with_name("results")

    def replace() -> None:
        shutil.rmtree(folder)
        folder.write_text("a file")

    during(replace)
    out = folder / "out.csv"
    result = invoke("map", "acme/double", table, "--out", out, "--concurrency", "1")
    check_lost_nothing(invoke, table, out, result)


@pytest.mark.parametrize("change", ["", "n\n", "n\n1\n", "n,m\n1\n", '{"n": 1}\n'])
def test_a_table_that_is_changed_meanwhile_stops_no_run(
    invoke: Invoke, table: Path, during: Any, change: str
) -> None:
    text, before = table.read_text(), default().created
    during(lambda: _write(table, change))
    result = invoke("map", "acme/double", table, "--concurrency", "1")
    assert default().created - before == ROWS
    assert (result.exit_code, "was changed" in result.stderr or "cells as the header" in result.stderr) == (
        1,
        True,
    )
    table.write_text(text)
    assert invoke("map", "acme/double", table).exit_code == 0
    assert default().created - before == ROWS


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def test_a_page_that_cannot_be_written_leaves_the_results(
    invoke: Invoke, table: Path, during: Any, tmp_path: Path
) -> None:
    page, out = tmp_path / "page.html", tmp_path / "out.csv"
    during(lambda: page.mkdir(exist_ok=True))
    result = invoke("map", "acme/double", table, "--out", out, "--gallery", page)
    assert result.exit_code == 1
    assert f"{page} could not be written" in result.stderr
    assert f"wrote {out}" in result.stdout
    assert len(list(read_rows(out))) == ROWS


def test_results_that_cannot_be_written_leave_the_page(
    invoke: Invoke, table: Path, during: Any, tmp_path: Path
) -> None:
    page, out = tmp_path / "page.html", tmp_path / "out.csv"
    during(lambda: out.mkdir(exist_ok=True))
    result = invoke("map", "acme/double", table, "--out", out, "--gallery", page)
    assert result.exit_code == 1
    assert f"wrote {page}" in result.stdout
    assert page.read_text("utf-8").count("<article") == ROWS


def test_what_is_there_already_stays_where_new_results_cannot_be_written(
    invoke: Invoke, table: Path, during: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    during(lambda: None)
    out = tmp_path / "out.csv"
    out.write_text("of yesterday")
    monkeypatch.setattr(atomic.os, "replace", full)
    assert invoke("map", "acme/double", table, "--out", out, "--force").exit_code == 1
    assert out.read_text() == "of yesterday"


def test_an_export_that_cannot_be_written_says_so(
    invoke: Invoke, table: Path, during: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    during(lambda: None)
    invoke("map", "acme/double", table)
    monkeypatch.setattr(atomic.os, "replace", full)
    result = invoke("journal", "export", tmp_path / "t.journal.sqlite", tmp_path / "all.csv")
    assert result.exit_code == 1
    assert "could not be written (No space left on device). The journal is as it was." in result.stderr


def test_an_output_that_cannot_be_printed_names_its_prediction() -> None:
    with Client("token", base_url="http://127.0.0.1:9/v1") as client:
        prediction = client.predictions.load({"id": "abc", "status": "succeeded"})
        with pytest.raises(OSError, match="No space") as failed, _show.found_again(prediction):
            full()
    assert "replicate-kit predictions get abc" in failed.value.__notes__[0]
    with pytest.raises(OSError, match="No space") as failed, _show.found_again():
        full()
    assert "replicate-kit predictions list" in failed.value.__notes__[0]


def test_what_the_mock_gave_and_could_not_print_is_not_to_be_had_again() -> None:
    with Client(backend=Simulator()) as client:
        prediction = client.predictions.load({"id": "abc", "status": "succeeded"})
        with pytest.raises(OSError, match="No space") as failed, _show.found_again(prediction):
            full()
    assert not getattr(failed.value, "__notes__", ())
