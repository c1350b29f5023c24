"""Names with values, as callers pass them: params, headers, cookies, the fields of a form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["as_text", "entries", "pairs_of"]


def entries(given: Any) -> Iterable[Any]:
    """What is in a mapping, a mapping of several values, or pairs; nothing is said of their form.

    >>> list(entries({"a": 1})), list(entries([("a", 1), ("a", 2)])), list(entries(None))
    ([('a', 1)], [('a', 1), ('a', 2)], [])
    """
    found = getattr(given, "multi_items", getattr(given, "items", None))
    pairs: Iterable[Any] = found() if found is not None else given or ()
    return pairs


def pairs_of(given: Any) -> list[tuple[str, Any]]:
    """The names and values of a mapping, pairs, or the text of a query; of a list of values each one.

    >>> pairs_of("a=1&b=2"), pairs_of({"a": [1, 2]})
    ([('a', '1'), ('b', '2')], [('a', 1), ('a', 2)])
    """
    if isinstance(given, str | bytes):
        text = given.decode("ascii") if isinstance(given, bytes) else given
        return list(parse_qsl(text, keep_blank_values=True))
    pairs: list[tuple[str, Any]] = []
    for each in entries(given):
        name, value = (part.decode("latin-1") if isinstance(part, bytes) else part for part in each)
        pairs += [(name, one) for one in value] if isinstance(value, list | tuple) else [(name, value)]
    return pairs


def as_text(value: Any) -> str:
    """Write a value of a query or a form; constants as JSON has them.

    >>> as_text(True), as_text(None), as_text(1.5)
    ('true', '', '1.5')
    """
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
