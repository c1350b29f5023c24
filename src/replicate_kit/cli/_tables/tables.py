"""Tables of rows in files: CSV, TSV, JSON lines (gzipped or not) and Parquet, read and written; spreadsheets, read."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import click

from replicate_kit._files.atomic import open_replacing
from replicate_kit.cli._cells import HALF, Remarks, as_plain_text, has_half, written_names
from replicate_kit.cli._tables.compressed import GZIP, compressing, split_name
from replicate_kit.cli._tables.dialects import Dialect, found_dialect
from replicate_kit.cli._tables.parquet import import_parquet, read_parquet, read_types, write_parquet
from replicate_kit.cli._tables.spreadsheets import (
    HEADER,
    SPREADSHEETS,
    name_sheet,
    read_sheet,
    remark_on_sheet,
)
from replicate_kit.cli._tables.standard import OUTPUT
from replicate_kit.cli._tables.texts import (
    Names,
    Row,
    Rows,
    Types,
    name_csv,
    name_lines,
    read_csv,
    read_lines,
    write_csv,
    write_lines,
)
from replicate_kit.cli._tables.unreadable import TableError

__all__ = [
    "Reading",
    "Row",
    "Write",
    "advise_on_columns",
    "check_format",
    "name_results",
    "open_output",
    "open_table",
    "read_columns",
    "read_rows",
    "remark_on_table",
    "write_rows",
]

Write: TypeAlias = Callable[[Iterable[str], Rows, Types, Remarks], list[str]]


def check_format(path: Path) -> str:
    """Tell how a table is written, by its name's end; a usage error for one that is not known."""
    if _suffix(path) in SPREADSHEETS:
        raise click.UsageError(
            f"{path}: spreadsheets are read and not written. Name a table that ends in {', '.join(_WRITERS)}."
        )
    return _known(path, _WRITERS)


def _suffix(path: Path) -> str:
    """Tell how the name of a table ends."""
    return split_name(path)[1].lower()


def _known(path: Path, formats: Iterable[str]) -> str:
    """Tell the format of a table, which is to be one of these; whether it is compressed does not matter."""
    suffix = _suffix(path)
    inner = suffix.removesuffix(GZIP)
    if suffix not in formats and inner not in _TEXTS:
        raise click.UsageError(
            f"{path}: tables end in {', '.join(formats)}, or in {GZIP} after {', '.join(_TEXTS)}, not in "
            f"{suffix or 'nothing'}."
        )
    if suffix == ".parquet":
        import_parquet()
    return inner


@dataclass(frozen=True)
class Reading:
    """How a table is read, as far as somebody says it: the sheet of a spreadsheet, and how a table of text is written;
    the first visible sheet and what is found out if not. `found` makes it certain.
    """

    sheet: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    dialect: Dialect | None = None

    def found(self, path: Path) -> Reading:
        """Find out what nobody has said; a usage error for what does not go with the format of a table."""
        suffix = _known(path, _READERS)
        for option, value, formats, named in (
            ("--sheet", self.sheet, SPREADSHEETS, "spreadsheets"),
            ("--delimiter", self.delimiter, _DELIMITERS, "tables with cells of text"),
            ("--encoding", self.encoding, _TEXTS, "tables of text"),
        ):
            if value is not None and suffix not in formats:
                raise click.UsageError(
                    f"{option} is for {named} ({', '.join(formats)}), and {path} is none. Leave it out."
                )
        if suffix not in _TEXTS or self.dialect is not None:
            return self
        usual = _DELIMITERS.get(suffix)
        return replace(
            self, dialect=found_dialect(path, usual, delimiter=self.delimiter, encoding=self.encoding)
        )

    def options(self, path: Path) -> Mapping[str, Any]:
        """What the reader of a table is told."""
        dialect = self.found(path).dialect
        if _suffix(path) in SPREADSHEETS:
            return {"sheet": self.sheet}
        return {} if dialect is None else {"dialect": dialect}


