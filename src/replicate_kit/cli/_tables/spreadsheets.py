"""Spreadsheets, of which one sheet is read cell by cell; python-calamine is an optional part."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from importlib import import_module
from itertools import compress, repeat
from pathlib import Path
from typing import Any, NamedTuple

import click

from replicate_kit._formats.wording import did_you_mean, shown_names
from replicate_kit.cli._cells import as_text
from replicate_kit.cli._tables.empty_cells import explain_empty_cells
from replicate_kit.cli._tables.unreadable import TableError, no_spreadsheet
from replicate_kit.tables._matching import are_whole, whole

__all__ = ["HEADER", "SPREADSHEETS", "name_sheet", "read_sheet", "remark_on_sheet"]

SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
"""How the names of spreadsheets end."""

HEADER = "The header of a spreadsheet is to be the first row that has cells: remove what stands above it."
"""What to do where the columns have other names than was thought."""

_Cells = Sequence[Any]


class _Header(NamedTuple):
    """The names of the columns that are read, and which of all columns those are."""

    names: list[str]
    kept: list[bool]


class _Sheets(NamedTuple):
    """The sheets of a workbook that have cells, and the one that is read."""

    names: list[str]
    read: str


def name_sheet(path: Path, sheet: str | None = None) -> list[tuple[str, None]]:
    """Read the header, the first row in which there is anything; `sheet` is the first that is not hidden if not named.

    A column without a name is left out if there is nothing in it.
    """
    with _opened(path, sheet) as found:
        return [(name, None) for name in _header(path, found, _rows(found)).names]


def read_sheet(path: Path, sheet: str | None = None) -> Generator[dict[str, Any]]:
    """Give the rows below the header as dicts, but for empty ones at the end; an empty cell is None.

    What a cell becomes depends on it alone, never on others in its column: more rows must not change those before.
    """
    with _opened(path, sheet) as found:
        rows = _rows(found)
        header = _header(path, found, rows)
        convert = partial(_converted, _CONVERSIONS if path.suffix.lower() != ".ods" else _OF_OPEN_DOCUMENT)
        empty = 0
        for row in rows:
            cells = [convert(each) for each in compress(row, header.kept)]
            if all(each is None for each in cells):
                empty += 1
                continue
            yield from (dict.fromkeys(header.names) for _ in repeat(None, empty))
            yield dict(zip(header.names, cells, strict=True))
            empty = 0


def remark_on_sheet(path: Path, sheet: str | None = None) -> list[str]:
    """Say what nobody asked for: which of several sheets is read, and which cells only seem to be empty."""
    with _workbook(path) as book:
        sheets = _chosen(path, book, sheet)
    several = sheet is None and len(sheets.names) > 1
    others = [name for name in sheets.names if name != sheets.read]
    chosen = [f"{path}: the sheet {sheets.read!r} is read; --sheet names another: {shown_names(others)}"]
    return [*(chosen if several else ()), *explain_empty_cells(path, sheets.read)]


def _header(path: Path, found: Any, rows: Iterator[_Cells]) -> _Header:
    """Read the rows up to the header, and see which columns have a name."""
    first = next((row for row in rows if any(map(_is_something, row))), None)
    if first is None:
        raise TableError(
            f"{path}: the sheet {found.name!r} is empty, so there is nothing to run. Name the columns in its first "
            "row, or another sheet with --sheet."
        )
    names = [_name(cell) for cell in first]
    used = _used(found, [number for number, name in enumerate(names) if not name])
    if len(used) > 1:  # one is as in a CSV: that of row numbers, which pandas writes so
        letters = [_letters(found.start[1] + number) for number in sorted(used)]
        raise TableError(
            f"{path}, sheet {found.name!r}: columns {', '.join(letters[:-1])} and {letters[-1]} have cells but no "
            f"header: name them or clear them. {HEADER}"
        )
    kept = [bool(name) or number in used for number, name in enumerate(names)]
    return _Header(list(compress(names, kept)), kept)


def _rows(found: Any) -> Iterator[_Cells]:
    """Give the rows of a sheet; earlier versions of the library fail at one without any."""
    return iter(()) if found.start is None else found.iter_rows()


def _used(found: Any, nameless: Iterable[int]) -> set[int]:
    """Which of the columns without a name have cells: all rows are looked at only where there are such columns."""
    left, used = set(nameless), set[int]()
    rows = _rows(found) if left else ()
    for row in rows:
        used |= {number for number in left if _is_something(row[number])}
        left -= used
        if not left:
            break
    return used


def _is_something(cell: Any) -> bool:
    """Whether there is anything to see in a cell."""
    return bool(cell.strip()) if isinstance(cell, str) else True


def _name(cell: Any) -> str:
    """The name of a column, which may be a number or a date; empty if there is nothing to see in it."""
    return (as_text(_converted(_CONVERSIONS, cell)) or "") if _is_something(cell) else ""


def _letters(number: int) -> str:
    """Name a column, counted from 0, as spreadsheets do.

    >>> [_letters(number) for number in (0, 25, 26, 701, 702)]
    ['A', 'Z', 'AA', 'ZZ', 'AAA']
    """
    before, last = divmod(number, 26)
    return (_letters(before - 1) if before else "") + chr(ord("A") + last)


def _converted(conversions: Mapping[type, Callable[[Any], Any]], cell: Any) -> Any:
    """What a cell becomes, by its own kind."""
    convert = conversions.get(type(cell))
    return cell if convert is None else convert(cell)


def _number(cell: float) -> float:
    """Make a whole number of one that is: spreadsheets have floats alone."""
    return whole(cell) if are_whole((cell,)) else cell


def _duration(cell: timedelta) -> str:
    """Write a duration as spreadsheets show it.

    >>> from datetime import timedelta
    >>> _duration(timedelta(days=1, hours=6)), _duration(timedelta(minutes=-1.5)), _duration(timedelta(seconds=0.5))
    ('30:00:00', '-0:01:30', '0:00:00.5')
    """
    size = abs(cell)
    minutes, seconds = divmod(size.days * 86400 + size.seconds, 60)
    part = f".{size.microseconds:06}".rstrip("0") if size.microseconds else ""
    return f"{'-' if cell < timedelta() else ''}{minutes // 60}:{minutes % 60:02}:{seconds:02}{part}"


def _text(cell: str) -> str | None:
    """Take a text as it is; an empty cell is None."""
    return cell or None


# An OpenDocument has ISO's text for a duration, which is given as it is from 24 hours on.
_ISO = re.compile(r"PT(\d+)H(\d\d)M(\d\d)(?:[.,]0*)?S")


def _text_or_duration(cell: str) -> str | None:
    """Write a duration of an OpenDocument as those of other spreadsheets."""
    found = _ISO.fullmatch(cell)
    return _text(cell) if found is None else ":".join(found.groups())


_CONVERSIONS: Mapping[type, Callable[[Any], Any]] = {float: _number, str: _text, timedelta: _duration}
_OF_OPEN_DOCUMENT: Mapping[type, Callable[[Any], Any]] = {**_CONVERSIONS, str: _text_or_duration}


@contextmanager
def _opened(path: Path, sheet: str | None) -> Iterator[Any]:
    """Open a spreadsheet; give its sheet, which is in memory then."""
    with _workbook(path) as book:
        yield book.get_sheet_by_name(_chosen(path, book, sheet).read)


@contextmanager
def _workbook(path: Path) -> Iterator[Any]:
    """Open a spreadsheet."""
    calamine = _calamine()
    try:
        with calamine.CalamineWorkbook.from_path(path) as book:
            yield book
    except calamine.PasswordError:
        raise TableError(f"{path} is protected by a password. Save it without one, or as CSV.") from None
    except calamine.CalamineError as error:
        raise no_spreadsheet(path, str(error)) from None


def _chosen(path: Path, book: Any, sheet: str | None) -> _Sheets:
    """Find a sheet by its name, or the first that people see; charts and the like have no cells."""
    kinds, seen = _calamine().SheetTypeEnum, _calamine().SheetVisibleEnum
    sheets = [each for each in book.sheets_metadata if each.typ == kinds.WorkSheet]
    names = [each.name for each in sheets]
    if sheet is None and sheets:
        return _Sheets(names, next((each.name for each in sheets if each.visible == seen.Visible), names[0]))
    if sheet is None or sheet not in names:
        wanted = "" if sheet is None else f" {sheet!r}"
        raise TableError(
            f"{path} has no sheet{wanted} with cells.{did_you_mean(sheet or '', names)} "
            f"There are: {shown_names(names)}."
        )
    return _Sheets(names, sheet)


def _calamine() -> Any:
    """Import what reads spreadsheets: an optional part, asked for by name."""
    try:
        return import_module("python_calamine")
    except ModuleNotFoundError:
        raise click.ClickException(
            'Spreadsheets need an optional part. Install it with: pip install "replicate-kit[excel]"\nOr save the '
            "table as CSV."
        ) from None
