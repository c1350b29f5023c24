"""Fields inside of cells of JSON lines and Parquet, named by a path: `input.prompt`, `messages.0.content`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

__all__ = ["find_paths", "reached"]

_SHOWN = 100  # rows whose fields are named where a path leads nowhere


def reached(value: Any, path: str) -> Any:
    """Give what a path leads to in a row, None where that is nothing. Names that have dots in them come first.

    >>> row = {"input": {"prompt": "sea", "a.b": [1, 2]}}
    >>> reached(row, "input.prompt"), reached(row, "input.a.b.1"), reached(row, "input.seed")
    ('sea', 2, None)
    """
    if isinstance(value, list):
        value = {str(number): each for number, each in enumerate(value)}
    if not isinstance(value, Mapping):
        return None
    if path in value:
        return value[path]
    heads = (path[:dot] for dot in reversed(range(len(path))) if path[dot] == ".")
    found = (reached(value[head], path[len(head) + 1 :]) for head in heads if head in value)
    return next((each for each in found if each is not None), None)


def find_paths(
    names: Iterable[str], columns: Sequence[str], rows: Callable[[], Generator[Mapping[str, Any]]]
) -> list[str]:
    """Find those of the names that are no columns, and lead to something in a row at least.

    Where one leads nowhere, the fields that there are in the first rows are given as well, for the message.
    """
    missing = set(names) - set(columns)
    heads = tuple(f"{each}." for each in columns)
    found = {name for name in missing if name.startswith(heads)}
    left = set(found)
    with closing(rows()) as given:
        for row in given if left else ():
            left -= {name for name in left if reached(row, name) is not None}
            if not left:
                break
    if missing == found - left:
        return sorted(found)
    with closing(rows()) as given:
        fields = dict.fromkeys(each for row in islice(given, _SHOWN) for each in _fields(row))
    return [each for each in {**dict.fromkeys(sorted(found - left)), **fields} if each not in columns]


def _fields(row: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Name the fields of a row, at any depth."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _fields(value, f"{before}{name}.")
        else:
            yield f"{before}{name}"
