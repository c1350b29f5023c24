"""Tables of rows in files: CSV, TSV, JSON lines and Parquet, read and written by rows; spreadsheets, read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import click

from replicate_kit._files.atomic import open_replacing
from replicate_kit.cli._cells import HALF, Remarks, as_plain_text, has_half, written_names
from replicate_kit.cli._tables.parquet import import_parquet, read_parquet, read_types, write_parquet
from replicate_kit.cli._tables.spreadsheets import (
    HEADER,
    SPREADSHEETS,
    name_sheet,
    read_sheet,
    remark_on_sheet,
)
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


_READERS: Mapping[str, Callable[..., Generator[Row]]] = {
    ".csv": read_csv,
    ".tsv": partial(read_csv, delimiter="\t"),
    ".jsonl": read_lines,
    ".ndjson": read_lines,
    ".parquet": read_parquet,
    **dict.fromkeys(SPREADSHEETS, read_sheet),
}
_NAMERS: Mapping[str, Callable[..., Sequence[tuple[str, Any]]]] = {
    ".csv": name_csv,
    ".tsv": partial(name_csv, delimiter="\t"),
    ".jsonl": name_lines,
    ".ndjson": name_lines,
    ".parquet": read_types,
    **dict.fromkeys(SPREADSHEETS, name_sheet),
}
_LINES = (".jsonl", ".ndjson")
_SEPARATED = (".csv", ".tsv")
_WRITERS: Mapping[str, Callable[[BinaryIO, Names, Rows, Types, Remarks], None]] = {
    ".csv": write_csv,
    ".tsv": partial(write_csv, delimiter="\t"),
    ".jsonl": write_lines,
    ".ndjson": write_lines,
    ".parquet": write_parquet,
}
