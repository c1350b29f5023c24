"""Text that can be printed wherever it goes: what was paid for must not fail at the last step.

Programs that read the output of a command expect the encoding that its stream names, so that stays as it is. What the
encoding lacks is written as escapes, as Python does on standard error, and a remark says so.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

__all__ = ["any_text", "as_path", "as_typed_text", "is_half", "note_half", "says"]

_ESCAPE = "replicate_kit.escape"
_lacking: set[str] = set()  # the first characters of what was escaped while a command runs


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write characters as escapes, and note the first; names of files, which Python has as bytes, as what they are."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    if (name := as_typed_text(lacking)) != lacking:
        return name.encode(error.encoding, "backslashreplace"), error.end
    _lacking.add(lacking[0])
    return codecs.backslashreplace_errors(error)


codecs.register_error(_ESCAPE, _escape)


@contextmanager
def any_text() -> Iterator[None]:
    """While the block runs, let standard output and error take any text; say afterwards what was escaped."""
    _lacking.clear()
    streams = [
        (stream, stream.encoding, stream.errors)
        for stream in (sys.stdout, sys.stderr)
        if isinstance(getattr(stream, "encoding", None), str) and hasattr(stream, "reconfigure")
    ]
    for stream, encoding, _ in streams:
        _set(stream, "utf-8" if _is_unset(encoding) else encoding, _ESCAPE)
    try:
        yield
    finally:
        with suppress(OSError, ValueError):  # as when nobody listens any more
            _remark()
        for stream, encoding, errors in streams:
            _set(stream, encoding, errors)


def _set(stream: Any, encoding: str, errors: str | None) -> None:
    """Change how a stream encodes; one that is closed or broken stays as it is."""
    with suppress(OSError, ValueError):
        stream.reconfigure(encoding=encoding, errors=errors)


def _is_unset(encoding: str) -> bool:
    """Whether an encoding says that nobody chose one: ASCII is that of systems without a locale.

    Python (PEP 538 and 540) and click write UTF-8 there, too, of which ASCII is a part.
    """
    try:
        return codecs.lookup(encoding).name == "ascii"
    except LookupError:
        return False


def _remark() -> None:
    """Say on standard error what was written as escapes."""
    halves = sorted(each for each in _lacking if is_half(each))
    others = sorted(_lacking.difference(halves))
    if halves:
        click.echo(
            "The output has half of a surrogate pair, which no encoding can hold. It is written as an escape, such as "
            f"{_escaped(halves[0])}.",
            err=True,
        )
    if others:
        click.echo(
            f"The encoding of standard output, {sys.stdout.encoding}, lacks some of the characters. They are written "
            f"as escapes, such as {_escaped(others[0])}. To have them as they are, set PYTHONIOENCODING=utf-8.",
            err=True,
        )


def _escaped(character: str) -> str:
    """Write one character as an escape."""
    return character.encode("ascii", "backslashreplace").decode("ascii")


def is_half(character: str) -> bool:
    """Whether a character is half of a surrogate pair.

    >>> is_half(chr(0xD83D)), is_half("😀")
    (True, False)
    """
    return "\ud800" <= character <= "\udfff"


def note_half() -> None:
    """Note for the remark that something has half of a surrogate pair, which is printed as an escape already."""
    _lacking.add("\ud83d")


def says(text: str) -> bool:
    """Whether standard output can say a text as it is."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def as_typed_text(text: str) -> str:
    """Read what was typed on the command line as the UTF-8 that it mostly is.

    Where the locale is said to know ASCII alone, Python keeps other bytes as halves of surrogate pairs. Paths must
    stay so, for the system has their names; see `as_path`. Bytes that are not UTF-8 stay as well.

    >>> as_typed_text("größer".encode().decode("ascii", "surrogateescape"))
    'größer'
    """
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return text


def as_path(text: str) -> str:
    """Name a file, whose name is given as a text, as the system has it.

    >>> as_path("größer.txt") == "größer.txt" or sys.getfilesystemencoding() != "utf-8"
    True
    """
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        with suppress(UnicodeError):
            return os.fsdecode(text.encode())
    return text
