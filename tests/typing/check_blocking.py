"""What `blocking` makes of an operation's type. Checkers read this file; nobody runs it."""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from replicate_kit._runtime.blocking import blocking


class Store:
    async def async_get(self, key: str, /, *, depth: int = 1) -> bytes:
        return key.encode() * depth

    async def async_walk(self, start: int) -> AsyncIterator[float]:
        yield float(start)

    get = blocking(async_get)
    walk = blocking(async_walk)


def twins_take_the_same_parameters(store: Store) -> None:
    assert_type(store.get("key", depth=2), bytes)
    assert_type(store.walk(start=1), Iterator[float])


def wrong_parameters_are_errors(store: Store) -> None:
    store.get(key="key")  # type: ignore[call-arg]
    store.get("key", depth="two")  # type: ignore[arg-type]
    store.walk()  # type: ignore[call-arg]
