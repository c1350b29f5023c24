"""What is printed, for people and for programs."""

from __future__ import annotations

import sys
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


def test_long_texts_are_cut_to_a_line() -> None:
    assert _show.short("a\nb") == "a b"
    assert _show.short("x" * 100, 10) == "xxxxxxxxx…"


@pytest.mark.parametrize(
    ("length", "words"),
    [(5, "5 s ago"), (125, "2 min ago"), (7300, "2 h ago"), (200_000, "2 d ago"), (-9, "0 s ago")],
)
def test_moments_are_told_as_people_do(length: int, words: str) -> None:
    assert _show.ago(datetime.now(UTC) - timedelta(seconds=length)) == words
    assert _show.ago(None) == ""
