"""What is printed: tables for people, tab-separated lines for programs, JSON on request."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from replicate_kit.cli._cells import HALF, ascii_json, json_of
from replicate_kit.cli._encoding import note_half, says
from replicate_kit.cli._options import is_fleeting

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from replicate_kit.resources.predictions import Prediction

__all__ = [
    "STATUS_COLORS",
    "ago",
    "console",
    "deleted",
    "expect_json",
    "found_again",
    "is_json_expected",
    "is_output_taken",
    "notes",
    "open_page",
    "print_facts",
    "print_json",
    "print_table",
    "remarks",
    "short",
    "take_output",
    "working",
]

STATUS_COLORS = {
    "succeeded": "green",
    "failed": "red",
    "canceled": "yellow",
    "aborted": "yellow",
    "processing": "cyan",
    "starting": "cyan",
}
"""The color of each status; anything else has none."""

_NARROW = 10  # characters: a column that is narrower than its text has at least so many


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


def print_json(value: Any, *, indent: int | None = 2, err: bool = False) -> None:
    """Print a value as JSON; what JSON lacks as its text, what the encoding lacks as JSON's own escapes."""
    text, how = json_of(value, indent=indent)
    if how == HALF:
        note_half()
    click.echo(text if says(text) else ascii_json(text), err=err)
    if indent is not None and (context := click.get_current_context(silent=True)):
        context.find_root().meta["replicate_kit.json"] = False


def deleted(name: str, *, as_json: bool) -> None:
    """Say that something is no more."""
    print_json({"deleted": name}) if as_json else click.echo(f"{name} is deleted")


def expect_json(ctx: click.Context, arguments: Sequence[str]) -> None:
    """Note whether the arguments of the command line ask for JSON: also of a command whose other options are wrong."""
    ctx.meta["replicate_kit.json"] = "--json" in itertools.takewhile(lambda each: each != "--", arguments)


def is_json_expected() -> bool:
    """Whether JSON was asked for, and no document of it was printed yet."""
    return bool(click.get_current_context().find_root().meta.get("replicate_kit.json"))


def take_output() -> None:
    """Have JSON of errors go to standard error, as standard output is for the results alone."""
    click.get_current_context().find_root().meta["replicate_kit.output"] = True


def is_output_taken() -> bool:
    """Whether standard output is for the results alone."""
    return bool(click.get_current_context().find_root().meta.get("replicate_kit.output"))


@contextmanager
def found_again(prediction: Prediction | None = None) -> Iterator[None]:
    """Say, where its output cannot be printed, how to get what a prediction has given: it is paid for."""
    try:
        yield
    except OSError as error:
        # The mock's predictions end with this command, and so does a pipe that nobody reads any more.
        if prediction is None:
            error.add_note("The prediction is paid for. Find it with: replicate-kit predictions list")
        elif not is_fleeting(prediction.session):
            error.add_note(
                f"The prediction is paid for. Get its output with: replicate-kit predictions get {prediction.id} --json"
            )
        raise


def remarks(lines: Iterable[str]) -> None:
    """Print remarks, each on a line."""
    for line in lines:
        click.echo(line, err=True)


def open_page(url: object) -> None:
    """Open a page in the user's browser, and say which: there may be none here."""
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise click.ClickException("The API named no page of it, so --web opened nothing. Leave it out.")
    click.echo(f"Opening {url}", err=True)
    if click.launch(url):
        click.echo("No browser could be opened. Open the page yourself.", err=True)


def working(text: str) -> Status:
    """Show on a terminal that something is going on, by characters that it has."""
    console = notes()
    return console.status(text, spinner="dots" if console.encoding.startswith("utf") else "line")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows as a table on a terminal, and as tab-separated lines where a program reads them.

    The first column, by which something is found again, is neither cut nor broken on a terminal.
    """
    if sys.stdout.isatty():
        _print_rich(columns, rows)
        return
    for row in rows:
        click.echo("\t".join(" ".join(_plain(cell).split()) for cell in row))


def print_facts(facts: Iterable[tuple[str, object]], *, indent: str = "") -> None:
    """Print what is known of one thing, a line for each, which a terminal wraps by itself where it is long."""
    if not sys.stdout.isatty():
        print_table((), facts)
        return
    lines = list(facts)
    width = max((len(name) for name, _ in lines), default=0)
    for name, value in lines:
        text = click.style(_plain(value), fg=STATUS_COLORS.get(str(value)))
        click.echo(f"{indent}{click.style(name.ljust(width), bold=True)}  {text}")


def _print_rich(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, or, on a terminal too narrow for its columns, what is known of each row below its first cell."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    kept = [*rows]
    cells = [[Text(_plain(cell), style=STATUS_COLORS.get(str(cell), "")) for cell in row] for row in kept]
    widths = [
        max(len(column), *(row[number].cell_len for row in cells), 0) for number, column in enumerate(columns)
    ]
    # Two spaces between columns, and one at each end of a row.
    wanted = sum(widths[:1]) + sum(min(each, _NARROW) + 3 for each in widths[1:])
    if len(columns) > 1 and wanted > console().width:
        for first, *more in kept:
            click.secho(_plain(first), bold=True)
            print_facts(_known(columns[1:], more), indent="  ")
        return
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        least = widths[0] if number == 0 else min(widths[number], _NARROW)
        table.add_column(column, min_width=least, no_wrap=number == 0, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console().print(table, width=max(console().width, *widths[:1], 0), crop=False)


def _known(columns: Sequence[str], row: Sequence[object]) -> Iterator[tuple[str, object]]:
    """The cells of a row in which something is."""
    return ((name, cell) for name, cell in zip(columns, row, strict=True) if cell not in (None, ""))


def _plain(cell: object) -> str:
    """One cell as text: a time as people tell it on a terminal, and as ISO 8601 has it elsewhere."""
    if isinstance(cell, datetime):
        return ago(cell) if sys.stdout.isatty() else cell.isoformat().replace("+00:00", "Z")
    return "" if cell is None else str(cell)


def short(text: object, width: int = 60) -> str:
    """Put a text on one line, on a terminal of at most `width` characters; programs get all of it."""
    line = " ".join(_plain(text).split())
    return line if len(line) <= width or not sys.stdout.isatty() else line[: width - 1] + "…"


def ago(timestamp: datetime | None) -> str:
    """Say how long ago something was, as people do."""
    if timestamp is None:
        return ""
    seconds = max((datetime.now(timestamp.tzinfo) - timestamp).total_seconds(), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
