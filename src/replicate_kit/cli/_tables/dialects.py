"""How a table of text is written: in which encoding, and what stands between its cells.

Both are found out where nobody says them. A wrong guess would be paid for, so that what could be another is refused.
"""

from __future__ import annotations

import codecs
import csv
import re
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import IO, Any, NamedTuple, TextIO

import click

from replicate_kit.cli._tables.compressed import open_bytes
from replicate_kit.cli._tables.unreadable import (
    TableError,
    in_no_encoding,
    in_two_encodings,
    not_in,
    not_text,
)

__all__ = [
    "DELIMITERS",
    "Dialect",
    "csv_reader",
    "found_dialect",
    "open_text",
    "read_delimiter",
    "read_encoding",
]

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
"""What is looked for between cells, by what messages call it."""

_USUAL = "utf-8-sig"  # UTF-8, with a byte order mark or without
_WESTERN = "cp1252"
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # which begins as UTF-16's does
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: _USUAL,
}
_HEAD = 4096  # bytes that are looked at for an encoding without a mark
_CHUNK = 2**20
_SAMPLE = 2**20  # characters of a table in which cells are counted

# What cp1252 is in the languages that everybody writes in it: other letters and marks are mostly those of another
# encoding, such as cp1250, cp1251, Shift JIS or Mac OS Roman, of which nearly every file is cp1252 as well.
_LETTERS = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüŒœ"
_OTHERS = "\xa0¡¿«»‘’“”„–—…€£§©®°´·²³ºª½¼¾±×•™"  # noqa: RUF001
_NOT_WESTERN = re.compile(
    rf"[^\x00-\x7f{_LETTERS}{_OTHERS}]"
    rf"|[{_LETTERS}ºª²³]{{3}}"  # whole words of accents are Greek, Cyrillic or Chinese
    r"|[õÕ](?![eE])"  # Hungarian, but for Portuguese
    rf"|(?<=[a-z])[{_LETTERS[:29]}„“”‘¿º²³½¼¾][a-z{_LETTERS}]"  # within a word  # noqa: RUF001
)


class Dialect(NamedTuple):
    """How a table of text is written. `marked` says that its first line names the delimiter, as Excel reads it;
    `guessed` is what was found out and is not usual, in words.
    """

    encoding: str = _USUAL
    delimiter: str = ","
    marked: bool = False
    guessed: Sequence[str] = ()

    def remarks(self, path: Path) -> list[str]:
        """Say how a table is read, if that may surprise.

        >>> from pathlib import Path
        >>> from replicate_kit.cli._tables.dialects import Dialect
        >>> Dialect(guessed=["with semicolons between its cells (or else --delimiter)"]).remarks(Path("t.csv"))
        ['t.csv is read with semicolons between its cells (or else --delimiter)']
        """
        return [f"{path} is read {' and '.join(self.guessed)}"] if self.guessed else []


