"""Tables of text, read and written by rows: CSV, TSV and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from io import TextIOWrapper
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeAlias

from replicate_kit.cli._cells import Remarks, as_json, json_of, written
from replicate_kit.cli._tables.dialects import Dialect, csv_reader, open_text
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


def name_csv(path: Path, dialect: Dialect) -> list[tuple[str, Any]]:
    """Read the header."""
    with closing(_cells(path, dialect)) as rows:
        _, names = next(rows, (0, []))
    if not names:
        raise TableError(
            f"{path}, line {1 + dialect.marked}: there is no header. Name the columns in the first line of the table."
        )
    if any("\0" in name for name in names):
        raise not_text(path)
    return [(name, None) for name in names]


def name_lines(path: Path, dialect: Dialect) -> list[tuple[str, Any]]:
    """Gather the keys of all rows: what only a late one has must not be lost."""
    return list(dict.fromkeys((name, None) for row in read_lines(path, dialect) for name in row))


def read_csv(path: Path, dialect: Dialect) -> Generator[Row]:
    """Read a CSV with a header; blank lines count for nothing."""
    with closing(_cells(path, dialect)) as rows:
        _, names = next(rows, (0, []))
        for line, row in rows:
            if row and len(row) != len(names):
                raise ragged(path, line, len(row), len(names), dialect.delimiter)
            if row:
                yield {name: cell or None for name, cell in zip(names, row, strict=True)}


def _cells(path: Path, dialect: Dialect) -> Generator[tuple[int, list[str]]]:
    """Give the rows of a CSV, the header first, each with the number of its last line."""
    with open_text(path, dialect.encoding, newline="") as file:
        lines = _Lines(islice(file, dialect.marked, None))
        reader = csv_reader(lines, dialect.delimiter)
        try:
            for row in reader:
                line = reader.line_num + dialect.marked
                lines.check_quotes(path, line)
                yield line, row
        except csv.Error as error:
            raise TableError(f"{path} cannot be read: {error}.") from None


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


def read_lines(path: Path, dialect: Dialect) -> Generator[Row]:
    """Read one JSON object a line; empty lines count for nothing."""
    with open_text(path, dialect.encoding) as file:
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
