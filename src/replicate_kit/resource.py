"""Base of resources, and the pages that they list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from replicate_kit.errors import InvalidResponse

if TYPE_CHECKING:
    from replicate_kit.session import Session

__all__ = ["Page", "Resource", "walk"]

T = TypeVar("T")


class Resource:
    """A group of operations of the API. Subclass it to add one to every client, with the hook
    `replicate_resources`.

    Write each operation once, as `async def async_…`, and add its blocking twin with `blocking`. Await only
    `self.session`, or other operations.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    async def _page(
        self,
        path: str,
        cursor: str | None,
        make: Callable[[Any], T],
        filters: Mapping[str, Any] | None = None,
    ) -> Page[T]:
        """Fetch one page: the first of `path` with its filters, or the one that `cursor`, a link, leads
        to.
        """
        params = {key: value for key, value in (filters or {}).items() if value is not None}
        if cursor is None:
            return Page.load(await self.session.fetch("GET", path, params=params), make)
        if "://" in cursor:
            return Page.load(await self.session.fetch("GET", cursor), make)
        return Page.load(await self.session.fetch("GET", path, params={**params, "cursor": cursor}), make)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.session.base_url}>"


class Page(Generic[T]):
    """One page of a listing. Iterating, indexing and `len` are those of this page.

    `next` and `previous` are links to pass to the same `list` method, None at the ends.
    """

    def __init__(self, results: Sequence[T], next: str | None = None, previous: str | None = None) -> None:
        self.results, self.next, self.previous = list(results), next, previous

    @classmethod
    def load(cls, json: Any, make: Callable[[Any], T]) -> Page[T]:
        """Read a page as the API sends it; raises `InvalidResponse` if it is none."""
        if not isinstance(json, dict) or not isinstance(json.get("results"), list):
            raise InvalidResponse(
                "The API's answer is not a page of results. Check that base_url leads to Replicate's API."
            )
        return cls([make(each) for each in json["results"]], json.get("next"), json.get("previous"))

    def __iter__(self) -> Iterator[T]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self.results[index]

    def __bool__(self) -> bool:
        # An empty page is still a page: `while page:` ends when there is none.
        return True

    def __repr__(self) -> str:
        return repr(self.results)


async def walk(list_page: Callable[[str | None], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """Give the items of every page, fetching one when the last is used up."""
    cursor: str | None = None
    while True:
        page = await list_page(cursor)
        for item in page.results:
            yield item
        if not page.next:
            return
        cursor = page.next
