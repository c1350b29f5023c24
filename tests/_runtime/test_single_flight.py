"""Something is done once for each key, whoever asks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from typing import Any

import anyio
import httpx
import pytest

from replicate_kit import Client
from replicate_kit._runtime.blocking import run
from replicate_kit._runtime.single_flight import SingleFlight, again
from replicate_kit.errors import NotFound
from replicate_kit.testing.suites import Drive


def test_a_result_is_kept_for_as_long_as_it_is_good(client: Client, clock: Any, drive: Drive) -> None:
    single_flight, made = SingleFlight(), list[int]()

    async def make() -> tuple[int, float]:
        made.append(1)
        return len(made), 10.0

    async def main() -> list[int]:
        found = []
        for seconds in (0, 9, 2):
            clock.time += seconds
            found.append(await single_flight("key", make, client.session))
        return [*found, await single_flight("another", make, client.session)]

    assert drive(main()) == [1, 1, 2, 3]


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_whoever_comes_meanwhile_waits_for_it(client: Client, library: str) -> None:
    single_flight, made = SingleFlight(), list[int]()

    async def make() -> tuple[str, float]:
        made.append(1)
        await anyio.sleep(0.02)
        return "result", 10.0

    async def main() -> list[str]:
        found: list[str] = []

        async def ask() -> None:
            found.append(await single_flight("key", make, client.session))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
        return found

    assert anyio.run(main, backend=library) == ["result"] * 5
    assert made == [1]


def test_threads_wait_for_each_other(client: Client) -> None:
    single_flight, made, gate = SingleFlight(), list[int](), threading.Event()

    async def make() -> tuple[str, float]:
        made.append(1)
        gate.wait(5)
        return "result", 10.0

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(lambda: run(single_flight("key", make, client.session))) for _ in range(4)]
        gate.set()
        assert [each.result() for each in asked] == ["result"] * 4
    assert made == [1]


def test_after_a_failure_the_next_one_tries(client: Client) -> None:
    single_flight, tried = SingleFlight(), list[int]()

    async def make() -> tuple[str, float]:
        tried.append(1)
        await asyncio.sleep(0.01)
        if len(tried) == 1:
            raise OSError("no luck")
        return "result", 10.0

    async def main() -> list[Any]:
        asking = (single_flight("key", make, client.session) for _ in range(3))
        return await asyncio.gather(*asking, return_exceptions=True)

    first, *others = asyncio.run(main())
    assert isinstance(first, OSError)
    assert others == ["result", "result"]
    assert len(tried) == 2


def test_if_it_fails_twice_all_who_waited_fail_with_it(client: Client) -> None:
    single_flight, tried = SingleFlight(), list[int]()

    async def make() -> tuple[str, float]:
        tried.append(1)
        await asyncio.sleep(0.01)
        raise OSError(f"no luck, {len(tried)}")

    async def main() -> list[Any]:
        asking = (single_flight("key", make, client.session) for _ in range(50))
        return await asyncio.gather(*asking, return_exceptions=True)

    assert [str(each) for each in asyncio.run(main())] == ["no luck, 1"] + ["no luck, 2"] * 49
    assert len(tried) == 2


def test_a_result_that_is_good_for_no_time_is_for_those_who_wait_for_it(client: Client) -> None:
    single_flight, made = SingleFlight(), list[int]()

    async def make() -> tuple[int, float]:
        made.append(1)
        await asyncio.sleep(0.01)
        return len(made), 0.0

    async def main() -> list[int]:
        found = await asyncio.gather(*(single_flight("key", make, client.session) for _ in range(3)))
        return [*found, await single_flight("key", make, client.session)]

    assert asyncio.run(main()) == [1, 1, 1, 2]
    assert not single_flight._flights


@pytest.mark.parametrize("stopped", [OSError, KeyboardInterrupt, asyncio.CancelledError])
def test_threads_that_wait_for_what_fails_or_is_stopped_do_not_hang(
    client: Client, stopped: type[BaseException]
) -> None:
    single_flight, made, begun, gate = SingleFlight(), list[int](), threading.Event(), threading.Event()

    async def make() -> tuple[str, float]:
        made.append(1)
        begun.set()
        gate.wait(10)
        if len(made) == 1:
            raise stopped
        return "result", 10.0

    def first() -> bool:
        with pytest.raises(stopped):
            run(single_flight("key", make, client.session))
        return True

    class Watched:
        """The session, which tells when somebody waits."""

        def now(self) -> float:
            return client.session.now()

        async def wait(self, future: Any, timeout: float | None, /) -> bool:
            threading.Timer(0.01, gate.set).start()
            return await client.session.wait(future, timeout)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        failing = pool.submit(first)
        begun.wait(10)
        others = [pool.submit(lambda: run(single_flight("key", make, Watched()))) for _ in range(3)]
        assert [each.result(20) for each in others] == ["result"] * 3
        assert failing.result(10)
    assert len(made) == 2


def test_each_who_fails_has_an_error_of_their_own() -> None:
    error = NotFound("gone", status=404, request=httpx.Request("GET", "https://api.test"))
    error.add_note("seen")
    twin = again(error)
    twin.add_note("raised again")
    assert (type(twin), str(twin), twin.status, twin.request) == (NotFound, "gone", 404, error.request)
    assert error.__notes__ == ["seen"]
    assert twin.__traceback__ is None


def test_an_error_that_cannot_be_copied_is_raised_as_it_is() -> None:
    class Stubborn(Exception):
        def __init__(self, *, text: str) -> None:
            super().__init__(text)

    error = Stubborn(text="no copies")
    assert again(error) is error


def test_a_flight_that_does_not_end_is_taken_over(client: Client) -> None:
    """The loop of who makes it may have stopped, and nobody told."""
    single_flight, made = SingleFlight(), list[str]()

    async def never() -> tuple[str, float]:
        await asyncio.sleep(3600)
        return "too late", 10.0

    async def make() -> tuple[str, float]:
        made.append("again")
        await asyncio.sleep(0.01)
        return "result", 10.0

    stuck = single_flight("key", never, client.session)
    loop = asyncio.new_event_loop()
    task = loop.create_task(stuck)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()  # and it does not go on

    async def main() -> list[str]:
        return await asyncio.gather(
            *(single_flight("key", make, client.session, patience=0.5) for _ in range(20))
        )

    assert asyncio.run(main()) == ["result"] * 20
    assert made == ["again"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
    assert asyncio.run(main()) == ["result"] * 20  # the one that came late took nothing away


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_does_not_wait_for_what_a_thread_of_its_parent_was_making(client: Client) -> None:
    single_flight, begun, gate = SingleFlight(), threading.Event(), threading.Event()

    async def make() -> tuple[str, float]:
        begun.set()
        gate.wait(10)
        return "by the parent", 10.0

    async def at_once() -> tuple[str, float]:
        return "by the child", 10.0

    thread = threading.Thread(target=lambda: run(single_flight("key", make, client.session)))
    thread.start()
    begun.wait(10)
    with single_flight._lock:  # and another thread may have held this
        child = os.fork()
        if child == 0:  # pragma: no cover - nothing collects the child's coverage
            os._exit(0 if run(single_flight("key", at_once, client.session)) == "by the child" else 1)
    gate.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert run(single_flight("key", at_once, client.session)) == "by the parent"


def test_a_blocking_call_does_not_wait_for_a_task_of_the_loop_that_it_holds_up(client: Client) -> None:
    single_flight = SingleFlight()

    async def slowly() -> tuple[str, float]:
        await asyncio.sleep(0.01)
        return "by the task", 10.0

    async def at_once() -> tuple[str, float]:
        return "by the call", 10.0

    async def cell() -> list[str]:
        task = asyncio.create_task(single_flight("key", slowly, client.session))
        await asyncio.sleep(0)
        return [run(single_flight("key", at_once, client.session, patience=3600)), await task]

    assert asyncio.run(cell()) == ["by the call", "by the task"]
