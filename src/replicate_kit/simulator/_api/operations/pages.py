"""Listings, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote

from replicate_kit.simulator._api.exchange import Call
from replicate_kit.simulator._api.pagination import Cursor, cut

__all__ = ["page"]

T = TypeVar("T")


def page(
    call: Call,
    items: Sequence[T],
    time: Callable[[T], int],
    write: Callable[[T], Any],
    *,
    # Predictions and trainings come by 100 instead (OpenAPI: predictions.list, trainings.list).
    size: int = 25,
    bounds: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Give the page that the request asks for, with absolute links to its neighbours."""
    text = call.query.get("cursor")
    found, after, before = cut(items, time, size, Cursor.decode(text) if text else None, bounds)
    return {
        "next": _link(call, after),
        "previous": _link(call, before),
        "results": [write(each) for each in found],
    }


def _link(call: Call, cursor: Cursor | None) -> str | None:
    """The URL of the same listing at another place."""
    if cursor is None:
        return None
    # The rest of the query stays in the link: a cursor does not say how to sort or what to leave out.
    query = {**dict(call.query), "cursor": cursor.encode()}
    prefix = call.service.links.prefix
    path = unquote(call.request.url.path).removeprefix(prefix).strip("/")
    return call.service.links.operation(*path.split("/"), **query)
