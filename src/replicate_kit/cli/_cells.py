"""Values in the cells of files that know fewer kinds of values than Python does."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from replicate_kit._formats.wording import counted, escaped

__all__ = [
    "HALF",
    "Remarks",
    "as_cell",
    "as_json",
    "as_plain_text",
    "as_text",
    "ascii_json",
    "has_half",
    "written",
    "written_names",
]

HALF = "half of a surrogate pair, which a file of text cannot hold, is written as an escape, such as \\ud83d"
_NUMBER = "a number that JSON lacks is written as null where it is none, else as text"
_DEEP = "a value that is nested too deeply is left out; the journal has it"
_SHOWN = 3  # places that a remark names


@dataclass
class Remarks:
    """What could not be written as it is: how it was written instead, and where."""

    _examples: dict[str, list[str]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)

    def note(self, how: str | None, where: str) -> None:
        """Note one place; nothing where all was well."""
        if how is not None:
            self._counts[how] += 1
            named = self._examples.setdefault(how, [])
            if len(named) < _SHOWN:
                named.append(escaped(where))

    def lines(self, file: object) -> list[str]:
        """Say it all, a line for each kind.

        >>> remarks = Remarks()
        >>> remarks.note("a wombat is written as text", "row 1, column 'animal'")
        >>> remarks.lines("zoo.csv")
        ["zoo.csv: a wombat is written as text (1 cell: row 1, column 'animal')"]
        """
        return [self._line(file, how) for how in self._counts]

    def _line(self, file: object, how: str) -> str:
        """Say one kind."""
        examples, number = "; ".join(self._examples[how]), self._counts[how]
        more = " …" if number > _SHOWN else ""
        return f"{file}: {how} ({counted(number, 'cell')}: {examples}{more})"


def as_cell(value: Any) -> Any:
    """One value as a CSV has it: structures as JSON, bytes in base64.

    >>> as_cell(True), as_cell(["a", 1]), as_cell(b"a"), as_cell(2)
    ('true', '["a", 1]', 'YQ==', '2')
    """
    return written(value)[0]


def written(value: Any) -> tuple[Any, str | None]:
    r"""One value as a CSV has it, and how it was written if not as it is.

    >>> print(*written("cut \ud83d"))  # doctest: +ELLIPSIS
    cut \ud83d half of a surrogate pair...
    """
    if isinstance(value, bool):
        return "true" if value else "false", None
    if isinstance(value, dict | list | tuple):
        return json_of(value)
    if value is None or isinstance(value, float):
        return value, None
    text = value if isinstance(value, str) else _other(value)
    whole = escaped(text)
    return whole, None if whole == text else HALF


def written_names(columns: Iterable[str]) -> dict[str, str]:
    r"""The names of columns, as a file of text can hold them, by the names that they have; no two become one.

    >>> print(*written_names(["a", "a\\ud83d", "a\ud83d"]).values())
    a a\ud83d a\ud83d_2
    """
    columns = list(columns)
    taken = {name for name in columns if escaped(name) == name}
    made: dict[str, str] = {}
    for name in columns:
        whole = made[name] = escaped(name)
        if whole != name:
            number = 2
            while made[name] in taken:
                made[name], number = f"{whole}_{number}", number + 1
            taken.add(made[name])
    return made


def as_text(value: Any) -> str | None:
    """One value as text, as a CSV would have it; a null stays one."""
    return None if value is None else str(as_cell(value))


# What spreadsheets begin a formula with (OWASP, "CSV Injection"), the wide forms that some of them take included; and
# an apostrophe before it, so that what is put before a cell can be taken off again for certain.
_FORMULA = re.compile("'*[=+\\-@\\t\\r\\n\\uff1d\\uff0b\\uff0d\\uff20]")
_A_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)


def as_plain_text(cell: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would take for a formula; numbers stay numbers.

    >>> as_plain_text("=1+1"), as_plain_text("-1.5"), as_plain_text(-1), as_plain_text("'=1")
    ("'=1+1", '-1.5', -1, "''=1")
    """
    if not isinstance(cell, str) or _FORMULA.match(cell) is None or _A_NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}"


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Write JSON that every reader takes: what it lacks as text, and halves of surrogate pairs as JSON's escapes.

    >>> as_json({"seconds": float("inf"), "at": b"a", "none": float("nan")})
    '{"seconds": "Infinity", "at": "YQ==", "none": null}'
    """
    return json_of(value, indent=indent)[0]


def json_of(value: Any, *, indent: int | None = None) -> tuple[str, str | None]:
    """Write JSON, and say how if a value could not be written as it is."""
    try:
        text, how = _dumped(value, indent), None
    except RecursionError:
        return "null", _DEEP
    except (TypeError, ValueError):  # numbers that JSON lacks, or keys
        try:
            text, how = _dumped(_strict(value), indent), _NUMBER
        except RecursionError:
            return "null", _DEEP
    whole = escaped(text)  # in JSON, the escapes of Python and of JSON are the same for halves
    return whole, how if whole == text else HALF


def ascii_json(text: str) -> str:
    r"""Write all but ASCII in a JSON text as the escapes of JSON, which mean the same.

    >>> print(ascii_json('{"größe": "😀"}'))
    {"gr\u00f6\u00dfe": "\ud83d\ude00"}
    """
    return _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)


_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def _dumped(value: Any, indent: int | None) -> str:
    """Write JSON as people read it; what is nested deeply, without lines of its own, which need more depth."""
    try:
        if indent is None:
            return _ENCODER.encode(value)  # json.dumps would make one for each cell
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_other, indent=indent)
    except RecursionError:
        if indent is None:
            raise
        return _dumped(value, None)


def _strict(value: Any) -> Any:
    """Make values of a structure that JSON has: no key but text, no number that is none or without end."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > _LONGEST:
        return hex(value)
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): _strict(each) for key, each in value.items()}
    return [_strict(each) for each in value] if isinstance(value, list | tuple) else value


_LONGEST = 14_000  # bits of a number; Python writes none of more than 4300 digits


def has_half(value: Any) -> bool:
    """Whether there is half of a surrogate pair in a value, at any depth."""
    if isinstance(value, str):
        return not value.isascii() and escaped(value) != value
    if isinstance(value, Mapping):
        return any(has_half(key) or has_half(each) for key, each in value.items())
    return isinstance(value, list | tuple) and any(map(has_half, value))


def _other(value: Any) -> str:
    """What JSON lacks: bytes in base64, anything else as its text."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, int) and value.bit_length() > _LONGEST:
        return hex(value)
    return str(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_other)
