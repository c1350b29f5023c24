"""Walks over JSON that take no more of Python's stack the deeper it is nested: models may nest as deep as they like."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from replicate_kit._formats.patterns import pattern

__all__ = ["MOST_NESTED", "is_nested_deeper", "is_text_nested_deeper", "leaves", "loads", "replace_leaves"]

MOST_NESTED = 700
"""How deep an output may be nested. Python reads and writes JSON of less than 1000 levels, its own calls included."""

_DECODER = json.JSONDecoder()
_MARGIN = 10  # levels that an answer of the API puts around an output, and more
_BRACKET = pattern(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def replace_leaves(value: Any, change: Callable[[Any], Any]) -> Any:
    """Copy JSON, with `change(leaf)` in the place of each leaf; it is called in the order of the JSON.

    >>> replace_leaves({"a": [1, {"b": 2}], "c": 3}, lambda leaf: -leaf)
    {'a': [-1, {'b': -2}], 'c': -3}
    """
    if not isinstance(value, list | dict):
        return change(value)
    whole = [value]
    todo: list[tuple[Any, Any]] = [(whole, 0)]
    while todo:
        holder, key = todo.pop()
        each = holder[key]
        if isinstance(each, list) and not any(issubclass(kind, list | dict) for kind in set(map(type, each))):
            holder[key] = [change(leaf) for leaf in each]  # as most are; it saves half of the time
        elif isinstance(each, list | dict):
            holder[key] = copy = list(each) if isinstance(each, list) else dict(each)
            todo += [
                (copy, inner) for inner in reversed(range(len(copy)) if isinstance(copy, list) else copy)
            ]
        else:
            holder[key] = change(each)
    return whole[0]


def leaves(value: Any) -> list[Any]:
    """List what is in JSON, in its order.

    >>> leaves({"a": [1, {"b": 2}], "c": 3})
    [1, 2, 3]
    """
    found: list[Any] = []
    replace_leaves(value, found.append)
    return found


def is_nested_deeper(value: Any, most: int) -> bool:
    """Whether JSON has lists and mappings within each other more than `most` levels deep.

    >>> is_nested_deeper([[1], {"a": 2}], 2), is_nested_deeper([[1], {"a": [2]}], 2)
    (False, True)
    """
    if isinstance(value, str):  # as most outputs are
        return False
    level = [value]
    for _ in range(most + 1):
        containers = [each for each in level if isinstance(each, list | dict)]
        if not containers:
            return False
        level = [
            inner for each in containers for inner in (each if isinstance(each, list) else each.values())
        ]
    return True


def is_text_nested_deeper(text: str, most: int) -> bool:
    """The same for JSON as a text.

    >>> is_text_nested_deeper('[["[", {}]]', 2), is_text_nested_deeper('[["[", {}]]', 3)
    (True, False)
    """
    if text.count("[") + text.count("{") <= most:  # as almost always
        return False
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += (found[0] in "[{") - (found[0] in "]}")
        if depth > most:
            return True
    return False


def loads(content: bytes) -> Any:
    """Decode JSON; where it is nested too deep for Python, None stands for what is too deep in it.

    What is left is still deeper than `MOST_NESTED`, so that it is seen that something is missing. A whole number that
    is too long for Python is a text.
    """
    try:
        return _loads(content)
    except RecursionError:
        return json.loads(_cut(content.decode("utf-8", "replace"), MOST_NESTED + _MARGIN), parse_int=_number)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return json.loads(content, parse_int=_number)


def _loads(content: bytes) -> Any:
    """Decode JSON, first of all as what nearly all is."""
    try:
        return _DECODER.decode(content.decode("utf-8"))
    except ValueError:
        return json.loads(content)  # which knows the other encodings, or says what is wrong


def _number(digits: str) -> int | str:
    """Read a whole number, if Python does (it refuses those of more than 4300 digits)."""
    try:
        return int(digits)
    except ValueError:
        return digits


def _cut(text: str, most: int) -> str:
    """Put null in the places of lists and mappings that are more than `most` levels deep in a JSON text."""
    parts: list[str] = []
    depth = kept = 0
    for found in _BRACKET.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth == most + 1:
                parts += [text[kept : found.start()], "null"]
        elif found[0] in "]}":
            depth -= 1
            if depth == most:
                kept = found.end()
    return "".join([*parts, text[kept:]] if depth <= most else parts)
