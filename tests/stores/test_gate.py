"""Only so many transfers are on their way at a time, whoever drives them."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import trio

from replicate_kit import Client
from replicate_kit._runtime.blocking import run
from replicate_kit.stores._gate import Gate


class Count:
    """How many are inside, and how many were at most."""

    def __init__(self) -> None:
        self.inside, self.most, self.lock = 0, 0, threading.Lock()

    async def transfer(self, gate: Gate, client: Client) -> None:
        async with gate.entered(client.session):
            with self.lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
            await client.session.in_thread(lambda: time.sleep(0.001))
            with self.lock:
                self.inside -= 1


@pytest.fixture
def gate() -> Gate:
    return Gate(3)


def free(gate: Gate) -> tuple[int, int]:
    """The slots that are free, and the length of the line."""
    return gate._free, len(gate._waiting)


def test_tasks_threads_and_loops_share_one_gate(gate: Gate, client: Client) -> None:
    count = Count()

    async def tasks() -> None:
        await asyncio.gather(*(count.transfer(gate, client) for _ in range(20)))

    async def trio_tasks() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(count.transfer, gate, client)

    drivers = [lambda: asyncio.run(tasks()), lambda: trio.run(trio_tasks)]
    drivers += [lambda: run(count.transfer(gate, client))] * 10
    threads = [threading.Thread(target=each) for each in drivers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (count.most, count.inside, free(gate)) == (3, 0, (3, 0))


def test_whoever_is_cancelled_in_the_line_leaves_it(gate: Gate, client: Client) -> None:
    async def main() -> None:
        stay, inside = asyncio.Event(), asyncio.Semaphore(0)

        async def hold() -> None:
            async with gate.entered(client.session):
                inside.release()
                await stay.wait()

        tasks = [asyncio.create_task(hold()) for _ in range(5)]
        for _ in range(3):
            await inside.acquire()
        tasks[3].cancel()
        await asyncio.gather(tasks[3], return_exceptions=True)
        assert free(gate) == (0, 1)
        stay.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    assert free(gate) == (3, 0)


def test_failure_inside_gives_the_slot_back(gate: Gate, client: Client) -> None:
    async def fail() -> None:
        async with gate.entered(client.session):
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        run(fail())
    assert free(gate) == (3, 0)
