"""Tables that cannot be read as they are: in which line, why, and what to do about it."""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import click

__all__ = [
    "TableError",
    "in_no_encoding",
    "is_compressed",
    "kind_of_spreadsheet",
    "no_spreadsheet",
    "not_in",
    "not_text",
    "ragged",
]

_GZIP = b"\x1f\x8b"  # how its files begin (RFC 1952)


class TableError(click.ClickException):
    """A table that cannot be used: what was typed is wrong, and nothing was created."""

    exit_code = 2


def not_text(path: Path) -> TableError:
    """Say that a file is no text."""
    if is_compressed(path) and path.suffix.lower() != ".gz":
        return TableError(f"{path} is compressed by gzip. Rename it to {path.name}.gz.")
    return TableError(
        f"{path} is no text, so it is no table. Name a table in CSV, TSV, JSON lines or Parquet."
    )


def is_compressed(path: Path) -> bool:
    """Whether a file begins as those of gzip do, whatever its name is."""
    with path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def not_in(path: Path, encoding: str) -> TableError:
    """Say that a file is not in the encoding that was named."""
    return TableError(f"{path} is not in {encoding}. Name its encoding with --encoding, or leave that out.")


def in_no_encoding(path: Path, line: int) -> TableError:
    """Say in which line a file is not UTF-8, where nobody can tell for certain what it is."""
    return TableError(
        f"{path}, line {line}: not in UTF-8, and in which encoding cannot be told for certain. Name it with "
        "--encoding, such as --encoding cp1252 for Western European text, or save the table in UTF-8."
    )


def in_two_encodings(path: Path, line: int) -> TableError:
    """Say in which line a file is not UTF-8, as other lines of it are: it is damaged, or cut, or was put together."""
    return TableError(
        f"{path}, line {line}: not in UTF-8, as other lines are. Correct the line, or save the table anew in UTF-8. If "
        "all of it is in another encoding, name that with --encoding."
    )


def ragged(path: Path, line: int, cells: int, columns: int, delimiter: str) -> TableError:
    """Say which row has not as many cells as there are columns."""
    return TableError(
        f"{path}, line {line}: the row has not as many cells as the header: {cells} instead of {columns}. Correct the "
        f"line; a cell in which there is {delimiter!r}, a quote or a line break stands in quotes, such as "
        f'"a{delimiter} b". If something else stands between cells, name it with --delimiter.'
    )


def no_spreadsheet(path: Path, said: str) -> TableError:
    """Say what is wrong with a file that is no spreadsheet, or a damaged one, or has the name of another kind."""
    kind = kind_of_spreadsheet(path)
    if kind is not None and kind != path.suffix.lower():
        return TableError(
            f"{path} cannot be read as a spreadsheet: it is named {path.suffix}, and what is in it is {kind}. Rename "
            f"it to {path.with_suffix(kind).name}."
        )
    if _is_some_text(path):
        return TableError(
            f"{path} cannot be read as a spreadsheet: it is a text that has the name of one, such as a page of the Web "
            "or a CSV. Open it in a spreadsheet program and save it anew, or name it .csv if it is one."
        )
    reason = said.partition("\n")[0].rstrip(".")
    return TableError(
        f"{path} cannot be read as a spreadsheet: {reason}. Save it anew or as CSV, or name another file."
    )


_PARTS = {"mimetype": ".ods", "xl/workbook.bin": ".xlsb", "xl/workbook.xml": ".xlsx"}
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # how the files of old Excels begin (MS-CFB)


def kind_of_spreadsheet(path: Path) -> str | None:
    """Tell how the name of a spreadsheet should end, by what is in it; None for what is none."""
    with path.open("rb") as file:
        if file.read(len(_COMPOUND)) == _COMPOUND:
            return ".xls"
    try:
        with ZipFile(path) as parts:
            kind = next((kind for part, kind in _PARTS.items() if part in parts.namelist()), None)
    except BadZipFile:
        return None
    return path.suffix.lower() if kind == ".xlsx" and path.suffix.lower() == ".xlsm" else kind


def _is_some_text(path: Path) -> bool:
    """Whether a file begins as a text does: with lines of letters, none of which is no text."""
    with path.open("rb") as file:
        head = file.read(1024)
    return bool(head.strip()) and not head.startswith(b"PK") and _IN_NO_TEXT.search(head) is None


_IN_NO_TEXT = re.compile(rb"[\0-\x08\x0e-\x1a]")