def read_delimiter(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Read what stands between cells: a character, or its name, since a tab is hard to type."""
    names = {name: each for each, name in DELIMITERS.items()} | {"tab": "\t", r"\t": "\t"}
    found = None if value is None else names.get(value, value)
    if found is not None and (len(found) != 1 or found in '"\r\n\0'):
        raise click.BadParameter(
            f"{value!r} is not one character that can stand between cells. Write one, such as ';', or tab."
        )
    return found


def read_encoding(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Check that Python knows an encoding of text."""
    try:
        return None if value is None else _named(value)
    except (LookupError, ValueError):
        raise click.BadParameter(
            f"{value!r} is no encoding of text. Write one such as utf-8, utf-16, cp1252 or shift_jis."
        ) from None


def _named(name: str) -> str:
    """Give an encoding as it is read; raises `LookupError` for what is none of text."""
    known = codecs.lookup(name).name
    TextIOWrapper(BytesIO(), known)
    return _USUAL if known == "utf-8" else known


def found_dialect(
    path: Path, usual: str | None = None, *, delimiter: str | None = None, encoding: str | None = None
) -> Dialect:
    """Find out how a table of text is written, but for what is said; `usual` stands between cells if its name is right,
    None where there are no cells.

    Raises `TableError` for what cannot be told, which says by which option to say it.
    """
    found = _encoding(path) if encoding is None else _with_mark(path, encoding)
    guessed = [] if encoding or found == _USUAL else [f"as {found} (or else --encoding)"]
    if usual is None:
        return Dialect(found, guessed=guessed)
    lines, whole = _sample(path, found)
    marked = _mark(lines)
    between = delimiter or marked or _delimiter(path, lines, usual, whole=whole)
    if not delimiter and between != usual:
        named = DELIMITERS.get(between, repr(between))
        guessed.append(f"with {named} between its cells (or else --delimiter)")
    return Dialect(found, between, marked is not None, guessed)


@contextmanager
def open_text(path: Path, encoding: str, newline: str | None = None) -> Iterator[TextIO]:
    """Open a file of text to be read."""
    with open_bytes(path) as file, TextIOWrapper(file, encoding=encoding, newline=newline) as text:
        try:
            yield text
        except UnicodeError:
            raise not_in(path, encoding) from None


def csv_reader(lines: Iterable[str], delimiter: str) -> Any:
    """Read rows of cells, each of which may well hold a picture as a data URL."""
    csv.field_size_limit(2**31 - 1)
    return csv.reader(lines, delimiter=delimiter)


def _encoding(path: Path) -> str:
    """Find out the encoding: by its mark, by NULs, or by what it can be at all."""
    with open_bytes(path) as file:
        head = file.read(_HEAD)
        if found := _marked(head) or _wide(head):
            return found
        if _is_utf8(head, file):
            return _USUAL
    if b"\0" in head:
        raise not_text(path)
    # A line in cp1252 is hardly ever UTF-8 as well.
    as_utf8 = wrong = 0  # the first lines that are, and are not
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            if line.isascii():
                continue
            if _is_utf8(line, BytesIO()):
                as_utf8 = as_utf8 or number
            else:
                wrong = wrong or number
            if as_utf8 and wrong:
                raise in_two_encodings(path, wrong)
            if not as_utf8 and not _is_western(line):
                raise in_no_encoding(path, number)
    return _WESTERN


def _marked(head: bytes) -> str | None:
    """Tell the encoding by the mark that a file begins with."""
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


def _with_mark(path: Path, encoding: str) -> str:
    """Read over a mark, if a file of this encoding has one."""
    with open_bytes(path) as file:
        marked = _marked(file.read(_HEAD))
    return marked if marked is not None and marked == encoding[:6] else encoding


def _wide(head: bytes) -> str | None:
    """Tell UTF-16 without a mark: of letters that are mostly Latin, every other byte is NUL."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) < len(head) / 4 or min(even, odd) > len(head) / 50:
        return None
    return ("utf-16-le" if odd > even else "utf-16-be") if head else None


def _is_utf8(head: bytes, file: IO[bytes]) -> bool:
    """Whether all of a file is UTF-8."""
    decoder = getincrementaldecoder("utf-8")()
    try:
        decoder.decode(head)
        while chunk := file.read(_CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _is_western(line: bytes) -> bool:
    """Whether a line reads as Western European text."""
    try:
        return _NOT_WESTERN.search(line.decode(_WESTERN)) is None
    except UnicodeDecodeError:
        return False


def _sample(path: Path, encoding: str) -> tuple[list[str], bool]:
    """Read the first lines, and tell whether they are all."""
    lines, size = list[str](), 0
    with open_text(path, encoding, newline="") as file:
        for line in file:
            if size > _SAMPLE:
                return lines, False
            lines.append(line)
            size += len(line)
    return lines, True


def _mark(lines: Sequence[str]) -> str | None:
    """Read the delimiter that a first line names, such as `sep=;`."""
    found = re.fullmatch(r'"?sep=(.)"?[\r\n]*', lines[0], re.IGNORECASE | re.DOTALL) if lines else None
    return found[1] if found and found[1] not in '"\r\n' else None


def _delimiter(path: Path, lines: Sequence[str], usual: str, *, whole: bool) -> str:
    """Find out what stands between cells: what makes several of the header, and as many of every row, or of most."""
    shares = {each: _share(lines, each, whole=whole) for each in DELIMITERS}
    fitting = [each for each, share in shares.items() if share == 1]
    likely = fitting or [each for each, share in shares.items() if share > 0.5]
    if len(fitting) > 1:
        said = " or ".join(DELIMITERS[each] for each in fitting)
        raise TableError(
            f"{path}: its cells may be separated by {said}: each makes as many of every row. Say which with "
            f"--delimiter, such as --delimiter '{fitting[0]}'."
        )
    return likely[0] if len(likely) == 1 else usual


def _share(lines: Sequence[str], delimiter: str, *, whole: bool) -> float:
    """Tell how many of the rows have as many cells as the header, if that has several; the last may be cut."""
    try:
        rows = [len(row) for row in csv_reader(lines, delimiter) if row]
    except csv.Error:
        return 0
    columns, *others = (rows if whole else rows[:-1]) or [0]
    if columns < 2:
        return 0
    return others.count(columns) / len(others) if others else 1
