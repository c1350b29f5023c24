"""Operations are written once: `run`, `iterate` and `blocking` step them on the caller's thread."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
from collections.abc import AsyncIterator

import pytest

from replicate_kit._runtime.blocking import blocking, is_blocking, iterate, run


class Store:
    def __init__(self) -> None:
        self.closed = 0

    async def async_get(self, key: str, /, *, depth: int = 1) -> tuple[str, bool]:
        """Fetch what is at a key."""
        if not key:
            raise LookupError("empty")
        return key * depth, is_blocking()

    async def async_walk(self, count: int) -> AsyncIterator[tuple[int, bool]]:
        """Give numbers."""
        try:
            for number in range(count):
                yield number, is_blocking()
        finally:
            self.closed += 1

    get = blocking(async_get)
    walk = blocking(async_walk)


def test_run_returns_the_result() -> None:
    assert Store().get("a", depth=2) == ("aa", True)


def test_run_lets_errors_through() -> None:
    with pytest.raises(LookupError, match="empty"):
        Store().get("")


def test_no_operation_is_blocking_outside_of_run() -> None:
    assert not is_blocking()
    Store().get("a")
    assert not is_blocking()
    assert asyncio.run(Store().async_get("a")) == ("a", False)


def test_run_nests() -> None:
    async def outer() -> list[bool]:
        inner = Store().get("a")[1]
        return [inner, is_blocking()]

    assert run(outer()) == [True, True]


def test_run_names_an_operation_that_waits_for_a_loop() -> None:
    async def waits() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            left.append(is_blocking())

    left: list[bool] = []
    with pytest.raises(RuntimeError, match=r"waits waited for an event loop inside a blocking call"):
        run(waits())
    assert left == [True]  # its blocks were left, still under the same driver


def test_run_works_inside_a_running_loop() -> None:
    async def cell() -> tuple[object, list[tuple[int, bool]], tuple[str, bool]]:
        hooks = sys.get_asyncgen_hooks()
        walked = list(Store().walk(2))
        assert sys.get_asyncgen_hooks() == hooks
        return Store().get("a"), walked, await Store().async_get("a")

    assert asyncio.run(cell()) == (("a", True), [(0, True), (1, True)], ("a", False))


def test_iterate_gives_the_items_in_turn() -> None:
    store = Store()
    assert [number for number, _ in store.walk(3)] == [0, 1, 2]
    assert store.closed == 1


def test_iterate_closes_a_generator_that_is_left_early() -> None:
    store = Store()
    walking = store.walk(3)
    assert next(walking) == (0, True)
    assert not is_blocking()  # between two items the caller is on its own
    walking.close()
    assert store.closed == 1


def test_a_forgotten_iterator_closes_its_generator_when_collected() -> None:
    store = Store()
    next(store.walk(3))
    gc.collect()
    assert store.closed == 1


def test_iterate_takes_iterators_that_are_no_generators() -> None:
    class Countdown:
        left = 2

        def __aiter__(self) -> Countdown:
            return self

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

    assert list(iterate(Countdown())) == [1, 0]


def test_iterate_lets_errors_through() -> None:
    async def breaks() -> AsyncIterator[int]:
        yield 1
        raise ValueError("broken")

    items = iterate(breaks())
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_a_twin_has_signature_docstring_and_its_own_name() -> None:
    for twin, origin in ((Store.get, Store.async_get), (Store.walk, Store.async_walk)):
        assert inspect.signature(twin) == inspect.signature(origin)
        assert twin.__doc__ == origin.__doc__
    assert Store.get.__qualname__ == "Store.get"
    assert not inspect.iscoroutinefunction(Store.get)


def test_a_twin_is_bound_like_a_method() -> None:
    store = Store()
    assert store.get.__self__ is store  # type: ignore[attr-defined]
    assert Store.get(store, "b") == ("b", True)  # type: ignore[call-arg, arg-type]
