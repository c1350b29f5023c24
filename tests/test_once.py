"""Something is done once for each key, whoever asks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import Any

import anyio
import pytest

from replicate_kit import Client, _once
from replicate_kit._blocking import run
from replicate_kit._once import Once
from replicate_kit.testing.suites import Drive


def test_a_result_is_kept_for_as_long_as_it_is_good(client: Client, clock: Any, drive: Drive) -> None:
    once, made = Once(), list[int]()

    async def make() -> tuple[int, float]:
        made.append(1)
        return len(made), 10.0

    async def main() -> list[int]:
        found = []
        for seconds in (0, 9, 2):
            clock.time += seconds
            found.append(await once("key", make, client.session))
        return [*found, await once("another", make, client.session)]

    assert drive(main()) == [1, 1, 2, 3]


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_whoever_comes_meanwhile_waits_for_it(client: Client, library: str) -> None:
    once, made = Once(), list[int]()

    async def make() -> tuple[str, float]:
        made.append(1)
        await anyio.sleep(0.02)
        return "result", 10.0

    async def main() -> list[str]:
        found: list[str] = []

        async def ask() -> None:
            found.append(await once("key", make, client.session))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
        return found

    assert anyio.run(main, backend=library) == ["result"] * 5
    assert made == [1]


def test_threads_wait_for_each_other(client: Client) -> None:
    once, made, gate = Once(), list[int](), threading.Event()

    async def make() -> tuple[str, float]:
        made.append(1)
        gate.wait(5)
        return "result", 10.0

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(lambda: run(once("key", make, client.session))) for _ in range(4)]
        gate.set()
        assert [each.result() for each in asked] == ["result"] * 4
    assert made == [1]


def test_after_a_failure_the_next_one_tries(client: Client) -> None:
    once, tried = Once(), list[int]()

    async def make() -> tuple[str, float]:
        tried.append(1)
        await asyncio.sleep(0.01)
        if len(tried) == 1:
            raise OSError("no luck")
        return "result", 10.0

    async def main() -> list[Any]:
        asking = (once("key", make, client.session) for _ in range(3))
        return await asyncio.gather(*asking, return_exceptions=True)

    first, *others = asyncio.run(main())
    assert isinstance(first, OSError)
    assert others == ["result", "result"]
    assert len(tried) == 2


def test_a_blocking_call_does_not_wait_for_ever_for_a_task_of_the_loop_that_it_holds_up(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_once, "_PATIENCE", 0.05)
    once = Once()

    async def slowly() -> tuple[str, float]:
        await asyncio.sleep(0.01)
        return "by the task", 10.0

    async def at_once() -> tuple[str, float]:
        return "by the call", 10.0

    async def cell() -> list[str]:
        task = asyncio.create_task(once("key", slowly, client.session))
        await asyncio.sleep(0)
        return [run(once("key", at_once, client.session)), await task]

    assert asyncio.run(cell()) == ["by the call", "by the task"]
