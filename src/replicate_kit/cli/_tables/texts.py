"""Tables of text, read and written by rows: CSV, TSV and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from itertools import dropwhile
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeAlias

from replicate_kit.cli._cells import Remarks, as_json, json_of, written
from replicate_kit.cli._tables.unreadable import TableError, not_text, ragged
from replicate_kit.cli._values import loads
from replicate_kit.tables._columns import is_null

__all__ = [
    "Names",
    "Row",
    "Rows",
    "Types",
    "name_csv",
    "name_lines",
    "read_csv",
    "read_lines",
    "write_csv",
    "write_lines",
]

_ONE_A_LINE = 'Each line is to be one object on its own, such as {"prompt": "a wombat"}.'

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = Iterable[Mapping[str, Any]]
Types: TypeAlias = Mapping[str, Any]
Names: TypeAlias = Mapping[str, str]


@contextmanager
def _text(file: BinaryIO, newline: str) -> Iterator[TextIO]:
    """Write text to a file, and leave it open."""
    text = TextIOWrapper(file, encoding="utf-8", newline=newline)
    try:
        yield text
    except BaseException:
        with suppress(OSError):  # of what is left to write, which must not hide what went wrong
            text.detach()
        raise
    text.detach()


@contextmanager
def _opened(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a file of text; spreadsheets put a byte order mark before it."""
    try:
        with open(path, encoding="utf-8-sig", newline=newline) as file:
            yield file
    except UnicodeDecodeError:
        raise not_text(path) from None
    except csv.Error as error:
        raise TableError(f"{path} cannot be read: {error}.") from None


def name_csv(path: Path, delimiter: str = ",") -> list[tuple[str, Any]]:
    """Read the header."""
    with _opened(path, newline="") as file:
        lines = _Lines(file)
        reader = csv.reader(lines, delimiter=delimiter)
        names = next(reader, [])
        lines.check_quotes(path, reader.line_num)
    if not names:
        raise TableError(
            f"{path}, line 1: there is no header. Name the columns in the first line of the table."
        )
    if any("\0" in name for name in names):
        raise not_text(path)
    return [(name, None) for name in names]


def name_lines(path: Path) -> list[tuple[str, Any]]:
    """Gather the keys of all rows: what only a late one has must not be lost."""
    return list(dict.fromkeys((name, None) for row in read_lines(path) for name in row))


def read_csv(path: Path, delimiter: str = ",") -> Generator[Row]:
    """Read a CSV with a header."""
    csv.field_size_limit(2**31 - 1)  # a cell may well hold a picture as a data URL
    with _opened(path, newline="") as file:
        lines = _Lines(file)
        reader = csv.DictReader(lines, delimiter=delimiter)
        reader.fieldnames  # noqa: B018 - reads the header, so that its lines are not taken for those of a row
        lines.check_quotes(path, reader.line_num)
        for row in reader:
            lines.check_quotes(path, reader.line_num)
            if None in row or None in row.values():
                cells = [each for name, each in row.items() if name is not None and each is not None]
                more: Any = row.get(None, ())
                raise ragged(path, reader.line_num, len(cells) + len(more), len(reader.fieldnames or ()))
            yield {name: cell if cell != "" else None for name, cell in row.items()}


class _Lines:
    """The lines of a CSV, which remembers those of one row and whether they are the last."""

    def __init__(self, file: Iterable[str]) -> None:
        self._file, self._row, self._ended = iter(file), list[str](), False

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self._row.append(line)
            yield line
        self._ended = True

    def check_quotes(self, path: Path, last: int) -> None:
        """Raise where a row goes on to the end of the file, since a quote in it is not closed.

        Only such a row makes the reader look for a line after the last one. Blank lines before it are not part of it.
        """
        row, self._row = list(dropwhile(lambda line: not line.strip("\r\n"), self._row)), []
        if self._ended and row:
            raise TableError(
                f'{path}, line {last - len(row) + 1}: a cell begins with a quote (") that is not closed, so that the '
                'rest of the file would be in it. Close it, or write "" for a quote that is text.'
            )


def read_lines(path: Path) -> Generator[Row]:
    """Read one JSON object a line; empty lines count for nothing."""
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _object(path, number, line)


def _object(path: Path, number: int, line: str) -> Row:
    """Read one line."""
    try:
        found = loads(line.rstrip())
    except ValueError as error:
        if "\0" in line:
            raise not_text(path) from None
        reason = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
        raise TableError(f"{path}, line {number}: not JSON ({reason}). {_ONE_A_LINE}") from None
    if not isinstance(found, dict):
        raise TableError(f"{path}, line {number}: not a JSON object. {_ONE_A_LINE}")
    return found


def write_csv(
    file: BinaryIO,
    names: Names,
    rows: Rows,
    _: Types,
    remarks: Remarks,
    delimiter: str = ",",
    plain: Callable[[Any], Any] = lambda cell: cell,
) -> None:
    """Write a CSV; what is no single value is JSON in it, and `plain` is asked for what else a cell shall be."""
    with _text(file, newline="") as text:
        writer = csv.writer(text, delimiter=delimiter)
        writer.writerow(map(plain, names.values()))
        for number, row in enumerate(rows, 1):
            cells = []
            for name in names:
                cell, how = written(row.get(name))
                if how is not None:
                    remarks.note(how, f"row {number}, column {name!r}")
                cells.append(plain(cell))
            writer.writerow(cells)


def write_lines(file: BinaryIO, names: Names, rows: Rows, _: Types, remarks: Remarks) -> None:
    """Write one JSON object a line."""
    keys = {name: as_json(name) for name in names}
    with _text(file, newline="\n") as text:
        for number, row in enumerate(rows, 1):
            cells = []
            for name, key in keys.items():
                cell = row.get(name)
                value, how = json_of(None if is_null(cell) else cell)
                if how is not None:
                    remarks.note(how, f"row {number}, column {name!r}")
                cells.append(f"{key}: {value}")
            text.write(f"{{{', '.join(cells)}}}\n")
