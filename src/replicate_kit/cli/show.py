"""What is printed: tables for people, tab-separated lines for programs, JSON on request."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["STATUS_COLORS", "ago", "console", "notes", "print_json", "print_table", "short"]

STATUS_COLORS = {
    "succeeded": "green",
    "failed": "red",
    "canceled": "yellow",
    "aborted": "yellow",
    "processing": "cyan",
    "starting": "cyan",
}
"""The color of each status; anything else has none."""


@functools.cache
def console() -> Console:
    """Where results go: standard output."""
    from rich.console import Console

    return Console(highlight=False)


@functools.cache
def notes() -> Console:
    """Where progress and remarks go: standard error, so that output can be piped."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Print a value as JSON; what JSON lacks as its text."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows as a table on a terminal, and as tab-separated lines where a program reads them."""
    if sys.stdout.isatty():
        _print_rich(columns, rows)
        return
    for row in rows:
        click.echo("\t".join(" ".join(_plain(cell).split()) for cell in row))


def _print_rich(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table as wide as the terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_plain(cell), style=STATUS_COLORS.get(str(cell), "")) for cell in row))
    console().print(table)


def _plain(cell: object) -> str:
    """One cell as text."""
    return "" if cell is None else str(cell)


def short(text: object, width: int = 60) -> str:
    """Put a text on one line of at most `width` characters."""
    line = " ".join(_plain(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"


def ago(moment: datetime | None) -> str:
    """Say how long ago something was, as people do."""
    if moment is None:
        return ""
    seconds = max((datetime.now(moment.tzinfo) - moment).total_seconds(), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
