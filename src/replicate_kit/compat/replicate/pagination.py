"""Pages, and walking from one to the next."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from typing import Any, TypeVar

from replicate_kit._formats.wording import with_safe_repr
from replicate_kit.compat.replicate.resource import Resource
from replicate_kit.resources import _resource

__all__ = ["Page", "Resource", "async_paginate", "paginate"]

T = TypeVar("T")


@with_safe_repr
class Page(_resource.Page[T]):
    """One of our pages, made and shown as those of 1.x; an empty one is false."""

    def __init__(self, results: Sequence[T], next: str | None = None, previous: str | None = None) -> None:
        super().__init__(results, next, previous)

    def dict(self) -> Any:
        """The page as plain Python values."""
        results: list[Any] = [getattr(each, "dict", lambda each=each: each)() for each in self.results]
        return {"previous": self.previous, "next": self.next, "results": results}

    def __bool__(self) -> bool:
        return bool(self.results)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Page) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Page(previous={self.previous!r}, next={self.next!r}, results={self.results!r})"


def paginate(list_method: Callable[[Any], Page[T]]) -> Generator[Page[T]]:
    """Give page after page of what a `list` method lists."""
    cursor: Any = ...
    while cursor is not None:
        page = list_method(cursor)
        yield page
        cursor = page.next


async def async_paginate(list_method: Callable[[Any], Awaitable[Page[T]]]) -> AsyncGenerator[Page[T]]:
    """Give page after page of what an `async_list` method lists."""
    cursor: Any = ...
    while cursor is not None:
        page = await list_method(cursor)
        yield page
        cursor = page.next
