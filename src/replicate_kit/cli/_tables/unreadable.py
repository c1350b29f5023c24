"""Tables that cannot be read as they are: in which line, why, and what to do about it."""

from __future__ import annotations

import codecs
import re
import shlex
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import click

__all__ = ["TableError", "no_spreadsheet", "not_text", "ragged"]


_OF_SHEETS = (".csv", ".tsv")


class TableError(click.ClickException):
    """A table that cannot be used: what was typed is wrong, and nothing was created."""

    exit_code = 2


def not_text(path: Path) -> TableError:
    """Say in which line a file is not UTF-8, and how to make it so."""
    encoding = _likely_encoding(path)
    if encoding is None:
        return TableError(
            f"{path} is no text, so it is no table. Name a table in CSV, TSV, JSON lines or Parquet."
        )
    if encoding == "WINDOWS-1252":
        said, if_so = (
            f"{path}, line {_first_wrong_line(path)}: not in UTF-8.",
            "if it is Western European text, ",
        )
    else:
        said, if_so = f"{path} is not in UTF-8; it looks like {encoding}.", ""
    in_sheet = "in a spreadsheet, save it as CSV in UTF-8; or " if path.suffix.lower() in _OF_SHEETS else ""
    advice = f"{in_sheet}{if_so}convert it"
    source, target = (
        shlex.quote(str(path)),
        shlex.quote(str(path.with_name(f"{path.stem}-utf8{path.suffix}"))),
    )
    return TableError(
        f"{said} {advice[0].upper()}{advice[1:]}: iconv -f {encoding} -t UTF-8 {source} > {target}"
    )


def _likely_encoding(path: Path) -> str | None:
    """Guess what a text that is not UTF-8 is written in; None for what is no text."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # of which one begins as UTF-16's does
        return "UTF-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    if b"\0" not in head:
        return "WINDOWS-1252"
    # Of letters that are mostly Latin, every other byte is NUL.
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) < len(head) / 4 or min(even, odd) > len(head) / 50:
        return None
    return "UTF-16LE" if odd > even else "UTF-16BE"


def _first_wrong_line(path: Path) -> int:
    """Find the first line that is not UTF-8."""
    number = 1
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return number


def ragged(path: Path, line: int, cells: int, columns: int) -> TableError:
    """Say which row has not as many cells as there are columns."""
    return TableError(
        f"{path}, line {line}: the row has not as many cells as the header: {cells} instead of {columns}. Correct the "
        'line; a cell in which there is a comma, a quote or a line break stands in quotes, such as "a, b".'
    )


def no_spreadsheet(path: Path, said: str) -> TableError:
    """Say what is wrong with a file that is no spreadsheet, or a damaged one, or has the name of another kind."""
    kind = _kind_of_spreadsheet(path)
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


def _kind_of_spreadsheet(path: Path) -> str | None:
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
