"""What a journal keeps of inputs where it is told to keep none: hashes, by which rows are found again.

The hash is plain SHA-256 of the canonical input, without a secret: whoever can guess an input can see that it is that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "HASHED",
    "JournalInputs",
    "count_kept",
    "input_hash",
    "is_hash",
    "redacted",
    "without_inputs",
]

JournalInputs = Literal["keep", "hash"]
"""What a journal holds of inputs: their canonical JSON, or its hash alone."""

HASHED = "sha256:"  # no canonical input begins so: those begin with a brace
_REDACTED = "[REDACTED]"
_SHORTEST = 4  # characters; shorter texts are parts of too many words that say what went wrong


def input_hash(text: str) -> str:
    """The hash of a canonical input; what is one already stays so.

    >>> input_hash('{"n":1}')[:14]
    'sha256:2bfd14f'
    """
    if is_hash(text):
        return text
    return HASHED + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_hash(text: str) -> bool:
    """Whether a journal holds a hash in place of an input."""
    return text.startswith(HASHED)


def without_inputs(error: dict[str, Any] | None, text: str) -> dict[str, Any] | None:
    """An error that is to be written down, without the texts of an input that it quotes.

    >>> without_inputs({"kind": "ModelError", "message": "no 'a wombat' here"}, '{"prompt":"a wombat"}')
    {'kind': 'ModelError', 'message': "no '[REDACTED]' here"}
    """
    if error is None or is_hash(text) or not text:
        return error
    # Not the names of the inputs: those are the model's, and say what is wrong.
    values = json.loads(text).values()
    quoted = {each for value in values for found in _texts(value) for each in _spellings(found)}
    # A short text may be part of a longer one. If the short one went first, the rest of the longer one would stay.
    longest_first = sorted(quoted, key=len, reverse=True)
    return {
        name: value if name == "kind" else _redacted(value, longest_first) for name, value in error.items()
    }


def redacted(error: str | None, text: str | None) -> str | None:
    """The same for an error as a journal holds it, in JSON."""
    if error is None or text is None:
        return error
    return json.dumps(without_inputs(json.loads(error), text), separators=(",", ":"))


def count_kept(db: sqlite3.Connection) -> int:
    """How many rows of a journal have their inputs in it."""
    found = db.execute("SELECT COUNT(*) FROM items WHERE substr(input, 1, ?) != ?", (len(HASHED), HASHED))
    return int(found.fetchone()[0])


def _texts(value: Any) -> Iterator[str]:
    """The texts in an input that can be told from other words."""
    if isinstance(value, str):
        if len(value.strip()) >= _SHORTEST:
            yield value
    elif isinstance(value, dict | list):
        for each in chain(value, value.values()) if isinstance(value, dict) else value:
            yield from _texts(each)


def _spellings(text: str) -> Iterator[str]:
    """How an error may quote a text: as it is, without the space around it, and with its marks escaped."""
    yield text
    yield text.strip()
    for spelled in (repr(text), json.dumps(text), json.dumps(text, ensure_ascii=False)):
        yield spelled[1:-1]


def _redacted(value: Any, quoted: list[str]) -> Any:
    """Walk through what an error holds."""
    if isinstance(value, str):
        for each in quoted:
            value = value.replace(each, _REDACTED)
        return value
    if isinstance(value, dict):
        return {_redacted(key, quoted): _redacted(each, quoted) for key, each in value.items()}
    return [_redacted(each, quoted) for each in value] if isinstance(value, list) else value
