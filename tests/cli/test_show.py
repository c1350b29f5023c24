"""What is printed, for people and for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click
import pytest

from replicate_kit.cli import _show

ROWS = [("abc", "succeeded", None), ("x\ty\nz", "failed", 1.5)]


def test_programs_read_a_line_a_row_with_a_tab_between_cells(capsys: pytest.CaptureFixture[str]) -> None:
    _show.print_table(("id", "status", "seconds"), ROWS)
    assert capsys.readouterr().out == "abc\tsucceeded\t\nx y z\tfailed\t1.5\n"


def test_people_read_a_table_with_a_header(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _show.print_table(("id", "status", "seconds"), [*ROWS, ("[bold]", "", "")])
    header, *rows = [line for line in click.unstyle(capsys.readouterr().out).splitlines() if line.strip()]
    assert header.split() == ["id", "status", "seconds"]
    assert any("[bold]" in row for row in rows)  # markup of the cells' own is text


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard output is a terminal, as wide as COLUMNS says."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _show.console.cache_clear()
    yield
    _show.console.cache_clear()


@pytest.mark.usefixtures("terminal")
def test_long_texts_are_cut_to_a_line_of_a_terminal() -> None:
    assert _show.short("a\nb") == "a b"
    assert _show.short("x" * 100, 10) == "xxxxxxxxx…"


def test_programs_get_whole_texts_and_exact_times(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    assert _show.short("x" * 100, 10) == "x" * 100
    _show.print_table(("id", "created", "text"), [("abc", at, "y" * 500)])
    _show.print_facts([("created", at), ("error", None)])
    assert (
        capsys.readouterr().out
        == f"abc\t2026-01-02T03:04:05.678000Z\t{'y' * 500}\ncreated\t{at:%FT%T}.678000Z\nerror\t\n"
    )


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("width", [1, 10, 25, 40, 80, 200])
@pytest.mark.parametrize("columns", [1, 2, 5])
def test_no_terminal_is_too_narrow_for_an_id(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    ids = ["kf0z945m9qbpcrmw03fypt6kh1", "a" * 40]
    rows = [(id, *["words of a text"] * (columns - 1)) for id in ids]
    _show.print_table(tuple("abcde"[:columns]), rows)
    _show.print_facts([("id", ids[0]), ("version", "b" * 64)])
    shown = click.unstyle(capsys.readouterr().out)
    assert all(each in shown for each in (*ids, "b" * 64))
    assert "…" not in shown
    if columns > 1:  # what stands beside them is read in words, and not letter by letter
        assert shown.count("words") == shown.count("text") == len(ids) * (columns - 1)


@pytest.mark.parametrize(
    ("length", "words"),
    [(5, "5 s ago"), (125, "2 min ago"), (7300, "2 h ago"), (200_000, "2 d ago"), (-9, "0 s ago")],
)
def test_moments_are_told_as_people_do(length: int, words: str) -> None:
    assert _show.ago(datetime.now(UTC) - timedelta(seconds=length)) == words
    assert _show.ago(None) == ""
