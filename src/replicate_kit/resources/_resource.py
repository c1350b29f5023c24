"""Base of resources, and the pages that they list."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from replicate_kit._formats.arguments import text
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit._moved import answering
from replicate_kit._runtime.blocking import iterate
from replicate_kit._runtime.tracebacks import async_entrance
from replicate_kit.errors import InvalidResponse
from replicate_kit.records import Record

if TYPE_CHECKING:
    from replicate_kit._http.session import Session

__all__ = ["Page", "Resource", "async_paginate", "joined", "paginate", "present", "walk"]

T = TypeVar("T")
K = TypeVar("K", bound=Record)


@with_safe_repr
class Resource:
    """A group of operations of the API. Subclass it to add one to every client, with the hook
    `replicate_resources`.

    Write each operation once, as `async def async_…`, and add its blocking twin with `blocking`. Await only
    `self.session`, or other operations.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    async def _get(self, kind: type[K], path: str) -> K:
        """Fetch one thing."""
        return self._load(kind, await self.session.fetch("GET", path))

    async def _page(
        self, kind: type[K], path: str, cursor: str | None, filters: Mapping[str, Any] | None = None
    ) -> Page[K]:
        """Fetch one page: the first of `path` with its filters, or the one that `cursor` leads to."""
        cursor = text("cursor", cursor, "the next or previous of a page")
        if cursor is not None and "://" in cursor:
            return self._load_page(kind, await self.session.fetch("GET", cursor))
        params = present({**(filters or {}), "cursor": cursor})
        return self._load_page(kind, await self.session.fetch("GET", path, params=params))

    def _load(self, kind: type[K], json: Any) -> K:
        """Make the record of one thing that the API sent."""
        if not isinstance(json, dict):
            name = kind.__name__.lower()
            raise InvalidResponse(
                f"The API's answer is not {'an' if name[0] in 'aeiou' else 'a'} {name}. Check that base_url leads to "
                "Replicate's API."
            )
        return kind(json, self.session)

    def _load_page(self, kind: type[K], json: Any) -> Page[K]:
        """Make the page that the API sent."""
        if not isinstance(json, dict) or not isinstance(json.get("results"), list):
            raise InvalidResponse(
                "The API's answer is not a page of results. Check that base_url leads to Replicate's API."
            )
        results = [self._load(kind, each) for each in json["results"]]
        return Page(results, _link(json.get("next")), _link(json.get("previous")))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.session.base_url}>"


@with_safe_repr
class Page(Generic[T]):
    """One page of a listing. Iterating, indexing and `len` are those of this page.

    `next` and `previous` are links to pass to the same `list` method, None at the ends.
    """

    def __init__(self, results: Sequence[T], next: str | None = None, previous: str | None = None) -> None:
        self.results, self.next, self.previous = list(results), next, previous

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


def _link(value: Any) -> str | None:
    """Take a link to another page; anything else is none."""
    return value if isinstance(value, str) and value else None


def present(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what was not given."""
    return {key: value for key, value in mapping.items() if value is not None}


def joined(ref: Any, name: str | None) -> Any:
    """Write an owner and a name as one text; without a name, give what names both."""
    return ref if text("name", name) is None else f"{ref}/{name}"


@async_entrance
@answering("paginate")
async def async_paginate(
    list_page: Callable[..., Page[T] | Awaitable[Page[T]]], cursor: str | None = None, /, **filters: Any
) -> AsyncGenerator[Page[T]]:
    """Give page after page of a `list` method, or of its `async_` form, fetching the next one when it is
    asked for.

    `cursor` is where to start, `filters` are those of the method.
    """
    while True:
        answer = list_page(cursor) if cursor is not None else list_page(**filters)
        page = await answer if isinstance(answer, Awaitable) else answer
        yield page
        if not page.next:
            return
        cursor = page.next


@answering("paginate")
def paginate(
    list_page: Callable[..., Page[T]], cursor: str | None = None, /, **filters: Any
) -> Iterator[Page[T]]:
    """Give page after page of a `list` method, fetching the next one when it is asked for.

    >>> from replicate_kit import Client, paginate
    >>> client = Client(backend="mock")
    >>> "demo/painter" in [f"{model.owner}/{model.name}" for page in paginate(client.models.list) for model in page]
    True
    """
    return iterate(async_paginate(list_page, cursor, **filters))


async def walk(list_page: Callable[..., Awaitable[Page[T]]], /, **filters: Any) -> AsyncIterator[T]:
    """Give the items of every page, fetching one when the last is used up."""
    async with aclosing(async_paginate(list_page, **filters)) as pages:
        async for page in pages:
            for item in page.results:
                yield item
