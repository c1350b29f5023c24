"""Inputs: Python values -> JSON that the API takes, with files as data URLs or uploads."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import math
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any, Protocol

from replicate_kit._files.input_files import Encoder, encode_file, file_of, holds_file
from replicate_kit._formats.wording import escaped
from replicate_kit.errors import InputError, PluginError

__all__ = ["check_texts", "encode_input", "encode_value", "plain"]


class PluginEncoder(Protocol):
    """What encoding needs of a session at the least: to ask its plugins."""

    def encode_by_plugins(self, value: Any, /) -> Any: ...


async def encode_input(value: Any, session: PluginEncoder, where: str = "input") -> Any:
    """Make JSON of `value`, asking the plugins for whatever JSON does not have.

    `where` names the place in error messages, such as `input.images[0]`. Raises `InputError` for what cannot
    be sent; for a text that cannot be before any file is uploaded.
    """
    with _not_too_deep(where):
        _check_texts(value, where)
        return await _encode(value, session, where)


def check_texts(value: Any, where: str = "input") -> None:
    r"""Refuse a text that has half of a surrogate pair, wherever it stands in lists and dicts.

    Such texts come of cutting a text within a character, and of JSON that others cut. No request can carry them.
    Raises `InputError` that names the place.

    >>> check_texts({"prompts": ["a wombat", "größer"]})
    """
    with _not_too_deep(where):
        _check_texts(value, where)


@contextmanager
def _not_too_deep(where: str) -> Iterator[None]:
    """Say what is meant where a value is nested more deeply than Python can follow."""
    try:
        yield
    except RecursionError:
        raise InputError(
            f"{escaped(where)} is nested too deeply to be sent, or has itself in it. Pass something flatter."
        ) from None


def _check_texts(value: Any, where: str) -> None:
    """Check the texts in a value."""
    if isinstance(value, str):
        if not value.isascii():
            _check_text(value, where)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            _check_texts(key, f"the name of an input in {where}")
            _check_texts(each, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            if type(each) is not float and type(each) is not int:  # long lists are mostly of numbers
                _check_texts(each, f"{where}[{index}]")


def _check_text(text: str, where: str) -> None:
    """Refuse a text that UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = escaped(text[error.start])
        raise InputError(
            f"{escaped(where)} has half of a surrogate pair, {half} at position {error.start}, which cannot be sent: "
            "the text was cut within a character. Remove it, or replace it with "
            "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')."
        ) from None


async def _encode(value: Any, session: PluginEncoder, where: str) -> Any:
    """Make JSON of a value whose texts were checked."""
    if value is None or type(value) in (str, int, bool):
        return value
    if type(value) is float:
        return _finite(value, where)
    if type(value) is dict:
        return {
            _key(key, where): await _encode(each, session, f"{where}.{key}") for key, each in value.items()
        }
    if type(value) is list or type(value) is tuple:
        return [await _encode(each, session, f"{where}[{index}]") for index, each in enumerate(value)]
    return await _encode_by_plugins(value, session, where)


async def _encode_by_plugins(value: Any, session: PluginEncoder, where: str) -> Any:
    """Take the first answer of a plugin, and await it where it needs I/O. What it has in it is encoded in turn."""
    try:
        encoded = session.encode_by_plugins(value)
        if isinstance(encoded, Awaitable):
            encoded = await encoded
    except InputError as error:
        located = InputError(f"{where}: {error}")
        for note in getattr(error, "__notes__", ()):  # such as the name of the plugin that refused it
            located.add_note(note)
        raise located from error
    except PluginError as error:
        error.args = (f"{where}: {error}",)  # not another error: what the plugin raised stays its cause
        raise
    if encoded is None:
        raise InputError(
            f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which cannot be sent. "
            "Pass text, numbers, lists, dicts, a file (path, handle or bytes) or a URL."
        )
    return await encode_input(encoded, session, where)


def _finite(value: float, where: str) -> float:
    """Refuse the numbers that JSON does not have."""
    if math.isfinite(value):
        return value
    raise InputError(
        f"{where} is {value}, which JSON cannot carry. Leave the input out, or pass a finite number."
    )


def _key(key: object, where: str) -> str:
    """Refuse keys that JSON does not have."""
    if isinstance(key, str):
        return str(key)
    raise InputError(f"{where} has the key {key!r}, which is not text. Use the names of the model's inputs.")


def encode_value(value: Any, session: Encoder) -> Any:
    """Encode what Python programs commonly hold: files, arrays, images, dates, dataclasses. None to decline.

    This is the built-in implementation of the hook `replicate_encode_input`, asked after those of plugins.
    """
    # Files first: an open one is an iterator, too, of its lines.
    return _encode_file_in(value, session) if holds_file(value) else plain(value)


async def _encode_file_in(value: Any, session: Encoder) -> str | None:
    """Encode a file; to look at it may block, and to compress a picture takes time."""
    file = await session.in_thread(lambda: file_of(value))
    return None if file is None else await encode_file(file, session)


def _iso_text(value: Any) -> str:
    """Write a date or time; pandas' missing one is equal to nothing, not even to itself."""
    if value != value:
        raise InputError(f"{value} stands for a missing date. Leave it out, or give a date.")
    return str(value.isoformat())


# Pairs of types and what reduces them, the first that fits decides.
_REDUCERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (enum.Enum, lambda value: value.value),
    (str, str.__str__),
    (int, int),
    (float, float),
    (Mapping, dict),
    ((list, tuple, Set, range, Iterator), list),
    ((datetime.date, datetime.time), _iso_text),
)


_OF_MODULES: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("decimal", "Decimal", float),
    ("uuid", "UUID", str),
)


def plain(value: Any) -> Any:
    """Reduce a value to one that JSON has, or to one that is a step nearer to it; None for what is none."""
    for kinds, reduce in _REDUCERS:
        if isinstance(value, kinds):
            return reduce(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    for module, name, reduce in _OF_MODULES:
        # Nobody has a value of a module that was not imported: so it need not be for those who have none.
        if module in sys.modules and isinstance(value, getattr(sys.modules[module], name)):
            return reduce(value)
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # numpy's scalars and arrays, and their like
        return getattr(value, "tolist")()  # noqa: B009 - checkers believe it a dataclass
    return None
