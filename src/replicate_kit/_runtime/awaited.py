"""Async generators that may be awaited as well, by code that was written for a function that gives one."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, Generic, ParamSpec, Self, TypeVar

__all__ = ["AwaitableGenerator", "awaitable_too"]

P = ParamSpec("P")
T = TypeVar("T")


class AwaitableGenerator(AsyncGenerator[T, None], Generic[T]):
    """An async generator; awaiting it gives itself, at once."""

    def __init__(self, source: AsyncGenerator[T]) -> None:
        self._source = source

    def __await__(self) -> Generator[Any, Any, Self]:
        yield from ()
        return self

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self._source.__anext__()  # no step of its own for each item

    async def asend(self, value: None, /) -> T:
        return await self._source.asend(value)

    async def athrow(self, *error: Any) -> T:
        return await self._source.athrow(*error)

    async def aclose(self) -> None:
        await self._source.aclose()


def awaitable_too(operation: Callable[P, AsyncGenerator[T]]) -> Callable[P, AwaitableGenerator[T]]:
    """Let what an operation gives be awaited before it is iterated.

    >>> from replicate_kit._runtime.blocking import run
    >>> @awaitable_too
    ... async def count():
    ...     yield 1
    ...     yield 2
    >>> async def listed():
    ...     return [each async for each in await count()]
    >>> run(listed())
    [1, 2]
    """

    @functools.wraps(operation)
    def called(*args: P.args, **options: P.kwargs) -> AwaitableGenerator[T]:
        return AwaitableGenerator(operation(*args, **options))

    return called
