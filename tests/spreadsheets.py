"""Spreadsheets for tests, written by hand: no library that writes them is needed to try one that reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr
from zipfile import ZipFile

# ECMA-376, part 1: parts of a workbook, and in section 18.8.30 the numbers of the formats.
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_FORMATS = {datetime: 22, date: 14, time: 21, timedelta: 46}
_STYLES = {kind: number for number, kind in enumerate(_FORMATS, 1)}
_DAYS_ZERO = {False: datetime.fromisoformat("1899-12-30"), True: datetime.fromisoformat("1904-01-01")}


class Formula(NamedTuple):
    """A formula, and its value as it was saved; None is that of a program that computes nothing."""

    text: str
    value: str | None = None


class Chart:
    """A sheet that is a chart."""


def write_xlsx(
    path: Path,
    sheets: Mapping[str, Iterable[Sequence[Any]] | Chart],
    *,
    hidden: Iterable[str] = (),
    from_1904: bool = False,
) -> None:
    """Write a workbook of sheets, each of rows of cells; None is a cell that is not there."""
    numbered = list(enumerate(sheets, 1))
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="r{number}"'
        f' state="{"hidden" if name in hidden else "visible"}"/>'
        for number, name in numbered
    )
    kinds = {number: "chart" if isinstance(sheets[name], Chart) else "work" for number, name in numbered}
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>',
        "_rels/.rels": _related([("r1", "officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}">'
        f'<workbookPr date1904="{int(from_1904)}"/><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _related(
            [
                (f"r{number}", f"{kind}sheet", f"{kind}sheets/sheet{number}.xml")
                for number, kind in kinds.items()
            ]
            + [("styles", "styles", "styles.xml")]
        ),
        "xl/styles.xml": _styles(),
    }
    for number, rows in enumerate(sheets.values(), 1):
        made = f'<chartsheet xmlns="{_MAIN}"/>' if isinstance(rows, Chart) else _sheet(rows, from_1904)
        parts[f"xl/{kinds[number]}sheets/sheet{number}.xml"] = made
    with ZipFile(path, "w") as file:
        for name, text in parts.items():
            file.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')


def _related(parts: Iterable[tuple[str, str, str]]) -> str:
    """Name the parts that a part has."""
    named = "".join(
        f'<Relationship Id="{id}" Type="{_DOCUMENT}/{kind}" Target="{target}"/>' for id, kind, target in parts
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{named}</Relationships>'


def _styles() -> str:
    """The formats that cells may have: that of numbers, and those of dates and times."""
    formats = "".join(f'<xf numFmtId="{number}"/>' for number in (0, *_FORMATS.values()))
    return f'<styleSheet xmlns="{_MAIN}"><cellXfs>{formats}</cellXfs></styleSheet>'


def _sheet(rows: Iterable[Sequence[Any]], from_1904: bool) -> str:
    """Write the cells of a sheet."""
    lines = [
        f'<row r="{number}">'
        + "".join(
            _cell(f"{chr(ord('A') + column)}{number}", value, from_1904) for column, value in enumerate(row)
        )
        + "</row>"
        for number, row in enumerate(rows, 1)
    ]
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'


def _cell(name: str, value: Any, from_1904: bool) -> str:
    """Write one cell."""
    if value is None:
        return ""
    if isinstance(value, Formula):
        saved = "<v/>" if value.value is None else f"<v>{escape(value.value)}</v>"
        kind = "" if value.value is None else ' t="str"'
        return f'<c r="{name}"{kind}><f>{escape(value.text)}</f>{saved}</c>'
    if isinstance(value, bool):
        return f'<c r="{name}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{name}"><v>{value!r}</v></c>'
    if isinstance(value, str) and value.startswith("#"):
        return f'<c r="{name}" t="e"><v>{value}</v></c>'
    if isinstance(value, str):
        text = escape(value, {"\r": "&#13;"})
        return f'<c r="{name}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
    return f'<c r="{name}" s="{_STYLES[type(value)]}"><v>{_days(value, from_1904)!r}</v></c>'


def _days(value: Any, from_1904: bool) -> float:
    """A date, a time or a duration as spreadsheets count: in days."""
    if isinstance(value, timedelta):
        return value / timedelta(days=1)
    if isinstance(value, time):
        return timedelta(hours=value.hour, minutes=value.minute, seconds=value.second) / timedelta(days=1)
    full = value if isinstance(value, datetime) else datetime.combine(value, time())
    return (full - _DAYS_ZERO[from_1904]) / timedelta(days=1)


def locked() -> bytes:
    """Make a workbook that a password protects: a compound file (MS-CFB) of which one stream is known by its name."""
    free, end = b"\xff" * 4, b"\xfe\xff\xff\xff"
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += b"\x3e\0\x03\0\xfe\xff\x09\0\x06\0" + bytes(6)  # version 3, sectors of 512 bytes
    header += bytes(4) + _number(1) + _number(1) + bytes(4) + _number(4096)  # one sector says which are used
    header += end + bytes(4) + end + bytes(4) + bytes(4) + free * 108
    used = b"\xfd\xff\xff\xff" + end + free * 126
    entries = _entry("Root Entry", 5) + _entry("EncryptedPackage", 2) + bytes(256)
    return header + used + entries


def _number(value: int) -> bytes:
    """Four bytes."""
    return value.to_bytes(4, "little")


def _entry(name: str, kind: int) -> bytes:
    """One entry of the folder of a compound file, of a stream without anything in it."""
    text = name.encode("utf-16-le") + b"\0\0"
    return (
        text.ljust(64, b"\0")
        + len(text).to_bytes(2, "little")
        + bytes([kind, 1])
        + b"\xff" * 12
        + bytes(36)
        + b"\xfe\xff\xff\xff"
        + bytes(8)
    )
