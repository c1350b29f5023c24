"""What makes two rows the same: the model and the canonical form of their inputs, files by their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["FILE", "canonical", "digest", "fingerprint", "fingerprint_of_text", "is_equal", "normal", "read"]

_DECODER = json.JSONDecoder()
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)

FILE = "$replicate_kit_file"  # the key of what stands for a file in a canonical input


def canonical(value: Any) -> str:
    """Write JSON in the one form that equal inputs share: keys sorted, whole numbers without a fraction.

    >>> canonical({"b": 2.0, "a": "é"})
    '{"a":"é","b":2}'
    """
    return _ENCODER.encode(normal(value))


def read(text: str) -> Any:
    """Read JSON as `json.loads` does, and faster what has no space around it, as what we have written.

    >>> read('{"a":"é","b":2}')
    {'a': 'é', 'b': 2}
    """
    try:
        value, end = _DECODER.raw_decode(text)
    except ValueError:
        return json.loads(text)  # it may begin with space; else this says what is wrong
    return value if end == len(text) else json.loads(text)


def normal(value: Any) -> Any:
    """Write whole numbers alike, as a table's column of integers with a gap makes fractions of them."""
    kind = type(value)
    if kind is float:
        # From 2**53 on a float stands for several whole numbers, and nobody knows which of them was meant.
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if kind is dict:
        return {key: each if type(each) is str else normal(each) for key, each in value.items()}
    if kind is list:
        return [normal(each) for each in value]
    return value


def is_equal(value: Any, other: Any) -> bool:
    """Whether two values have one canonical form."""
    if type(value) is str and type(other) is str:  # most are, and may be long
        return value == other
    return canonical(value) == canonical(other)


def digest(target: str, text: str) -> bytes:
    """The key of a row: 16 bytes of the model and its canonical input."""
    # JSON escapes the zero character, so that no model and input together are the text of another pair. In 128 bits no
    # two of a billion rows have the same key by chance, which would give one of them the output of the other.
    return _hash(f"{target}\0{text}")


def fingerprint(input: Mapping[str, Any]) -> bytes:
    """What a listed prediction is recognised by: its input as it was sent, inputs that are null left out."""
    return _hash(canonical({key: value for key, value in input.items() if value is not None}))


def fingerprint_of_text(text: str) -> bytes:
    """The fingerprint of an input in canonical form that is sent as it is.

    >>> from replicate_kit._unresolved.canonical import fingerprint
    >>> fingerprint_of_text('{"n":2}') == fingerprint({"n": 2.0, "seed": None})
    True
    """
    return fingerprint(read(text)) if "null" in text else _hash(text)


def _hash(text: str) -> bytes:
    """16 bytes of a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