_ANY = Reading()


def read_rows(path: Path, reading: Reading = _ANY) -> Generator[Row]:
    """Give the rows of a table as dicts; an empty cell is None."""
    return _READERS[_known(path, _READERS)](path, **reading.options(path))


def remark_on_table(path: Path, reading: Reading = _ANY) -> list[str]:
    """Say what nobody asked for and should know of a table that is read, a line for each."""
    if _suffix(path) in SPREADSHEETS:
        return remark_on_sheet(path, reading.sheet)
    dialect = reading.found(path).dialect
    return [] if dialect is None else dialect.remarks(path)


def advise_on_columns(path: Path) -> str:
    """Say, as a sentence after others, where the names of columns come from if that may surprise."""
    return f" {HEADER}" if _suffix(path) in SPREADSHEETS else ""


def read_columns(path: Path, reading: Reading = _ANY) -> dict[str, Any]:
    """Name the columns of a table, each with its type if the file has one.

    Those of JSON lines are known when all rows were read. Raises `TableError` if two have one name.
    """
    names = _NAMERS[_known(path, _READERS)](path, **reading.options(path))
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
    name, suffix = split_name(table)
    return table.with_name(f"{name}-results{'.csv' if suffix.lower() in SPREADSHEETS else suffix}")


@contextmanager
def open_table(path: Path, *, escape_formulas: bool = False) -> Iterator[Write]:
    """Open a table to be written, before there are rows; give what writes them, as `write_rows` does."""
    suffix = check_format(path)
    with open_replacing(path) as opened, compressing(path, opened) as file:
        yield _writes(file, suffix, path, escape_formulas=escape_formulas)


@contextmanager
def open_output(table: Path, *, escape_formulas: bool = False) -> Iterator[Write]:
    """Give what writes rows to standard output as they come: JSON lines or tabs for a table of these, else a CSV."""
    file, suffix = sys.stdout.buffer, _known(table, _READERS)
    shown = suffix if suffix in _TEXTS else ".csv"
    yield _writes(file, shown, OUTPUT, escape_formulas=escape_formulas)
    file.flush()


def _writes(file: BinaryIO, suffix: str, name: object, *, escape_formulas: bool) -> Write:
    """Make what writes rows to an open file, which remarks call by this name."""
    writer: Callable[..., None] = _WRITERS[suffix]
    if escape_formulas and suffix in _DELIMITERS:
        writer = partial(writer, plain=as_plain_text)

    def write(columns: Iterable[str], rows: Rows, types: Types, remarks: Remarks) -> list[str]:
        names = written_names(columns) if suffix not in _LINES else {name: name for name in columns}
        for column, new in names.items():
            remarks.note(HALF if has_half(column) else None, f"the name of the column {new!r}")
        writer(file, names, rows, types, remarks)
        return remarks.lines(name)

    return write


_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LINES = (".jsonl", ".ndjson")
_TEXTS = (*_DELIMITERS, *_LINES)
_READERS: Mapping[str, Callable[..., Generator[Row]]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_lines,
    ".ndjson": read_lines,
    ".parquet": read_parquet,
    **dict.fromkeys(SPREADSHEETS, read_sheet),
}
_NAMERS: Mapping[str, Callable[..., Sequence[tuple[str, Any]]]] = {
    ".csv": name_csv,
    ".tsv": name_csv,
    ".jsonl": name_lines,
    ".ndjson": name_lines,
    ".parquet": read_types,
    **dict.fromkeys(SPREADSHEETS, name_sheet),
}
_WRITERS: Mapping[str, Callable[[BinaryIO, Names, Rows, Types, Remarks], None]] = {
    ".csv": write_csv,
    ".tsv": partial(write_csv, delimiter="\t"),
    ".jsonl": write_lines,
    ".ndjson": write_lines,
    ".parquet": write_parquet,
}
