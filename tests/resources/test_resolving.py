"""However many ask for a model at the same time, the API is asked once."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest

from replicate_kit import Client
from replicate_kit.errors import NotFound, ServerError
from replicate_kit.schema import ConcatenateIterator
from replicate_kit.simulator import Fault, Simulator
from replicate_kit.testing.suites import Drive

MANY = 200


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A service with two models, that takes a moment before it tells of them."""
    with Simulator() as simulator:

        @simulator.model("acme/double", workers=64)
        def double(n: int) -> int:
            return 2 * n

        @simulator.model("acme/words", workers=64)
        def words(text: str) -> ConcatenateIterator[str]:
            yield from text.split()

        simulator.faults.add(Fault(operation="*models*.get", delay=0.1))
        simulator.faults.add(Fault(operation="deployments.get", delay=0.1))
        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Iterator[Client]:
    with Client(backend=simulator, poll_interval=0.01, retries=0) as client:
        yield client


def lookups(simulator: Simulator) -> dict[str, int]:
    """How often it was asked what something is."""
    asked = ("models.get", "models.versions.get", "deployments.get", "webhooks.default.secret.get")
    return {name: simulator.calls[name] for name in asked if simulator.calls[name]}


async def until_asked(simulator: Simulator) -> None:
    """Wait until a request for a model has come in."""
    while not simulator.calls["models.get"]:  # noqa: ASYNC110 - the simulator has no event for it
        await anyio.sleep(0.001)


