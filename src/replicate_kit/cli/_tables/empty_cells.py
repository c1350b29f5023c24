"""Cells of an .xlsx that are read as empty and do not look so: formulas whose value was never saved, and errors.

What reads spreadsheets gives an empty cell for both. Rows would be skipped without a word, so that the file itself is
asked, as ECMA-376 describes it. Files of other kinds come from programs that save values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import ParseError, fromstring
from xml.parsers.expat import ExpatError, ParserCreate
from zipfile import BadZipFile, ZipFile

from replicate_kit.cli._cells import Remarks

__all__ = ["explain_empty_cells"]

_FORMULA = (
    "a formula whose value was not saved is read as an empty cell: open the file in a spreadsheet program "
    "and save it"
)
_ERROR = "an error is read as an empty cell"

_SUFFIXES = (".xlsx", ".xlsm")
_CHUNK = 2**20  # bytes that are looked at together
_SUSPECT = re.compile(rb"""<(\w+:)?f[\s/>]|\st=["']e["']""")
_LONGEST = 64  # bytes of what is looked for, a prefix included: it may stand across two chunks
_RELATED = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICTLY_RELATED = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"


def explain_empty_cells(path: Path, sheet: str) -> list[str]:
    """Count the cells of a sheet that are read as empty and do not look so, a line for each kind."""
    if path.suffix.lower() not in _SUFFIXES:
        return []
    remarks = Remarks()
    try:
        with ZipFile(path) as file:
            part = _part(file, sheet)
            if _is_suspect(file, part):
                with file.open(part) as opened:
                    _Cells(remarks).read(opened)
    except (
        BadZipFile,
        ParseError,
        ExpatError,
        LookupError,
    ):  # it was read all the same: nothing is to be told
        return []
    return remarks.lines(f"{path}, sheet {sheet!r}")


def _part(file: ZipFile, sheet: str) -> str:
    """Find the part of the file that has the cells of a sheet; raises `LookupError` where there is none."""
    sheets = fromstring(file.read("xl/workbook.xml")).iterfind(".//{*}sheet")
    ids = {each.get("name"): each.get(_RELATED) or each.get(_STRICTLY_RELATED) for each in sheets}
    related = fromstring(file.read("xl/_rels/workbook.xml.rels"))
    target = {each.get("Id"): each.get("Target", "") for each in related}[ids[sheet]]
    return target[1:] if target.startswith("/") else f"xl/{target}"


def _is_suspect(file: ZipFile, part: str) -> bool:
    """Whether there may be such cells at all: most tables have values alone, and looking at each takes long."""
    with file.open(part) as opened:
        return any(_SUSPECT.search(each) for each in _chunks(opened))


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Read a file in chunks, each with the last bytes of the one before."""
    before = b""
    while chunk := file.read(_CHUNK):
        yield before + chunk
        before = chunk[-_LONGEST:]


class _Cells:
    """The cells of a sheet, as its XML names them: `c` is a cell, in which `f` is a formula and `v` a value."""

    def __init__(self, remarks: Remarks) -> None:
        self._remarks = remarks
        self._cell: dict[str, str] = {}
        self._inside: set[str] = set()
        self._value = ""
        self._in_value = False

    def read(self, file: IO[bytes]) -> None:
        """Read a sheet, and note what is read as empty."""
        parser: Any = ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._stop
        parser.CharacterDataHandler = self._characters
        parser.ParseFile(file)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        """Begin an element."""
        name = tag.rpartition(" ")[2]
        if name == "c":
            self._cell, self._inside, self._value = attributes, set(), ""
        self._inside.add(name)
        self._in_value = name in ("v", "t")

    def _characters(self, text: str) -> None:
        """Take what stands in a value."""
        if self._in_value:
            self._value += text

    def _stop(self, tag: str) -> None:
        """Finish an element; note a cell that is none of those that are simply empty."""
        self._in_value = False
        if tag.rpartition(" ")[2] != "c":
            return
        kind, name = self._cell.get("t"), self._cell.get("r", "a cell without a name")
        if kind == "e":
            self._remarks.note(_ERROR, f"{self._value or 'an error'} in {name}")
        elif "f" in self._inside and not self._value and not (kind == "str" and "v" in self._inside):
            self._remarks.note(
                _FORMULA, name
            )  # a text without letters would be a value: `t="str"` and `<v></v>`
