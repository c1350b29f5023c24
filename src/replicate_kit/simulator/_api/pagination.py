"""Pages of a listing, with the opaque cursors of the real API."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qs, urlencode

from replicate_kit.simulator._state.clock import format_time, parse_time
from replicate_kit.simulator._state.problems import not_found

__all__ = ["Cursor", "cut"]

T = TypeVar("T")


class Cursor(NamedTuple):
    """Where a page begins: at what is older than `position`, or newer if it is `reverse`."""

    position: int
    reverse: bool = False

    def encode(self) -> str:
        """Write it: base64 of `p=2023-11-15+05:03:47.203903+00:00`."""
        time = format_time(self.position)[:-1].replace("T", " ") + "+00:00"
        fields = {"r": "1", "p": time} if self.reverse else {"p": time}
        return base64.b64encode(urlencode(fields).encode()).decode()

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Read one; a text that is none is answered with 404, as by the real API."""
        try:
            fields = parse_qs(base64.b64decode(text, validate=True).decode(), strict_parsing=True)
            return cls(parse_time(fields["p"][0]), "r" in fields)
        except (binascii.Error, ValueError, KeyError, OverflowError):
            raise not_found("Invalid cursor") from None


def cut(
    items: Sequence[T],
    time: Callable[[T], int],
    size: int,
    cursor: Cursor | None,
    bounds: tuple[int, int] | None = None,
) -> tuple[list[T], Cursor | None, Cursor | None]:
    """Cut a page out of `items`, which are sorted by `time`, oldest first; the page has its newest first.

    `bounds` leaves out what is before the first and from the second time on.
    """
    # A time alone is a cursor because the clock gives no stamp twice: no two items share one.
    low = bisect_left(items, bounds[0], key=time) if bounds else 0
    high = bisect_left(items, bounds[1], key=time) if bounds else len(items)
    if cursor is None:
        end = high
    elif cursor.reverse:
        end = min(high, max(low, bisect_right(items, cursor.position, key=time)) + size)
    else:
        end = max(low, min(high, bisect_left(items, cursor.position, key=time)))
    begin = max(low, end - size)
    page = list(items[begin:end])[::-1]
    after = Cursor(time(page[-1])) if page and begin > low else None
    before = Cursor(time(page[0]), reverse=True) if page and end < high else None
    return page, after, before