async def gathered(*operations: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Await all at once, in either library; give what each gave or raised."""
    found: list[Any] = [None] * len(operations)

    async def keep(place: int) -> None:
        try:
            found[place] = await operations[place]()
        except Exception as error:
            found[place] = error

    async with anyio.create_task_group() as tasks:
        for place in range(len(operations)):
            tasks.start_soon(keep, place)
    return found


def in_asyncio(make: Callable[[int], Awaitable[Any]]) -> list[Any]:
    return anyio.run(gathered, *(lambda n=n: make(n) for n in range(MANY)), backend="asyncio")


def in_trio(make: Callable[[int], Awaitable[Any]]) -> list[Any]:
    return anyio.run(gathered, *(lambda n=n: make(n) for n in range(MANY)), backend="trio")


def in_two_loops(make: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """Half of them in a loop of asyncio, the others in one of trio on another thread."""
    ready = threading.Barrier(2)

    async def begin(*operations: Callable[[], Awaitable[Any]]) -> list[Any]:
        ready.wait(30)
        return await gathered(*operations)

    def half(library: str, first: int) -> list[Any]:
        operations = (lambda n=n: make(n) for n in range(first, MANY, 2))
        return anyio.run(begin, *operations, backend=library)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        even, odd = pool.map(half, ("asyncio", "trio"), (0, 1))
    return [each for pair in zip(even, odd, strict=True) for each in pair]


LOOPS = pytest.mark.parametrize("together", [in_asyncio, in_trio, in_two_loops])


@LOOPS
def test_many_runs_ask_for_the_model_once(client: Client, simulator: Simulator, together: Any) -> None:
    outputs = together(lambda n: client.async_run("acme/double", {"n": n}))
    assert outputs == [2 * n for n in range(MANY)]
    assert lookups(simulator) == {"models.get": 1}


def test_blocking_runs_in_many_threads_ask_for_the_model_once(client: Client, simulator: Simulator) -> None:
    ready = threading.Barrier(64)

    def one(n: int) -> Any:
        ready.wait()
        return client.run("acme/double", {"n": n})

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        assert list(pool.map(one, range(64))) == [2 * n for n in range(64)]
    assert lookups(simulator) == {"models.get": 1}


@pytest.mark.parametrize("kind", ["model", "version", "deployment"])
def test_whatever_a_reference_names_is_asked_for_once(
    client: Client, simulator: Simulator, kind: str
) -> None:
    version = client.models.get("acme/double").latest_version
    assert version is not None
    deployment = client.deployments.create(
        "doubles", model="acme/double", version=version, hardware="cpu", min_instances=0, max_instances=1
    )
    simulator.calls.clear()
    asked = {
        "model": ("acme/double", {"models.get": 1}),
        "version": (f"acme/double:{version.id}", {"models.versions.get": 1}),
        "deployment": (str(deployment.reference), {"deployments.get": 1, "models.versions.get": 1}),
    }
    ref, expected = asked[kind]
    assert in_asyncio(lambda n: client.async_run(ref, {"n": n})) == [2 * n for n in range(MANY)]
    assert lookups(simulator) == expected


async def streamed(client: Client) -> list[str]:
    return [str(event) async for event in client.async_stream("acme/words", {"text": "a b"})]


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, n: client.async_use("acme/double"),
        lambda client, n: client.async_run("acme/double", {"n": n}, wait=False, timeout=30),
        lambda client, n: client.with_options(timeout=30 + n).async_run("acme/double", {"n": n}),
        lambda client, n: client.async_plan("acme/double", [{"n": n}]),
        lambda client, n: streamed(client),
    ],
    ids=["use", "run", "with_options", "plan", "stream"],
)
def test_whoever_needs_the_model_shares_the_answer(client: Client, simulator: Simulator, ask: Any) -> None:
    found = in_asyncio(lambda n: ask(client, n))
    assert not [each for each in found if isinstance(each, BaseException)]
    assert lookups(simulator) == {"models.get": 1}


def test_the_secret_of_webhooks_is_asked_for_once_by_calls_at_the_same_time(
    client: Client, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(operation="webhooks.default.secret.get", delay=0.1))
    keys = in_asyncio(lambda n: client.webhooks.default.async_secret())
    assert {each.key for each in keys} == {client.webhooks.default.secret().key}
    assert lookups(simulator) == {"webhooks.default.secret.get": 2}


def test_another_token_asks_for_itself(client: Client, simulator: Simulator) -> None:
    """What one account may see, another may not."""
    other = client.with_options(api_token="r8_another")
    for each in (client, client, other, other):
        each.use("acme/double")
    assert lookups(simulator) == {"models.get": 2}


# What is not there.


@LOOPS
@pytest.mark.parametrize("ref", ["acme/nothing", "deployments/acme/nothing"])
def test_a_name_that_does_not_exist_is_asked_for_once_by_all_who_wait(
    client: Client, simulator: Simulator, together: Any, ref: str
) -> None:
    errors = together(lambda n: client.async_run(ref, {"n": n}))
    assert {type(each) for each in errors} == {NotFound}
    assert len({id(each) for each in errors}) == MANY  # each may add its own notes and traceback
    assert all(
        f"There is no {'deployment' if 'dep' in ref else 'model'} {ref!r}" in str(each) for each in errors
    )
    assert errors[-1].request is not None
    # Of two loops one may begin when the other has its answer; that there is none may change, and is not kept.
    assert sum(lookups(simulator).values()) <= (2 if together is in_two_loops else 1)


def test_a_name_that_did_not_exist_is_asked_for_again_by_the_next_call(
    client: Client, simulator: Simulator, drive: Drive
) -> None:
    with pytest.raises(NotFound):
        drive(client.async_run("acme/half", {"n": 4}))

    @simulator.model("acme/half")
    def half(n: int) -> int:
        return n // 2

    assert drive(client.async_run("acme/half", {"n": 4})) == 2


# What fails on the way.


@LOOPS
def test_after_a_failure_one_asks_again_for_all(client: Client, simulator: Simulator, together: Any) -> None:
    simulator.faults.add(Fault(operation="models.get", status=500, calls={1}))
    found = together(lambda n: client.async_run("acme/double", {"n": n}))
    assert [type(each) for each in found].count(ServerError) == 1
    assert [type(each) for each in found].count(int) == MANY - 1
    assert lookups(simulator) == {"models.get": 2}


def test_a_service_that_is_down_is_not_asked_by_each_of_them(client: Client, simulator: Simulator) -> None:
    simulator.faults.add(Fault(operation="models.get", status=500))
    errors = in_asyncio(lambda n: client.async_run("acme/double", {"n": n}))
    assert {type(each) for each in errors} == {ServerError}
    assert lookups(simulator) == {"models.get": 2}
    assert simulator.calls["models.predictions.create"] == 0


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_canceled_run_cancels_no_other(client: Client, simulator: Simulator, library: str) -> None:
    async def main() -> list[Any]:
        found: list[Any] = []

        async def ask(n: int) -> None:
            found.append(await client.async_run("acme/double", {"n": n}))

        async with anyio.create_task_group() as others, anyio.create_task_group() as first:
            first.start_soon(ask, 99)
            await until_asked(simulator)
            for n in range(5):
                others.start_soon(ask, n)
            await anyio.sleep(0.001)
            first.cancel_scope.cancel()
        return found

    assert sorted(anyio.run(main, backend=library)) == [0, 2, 4, 6, 8]
    assert lookups(simulator) == {"models.get": 2}


def test_an_interrupted_run_in_a_thread_leaves_the_others_their_answer(
    connect: Callable[..., tuple[Client, list[httpx.Request]]],
) -> None:
    began, others_wait = threading.Event(), threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        if not began.is_set():
            began.set()
            others_wait.wait(10)
            raise KeyboardInterrupt
        return httpx.Response(200, json={"is_official": True})

    client, requests = connect(answer)

    def interrupted() -> bool:
        try:
            client.use("acme/double")
        except KeyboardInterrupt:
            return True
        return False

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        first = pool.submit(interrupted)
        began.wait(10)
        others = [pool.submit(client.use, "acme/double") for _ in range(3)]
        others_wait.set()
        assert first.result(10)
        assert all(each.result(10) for each in others)
    assert len(requests) == 2


def test_a_blocking_run_beside_a_task_of_the_same_loop_does_not_wait_for_it(
    client: Client, simulator: Simulator
) -> None:
    async def cell() -> list[Any]:
        task = asyncio.create_task(client.async_run("acme/double", {"n": 1}))
        await until_asked(simulator)
        return [client.run("acme/double", {"n": 2}), await task]

    assert asyncio.run(cell()) == [4, 2]
    assert lookups(simulator) == {"models.get": 2}
