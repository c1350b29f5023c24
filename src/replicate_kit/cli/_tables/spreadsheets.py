"""Spreadsheets, of which one sheet is read; fastexcel and pyarrow are an optional part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from replicate_kit._formats.wording import did_you_mean, shown_names
from replicate_kit.cli._tables.unreadable import TableError
from replicate_kit.tables._matching import are_whole, whole

__all__ = ["SPREADSHEETS", "name_sheet", "read_sheet"]

SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
"""How the names of spreadsheets end."""

_BATCH = 4096  # rows that become objects of Python at once
_DAY_ZERO = (
    1899  # the year in which spreadsheets count days from; a time of day is a fraction of its last ones
)

_Load = Callable[..., Any]


def name_sheet(path: Path, sheet: str | None = None) -> list[tuple[str, None]]:
    """Read the header, the first row in which there is anything; `sheet` is the first if not named."""
    with _opened(path, sheet) as load:
        header = load(header_row=None, n_rows=1, dtypes="string").to_arrow()
    return [(column[0].as_py() or "", None) for column in header.columns]


def read_sheet(path: Path, sheet: str | None = None) -> Generator[dict[str, Any]]:
    """Give the rows below the header as dicts; an empty cell is None, and so is one with an error such as #N/A.

    Numbers are whole where all in their column are: a spreadsheet has no others than floats.
    """
    names = [name for name, _ in name_sheet(path, sheet)]
    with _opened(path, sheet) as load:
        table = _typed(load).to_arrow()
    made = [_conversion(column) for column in table.columns]
    for first in range(0, table.num_rows, _BATCH):
        columns = [
            [convert(each) for each in column.to_pylist()]
            for convert, column in zip(made, table.slice(first, _BATCH).columns, strict=True)
        ]
        for cells in zip(*columns, strict=True):
            yield dict(zip(names, cells, strict=True))


def _typed(load: _Load) -> Any:
    """Load all rows; as texts, where a column has kinds of cells that cannot be told as one."""
    try:
        return load(header_row=0, schema_sample_rows=None)
    except _fastexcel().UnsupportedColumnTypeCombinationError:
        return load(header_row=0, dtypes="string")


def _conversion(column: Any) -> Callable[[Any], Any]:
    """What the cells of a column become."""
    kind = str(column.type).partition("[")[0]
    if kind == "double" and are_whole(column.to_pylist()):
        return whole
    return {"string": lambda text: text or None, "timestamp": _date_or_time}.get(kind, lambda cell: cell)


def _date_or_time(cell: datetime | None) -> Any:
    """Tell a time of day, which spreadsheets keep as one of their first day, from a date."""
    return cell.time() if cell is not None and cell.year == _DAY_ZERO else cell


@contextmanager
def _opened(path: Path, sheet: str | None) -> Iterator[_Load]:
    """Open a spreadsheet; give what loads its sheet, with the options of fastexcel."""
    fastexcel = _fastexcel()
    try:
        reader = fastexcel.read_excel(path)
        name = _named(path, reader.sheet_names, sheet)

        def load(**options: Any) -> Any:
            found = reader.load_sheet(name, **options)
            if not found.width:
                raise TableError(
                    f"{path}: the sheet {name!r} is empty, so there is nothing to run. Name the columns in its first "
                    f"row, or another sheet with --sheet. There are: {shown_names(reader.sheet_names)}."
                )
            return found

        yield load
    except fastexcel.FastExcelError as error:
        raise _unreadable(path, str(error)) from None


def _named(path: Path, sheets: list[str], sheet: str | None) -> str:
    """Find a sheet by its name, or the first."""
    if sheet is None and sheets:
        return sheets[0]
    if sheet is None or sheet not in sheets:
        raise TableError(
            f"{path} has no sheet{'' if sheet is None else f' {sheet!r}'}.{did_you_mean(sheet or '', sheets)} "
            f"There are: {shown_names(sheets)}."
        )
    return sheet


def _unreadable(path: Path, said: str) -> TableError:
    """Say what is wrong with a file that is no spreadsheet, or a damaged or locked one."""
    if "password" in said.lower():
        return TableError(f"{path} is protected by a password. Save it without one, or as CSV.")
    reason = said.partition("\n")[0].removeprefix("calamine error: ").rstrip(".")
    return TableError(
        f"{path} cannot be read as a spreadsheet: {reason}. Save it anew or as CSV, or name another file."
    )


def _fastexcel() -> Any:
    """Import what reads spreadsheets: an optional part, asked for by name."""
    try:
        import_module("pyarrow")
        fastexcel = import_module("fastexcel")
    except ModuleNotFoundError:
        raise click.ClickException(
            'Spreadsheets need an optional part. Install it with: pip install "replicate-kit[excel]"\nOr save the '
            "table as CSV."
        ) from None
    # It tells of each column without cells, which is nothing to tell; where nobody listens, it would be printed.
    logging.getLogger("fastexcel").addHandler(logging.NullHandler())
    return fastexcel
