"""What servers do to the values that they show, and what values are made of, so that one tells of others like it."""

from __future__ import annotations

import html
import math
import struct
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from replicate_kit._unresolved.canonical import FILE, canonical, is_equal

__all__ = ["CHANGES", "Change", "is_cut", "is_edited", "kinds", "numbers", "relates"]

Change = Callable[[Any, Any], bool]
"""Says whether the first value, as it is shown, may be what became of the second, as it was sent."""

_LONG_ENOUGH = 20  # characters; shorter texts have much in common by chance
_MOSTLY = 0.6  # of a text
_MARK = 16  # characters that may stand at the end of a text that was cut, such as "… [truncated]"


def relates(change: Change, shown: Any, sent: Any) -> bool:
    """Whether a change leads from one value to the other, at any depth."""
    if isinstance(sent, dict) and isinstance(shown, dict):
        return sent.keys() == shown.keys() and all(relates(change, shown[key], sent[key]) for key in sent)
    if isinstance(sent, list) and isinstance(shown, list):
        return len(sent) == len(shown) and all(map(relates, [change] * len(sent), shown, sent))
    return is_equal(shown, sent) or change(shown, sent)


def _of_texts(change: Callable[[str], str]) -> Change:
    """A change that makes one text of several."""
    return lambda shown, sent: (
        isinstance(shown, str) and isinstance(sent, str) and change(shown) == change(sent)
    )


def _of_numbers(change: Callable[[float], Any]) -> Change:
    """A change that makes one number of several."""
    return lambda shown, sent: (
        _is_number(shown) and _is_number(sent) and _result(change, shown) == _result(change, sent)
    )


def _is_number(value: Any) -> bool:
    """Whether JSON has it as a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _result(change: Callable[[float], Any], number: float) -> Any:
    """What becomes of a number, or itself where it is too large for that."""
    try:
        return change(float(number))
    except OverflowError:
        return number


def _in_text(shown: Any, sent: Any) -> bool:
    """Whether one is the text that the other would be written as."""
    return isinstance(shown, str) != isinstance(sent, str) and _text(shown) == _text(sent)


def _text(value: Any) -> str:
    """Write a value as text; numbers in their canonical form."""
    if not isinstance(value, str):
        return canonical(value).lower()
    try:
        return canonical(float(value)) if math.isfinite(float(value)) else value.lower()
    except ValueError:
        return value.lower()


CHANGES: tuple[Change, ...] = (
    _of_texts(lambda text: unicodedata.normalize("NFKC", text)),
    _of_texts(lambda text: " ".join(text.split())),
    _of_texts(str.casefold),
    _of_texts(html.unescape),
    _of_texts(lambda text: text.encode("ascii", "ignore").decode()),
    _of_numbers(float),  # as doubles, which lack many whole numbers beyond 2**53
    _of_numbers(lambda number: struct.pack("f", number)),  # in four bytes
    _of_numbers(lambda number: f"{number:.6g}"),  # as %g of C writes them
    _in_text,
)


def is_cut(shown: Any, sent: Any) -> bool:
    """Whether a text may be the beginning of another, with a mark at its end or none."""
    if not (isinstance(shown, str) and isinstance(sent, str)) or shown == sent:
        return False
    same = _common(shown, sent)
    return same < len(sent) and same * 2 >= len(shown) and same >= len(shown) - _MARK


def is_edited(shown: Any, sent: Any) -> bool:
    """Whether a text may be another with something in the middle blotted out or put in its place."""
    if not (isinstance(shown, str) and isinstance(sent, str)):
        return False
    shorter = min(len(shown), len(sent))
    begin = _common(shown, sent)
    end = min(_common(shown[::-1], sent[::-1]), shorter - begin)
    return shorter >= _LONG_ENOUGH and begin + end >= _MOSTLY * shorter


def _common(one: str, other: str) -> int:
    """How many characters two texts have in common from their begin."""
    differs = (at for at, (each, its) in enumerate(zip(one, other, strict=False)) if each != its)
    return next(differs, min(len(one), len(other)))


def numbers(value: Any) -> Iterator[float]:
    """The numbers in a value, at any depth."""
    if _is_number(value):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from numbers(each)
    elif isinstance(value, dict):
        yield from numbers(list(value.values()))


def kinds(value: Any) -> Iterator[str]:
    """What a value is made of: of these, each must have been seen before a difference counts."""
    if isinstance(value, str):
        yield from _kinds_of_text(value)
    elif _is_number(value):
        yield from _kinds_of_number(value)
    elif isinstance(value, list):
        yield "list" if value else "empty list"
        for each in value:
            yield from kinds(each)
    elif isinstance(value, dict):
        yield from ("object", *(f"key {key}" for key in value if key != FILE))
        for key, each in value.items():
            yield from ("file",) if key == FILE else kinds(each)
    else:
        yield str(value)


@lru_cache(maxsize=1024)  # a text that is looked for is compared with all that are listed
def _kinds_of_text(text: str) -> tuple[str, ...]:
    """The kinds of characters in a text, and what else is changed at times."""
    return tuple(_seen_in(text))


def _seen_in(text: str) -> Iterator[str]:
    """Go through a text."""
    yield "text" if text else "empty text"
    for character in set(text):
        yield _kind_of_character(character)
    if text != text.strip():
        yield "space at an end"
    if text != " ".join(text.split()):
        yield "space of another kind"
    if not unicodedata.is_normalized("NFC", text):
        yield "not composed"
    if _text(text) != text.lower() or text.lower() in ("true", "false", "null", "none") or text.isdecimal():
        yield "looks like a number or constant"
    if "://" in text[:12] or text.startswith("data:"):
        yield "URL"


def _kind_of_character(character: str) -> str:
    """Letters and digits of ASCII are alike; marks are not, since each may be escaped or removed."""
    if character.isascii():
        return (character.isalpha() and ("A-Z" if character.isupper() else "a-z")) or (
            "0-9" if character.isdigit() else character
        )
    plane = "beyond the first plane" if character > "\uffff" else ""
    return f"{unicodedata.category(character)} {plane}"


def _kinds_of_number(number: float) -> Iterator[str]:
    """The ways in which numbers are stored: which of them keep this one as it is."""
    yield "negative number" if number < 0 else "number"
    if isinstance(number, int) or number.is_integer():
        yield next((f"{bits} bits" for bits in (24, 31, 53, 63) if abs(number) < 2**bits), "many bits")
    else:
        single = _result(lambda each: struct.unpack("f", struct.pack("f", each))[0], number) == number
        yield "fraction of 24 bits" if single else "fraction"
        yield "more than 6 digits" if float(f"{number:.6g}") != number else "6 digits"
        yield "exponent" if not 1e-4 <= abs(number) < 1e15 else "no exponent"
