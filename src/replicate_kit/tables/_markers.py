"""What fills a model's inputs row by row: `col`, `template`, or a function; everything else is a constant."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from string import Formatter
from typing import Any
from uuid import UUID

from replicate_kit._formats.wording import brace_advice
from replicate_kit.errors import InputError
from replicate_kit.tables._columns import is_null

__all__ = [
    "Column",
    "Template",
    "as_cell",
    "as_text",
    "col",
    "has_function",
    "inner",
    "is_bound",
    "is_function",
    "template",
]


_NO_TEXT: tuple[type, ...] = (bytes, bytearray, memoryview, set, frozenset)
_NAMED = re.compile(r"\{([\w ]*)[!:}]")  # what looks like the name of a column


@dataclass(frozen=True)
class Column:
    """A column that fills an input; made by `col`.

    >>> from replicate_kit import col
    >>> col("title", optional=True).optional
    True
    """

    name: Hashable
    optional: bool = False
    path: bool = False


@dataclass(frozen=True)
class Template:
    """A text with columns in it; made by `template`.

    >>> from replicate_kit import template
    >>> template("a {animal}").text
    'a {animal}'
    """

    text: str
    optional: bool = False

    @property
    def parts(self) -> list[tuple[str, str | None, str, str | None]]:
        """Its parts as `string.Formatter` sees them: text, field, format and conversion."""
        try:
            return [(text, name, spec or "", how) for text, name, spec, how in Formatter().parse(self.text)]
        except ValueError as error:
            raise InputError(
                f"The template {self.text!r} cannot be read ({error}). Name columns as in "
                f"'{{title}} by {{artist}}'.{brace_advice(self.text, _NAMED.findall(self.text))}"
            ) from error

    def refused(self, why: object, columns: Iterable[Hashable]) -> InputError:
        """Make the error for a table that has no such columns: what was meant may be braces that are text."""
        advice = brace_advice(self.text, [*columns, ""])
        return InputError(f"The template {self.text!r} cannot be filled. {why}{advice}")

    @property
    def fields(self) -> list[str]:
        """The columns that it names, each as often as it does."""
        return [name for _, name, _, _ in self.parts if name is not None]


def col(name: Hashable, *, optional: bool = False, path: bool = False) -> Column:
    """Fill an input from the column of this name.

    A row in which it is null is skipped, and costs nothing; `optional=True` runs the row without this input
    instead. `path=True` says that the cells are paths of local files, which are then sent, or URLs; without it
    a text is sent as it is, so that what stands in a table cannot make a program read files.

    >>> from replicate_kit import col
    >>> col("title")
    Column(name='title', optional=False, path=False)
    """
    if not isinstance(name, Hashable):
        raise InputError(f"col({name!r:.60}) names no column. Pass the name of one: col('title').")
    return Column(name, optional, path)


def template(text: str, *, optional: bool = False) -> Template:
    """Fill an input with a text that has columns in it, such as `"{title} in the style of {artist:.20}"`.

    What stands in braces is the whole name of a column; `{}` is the series itself, where it is used on one.
    Formats and conversions are those of `str.format`; a float that is whole is written without `.0` where there
    is neither. A cell that is a list, a dict or an array of numpy is written as JSON, with null for what is missing in
    it; bytes and sets are refused. Plain texts are constants, braces and all: only a template is filled in. A row in
    which one of the columns is null is skipped; `optional=True` runs it without this input instead.

    >>> from replicate_kit import template
    >>> template("{title} by {artist}").fields
    ['title', 'artist']
    """
    if not isinstance(text, str):
        raise InputError(
            f"template({text!r:.60}) is no text. Pass one with columns in it: template('{{title}}')."
        )
    return Template(text, optional)


def is_bound(value: Any) -> bool:
    """Whether a value in `input=` is another one for each row; markers may stand inside of lists and dicts."""
    return isinstance(value, Column | Template) or is_function(value) or any(map(is_bound, inner(value)))


def has_function(value: Any) -> bool:
    """Whether there is a function of a row in a value."""
    return is_function(value) or any(map(has_function, inner(value)))


def is_function(value: Any) -> bool:
    """Whether a value is a function of a row: whatever can be called, but for what can be read (a file)."""
    return callable(value) and not hasattr(value, "read")


def inner(value: Any) -> Iterable[Any]:
    """The parts of a list or dict."""
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def as_cell(value: Any, name: str) -> Any:
    """Give what a template writes of a cell: JSON of what has parts; raises `InputError` for what has no text.

    >>> as_cell({"title": "sea", "tags": ["é", None]}, "row")
    '{"title": "sea", "tags": ["é", null]}'
    """
    if isinstance(value, str | int | float) or not (
        isinstance(value, (Mapping, list, tuple, *_NO_TEXT)) or _is_array(value)
    ):
        return value
    try:
        return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the cell {value!r:.80} of {name!r} cannot be written in a text: {error}. Make a text of it in the table, "
            "or fill an input with the column alone"
        ) from error


def _plain(value: Any) -> Any:
    """Make what JSON has of a value with parts."""
    if isinstance(value, _NO_TEXT):
        raise TypeError(f"JSON has no {type(value).__name__}")
    if isinstance(value, Mapping):
        return {_key(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "tolist"):  # of numpy, also one number of it
        return _plain(value.tolist())
    if is_null(value):
        return None
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | UUID) else value


def _key(key: Any) -> str:
    """Take a name of a part; JSON has only texts there."""
    if not isinstance(key, str):
        raise TypeError(f"its key {key!r:.40} is no text")
    return key


def _is_array(value: Any) -> bool:
    """Whether a value is an array of numpy, and not one number."""
    return hasattr(value, "tolist") and bool(getattr(value, "shape", None))


def as_text(value: Any) -> str:
    """Write a value in a text; a whole number as such, which tables make 1842.0 of beside a null."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
