"""A table on standard input, kept in a file while a command runs: a table is read more than once."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from replicate_kit.cli._tables.compressed import GZIP, open_bytes
from replicate_kit.cli._tables.unreadable import is_compressed, kind_of_spreadsheet

__all__ = ["INPUT", "OUTPUT", "is_input", "named", "table_of"]

INPUT, OUTPUT = "standard input", "standard output"
_PREFIX = "replicate-kit-stdin-"
_FILE = re.compile(rf"\S*{_PREFIX}\w+[/\\]+table[.\w]*\b")
_PARQUET = b"PAR1"  # how its files begin (its format's specification)
_BEFORE_AN_OBJECT = b"\0\xef\xbb\xbf\xff\xfe \t\r\n"  # byte order marks, what else UTF-16 has, and spaces


@contextmanager
def table_of(given: Path | str) -> Iterator[Path]:
    """Give the file of a table; that of standard input, which is any text here, is gone afterwards.

    Errors name what was given.
    """
    if isinstance(given, Path):
        yield given
        return
    with TemporaryDirectory(prefix=_PREFIX) as folder:
        try:
            yield _kept(Path(folder))
        except click.ClickException as error:
            vars(error)["message"] = named(error.message)  # which is final, says click
            raise


def is_input(path: Path) -> bool:
    """Whether a file is the one that standard input is read from."""
    try:
        return os.path.samestat(os.fstat(sys.stdin.fileno()), path.stat())
    except (OSError, ValueError, AttributeError):
        return False


def named(text: str) -> str:
    """Call standard input so in a text, and not by the file that it is kept in."""
    return _FILE.sub(INPUT, text)


def _kept(folder: Path) -> Path:
    """Write standard input to a file, whose name says what it is."""
    path = folder / "table"
    if sys.stdin is None:
        raise click.UsageError("Standard input is closed. Name a table, or pipe one in.")
    if sys.stdin.isatty():
        end = "Ctrl-Z and Enter" if os.name == "nt" else "Ctrl-D"
        click.echo(f"The table is read from this terminal. End it with {end} on a line of its own.", err=True)
    with path.open("wb") as file:
        if sys.stdin.isatty():
            # Whoever reads it in parts sees the end only when it is typed twice.
            file.write(sys.stdin.buffer.read())
        else:
            shutil.copyfileobj(sys.stdin.buffer, file)
    packed = GZIP if is_compressed(path) else ""
    path = path.rename(path.with_name(f"table{packed}"))
    return path.rename(path.with_name(f"table{_format(path)}{packed}"))


def _format(path: Path) -> str:
    """Tell the format of a table by how it begins; what is nothing else is a CSV, whatever stands between its cells."""
    with open_bytes(path) as file:
        head = file.read(4096)
    if head.startswith(_PARQUET):
        return ".parquet"
    if head.lstrip(_BEFORE_AN_OBJECT).startswith(b"{"):
        return ".jsonl"
    return kind_of_spreadsheet(path) or ".csv"
