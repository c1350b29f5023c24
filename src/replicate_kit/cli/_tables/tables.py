"""Tables of rows in files: CSV, TSV, JSON lines and Parquet, read and written by rows; spreadsheets, read."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import TextIOWrapper
from itertools import dropwhile
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeAlias

import click

from replicate_kit._files.atomic import open_replacing
from replicate_kit.cli._cells import (
    HALF,
    Remarks,
    as_json,
    as_plain_text,
    has_half,
    json_of,
    written,
    written_names,
)
from replicate_kit.cli._tables.parquet import import_parquet, read_parquet, read_types, write_parquet
from replicate_kit.cli._tables.spreadsheets import (
    HEADER,
    SPREADSHEETS,
    name_sheet,
    read_sheet,
    remark_on_sheet,
)
from replicate_kit.cli._tables.unreadable import TableError, not_text, ragged
from replicate_kit.cli._values import loads
from replicate_kit.tables._columns import is_null

__all__ = [
    "Row",
    "Write",
    "advise_on_columns",
    "check_format",
    "name_results",
    "open_table",
    "read_columns",
    "read_rows",
    "remark_on_table",
    "write_rows",
]

_ONE_A_LINE = 'Each line is to be one object on its own, such as {"prompt": "a wombat"}.'

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = Iterable[Mapping[str, Any]]
Types: TypeAlias = Mapping[str, Any]
Names: TypeAlias = Mapping[str, str]
Write: TypeAlias = Callable[[Iterable[str], Rows, Types, Remarks], list[str]]


def check_format(path: Path) -> str:
    """Tell how a table is written, by its name's end; a usage error for one that is not known."""
    suffix = path.suffix.lower()
    if suffix in SPREADSHEETS:
        raise click.UsageError(
            f"{path}: spreadsheets are read and not written. Name a table that ends in {', '.join(_WRITERS)}."
        )
    return _known(path, _WRITERS)


def _known(path: Path, formats: Iterable[str]) -> str:
    """Tell the format of a table, which is to be one of these."""
    suffix = path.suffix.lower()
    if suffix not in formats:
        raise click.UsageError(f"{path}: tables end in {', '.join(formats)}, not in {suffix or 'nothing'}.")
    if suffix == ".parquet":
        import_parquet()
    return suffix


def read_rows(path: Path, sheet: str | None = None) -> Generator[Row]:
    """Give the rows of a table as dicts; an empty cell is None. `sheet` is that of a spreadsheet, or the first."""
    return _READERS[_known(path, _READERS)](path, **_chosen(path, sheet))


def remark_on_table(path: Path, sheet: str | None = None) -> list[str]:
    """Say what nobody asked for and should know of a table that is read, a line for each."""
    return remark_on_sheet(path, sheet) if path.suffix.lower() in SPREADSHEETS else []


def advise_on_columns(path: Path) -> str:
    """Say, as a sentence after others, where the names of columns come from if that may surprise."""
    return f" {HEADER}" if path.suffix.lower() in SPREADSHEETS else ""


def _chosen(path: Path, sheet: str | None) -> dict[str, str]:
    """What the reader of a format is told of the sheet; a usage error where there are none."""
    if sheet is None:
        return {}
    if path.suffix.lower() not in SPREADSHEETS:
        raise click.UsageError(
            f"--sheet is for spreadsheets ({', '.join(SPREADSHEETS)}), and {path} is none. Leave it out."
        )
    return {"sheet": sheet}


def read_columns(path: Path, sheet: str | None = None) -> dict[str, Any]:
    """Name the columns of a table, each with its type if the file has one; `sheet` is as that of `read_rows`.

    Those of JSON lines are known when all rows were read. Raises `TableError` if two have one name.
    """
    names = _NAMERS[_known(path, _READERS)](path, **_chosen(path, sheet))
    if double := [name for name, count in Counter(name for name, _ in names).items() if count > 1]:
        positions = [str(position) for position, (name, _) in enumerate(names, 1) if name == double[0]]
        raise TableError(
            f"{path} has several columns named {double[0]!r} ({', '.join(positions)} of {len(names)}). Rename all "
            "but one."
        )
    return dict(names)


def write_rows(
    path: Path,
    columns: Iterable[str],
    rows: Rows,
    types: Types | None = None,
    remarks: Remarks | None = None,
    *,
    escape_formulas: bool = False,
) -> list[str]:
    """Write rows as a table, whole or not at all; `types` are those of columns in Parquet, as far as known.

    Whatever a cell holds can be written. Gives a line for each kind of thing that was not written as it is; `remarks`
    are those that there are before. With `escape_formulas` no cell of a CSV or TSV is a formula to spreadsheets.
    """
    with open_table(path, escape_formulas=escape_formulas) as write:
        return write(columns, rows, types or {}, remarks or Remarks())


def name_results(table: Path) -> Path:
    """Name the table of results beside a table, of its format if that is one that is written."""
    suffix = ".csv" if table.suffix.lower() in SPREADSHEETS else table.suffix
    return table.with_name(f"{table.stem}-results{suffix}")


@contextmanager
def open_table(path: Path, *, escape_formulas: bool = False) -> Iterator[Write]:
    """Open a table to be written, before there are rows; give what writes them, as `write_rows` does."""
    suffix = check_format(path)
    writer: Callable[..., None] = _WRITERS[suffix]
    if escape_formulas and suffix in _SEPARATED:
        writer = partial(writer, plain=as_plain_text)
    with open_replacing(path) as file:

        def write(columns: Iterable[str], rows: Rows, types: Types, remarks: Remarks) -> list[str]:
            names = written_names(columns) if suffix not in _LINES else {name: name for name in columns}
            for name, new in names.items():
                remarks.note(HALF if has_half(name) else None, f"the name of the column {new!r}")
            writer(file, names, rows, types, remarks)
            return remarks.lines(path)

        yield write


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


def _name_csv(path: Path, delimiter: str = ",") -> list[tuple[str, Any]]:
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


def _name_lines(path: Path) -> list[tuple[str, Any]]:
    """Gather the keys of all rows: what only a late one has must not be lost."""
    return list(dict.fromkeys((name, None) for row in _read_lines(path) for name in row))


def _read_csv(path: Path, delimiter: str = ",") -> Generator[Row]:
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


def _read_lines(path: Path) -> Generator[Row]:
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


def _write_csv(
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


def _write_lines(file: BinaryIO, names: Names, rows: Rows, _: Types, remarks: Remarks) -> None:
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


_READERS: Mapping[str, Callable[..., Generator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": partial(_read_csv, delimiter="\t"),
    ".jsonl": _read_lines,
    ".ndjson": _read_lines,
    ".parquet": read_parquet,
    **dict.fromkeys(SPREADSHEETS, read_sheet),
}
_NAMERS: Mapping[str, Callable[..., Sequence[tuple[str, Any]]]] = {
    ".csv": _name_csv,
    ".tsv": partial(_name_csv, delimiter="\t"),
    ".jsonl": _name_lines,
    ".ndjson": _name_lines,
    ".parquet": read_types,
    **dict.fromkeys(SPREADSHEETS, name_sheet),
}
_LINES = (".jsonl", ".ndjson")
_SEPARATED = (".csv", ".tsv")
_WRITERS: Mapping[str, Callable[[BinaryIO, Names, Rows, Types, Remarks], None]] = {
    ".csv": _write_csv,
    ".tsv": partial(_write_csv, delimiter="\t"),
    ".jsonl": _write_lines,
    ".ndjson": _write_lines,
    ".parquet": write_parquet,
}
