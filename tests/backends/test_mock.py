from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from replicate_kit import Client, errors
from replicate_kit._runtime.blocking import run
from replicate_kit.backends.mock import MockBackend
from replicate_kit.config import Config
from replicate_kit.simulator import Simulator, default
from replicate_kit.transport import Backend, Request, Response, Transport


def drivers() -> dict[str, Callable[[Callable[[Transport], Coroutine[Any, Any, Any]], MockBackend], Any]]:
    def blocking(operation: Any, backend: MockBackend) -> Any:
        return run(operation(backend.connect(Config(), blocking=True)))

    def asynchronous(library: str) -> Any:
        def drive(operation: Any, backend: MockBackend) -> Any:
            async def main() -> Any:
                return await operation(backend.connect(Config(), blocking=False))

            return anyio.run(main, backend=library)

        return drive

    return {"blocking": blocking, "asyncio": asynchronous("asyncio"), "trio": asynchronous("trio")}


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def drive(request: pytest.FixtureRequest) -> Any:
    return drivers()[request.param]


def test_it_is_a_backend() -> None:
    assert isinstance(MockBackend(), Backend)
    assert isinstance(MockBackend().connect(Config(), blocking=True), Transport)


def test_it_says_where_things_are() -> None:
    backend = MockBackend()
    assert backend.base_url(Config()) == "https://api.replicate.test/v1"
    assert backend.output_origins(Config()) == ("https://files.replicate.test",)


def test_it_shares_one_simulator_unless_given_one() -> None:
    own = Simulator()
    assert MockBackend().simulator is MockBackend().simulator is default()
    assert MockBackend(own).simulator is own


def test_responses_are_read_and_know_their_request(drive: Any) -> None:
    request = Request("GET", "https://api.replicate.test/v1/account")

    async def operation(transport: Transport) -> Response:
        return await transport.send(request)

    response = drive(operation, MockBackend(Simulator(account="alice")))
    assert response.json()["username"] == "alice"
    assert response.request is request


def test_streams_are_read_as_they_come(drive: Any) -> None:
    async def operation(transport: Transport) -> bytes:
        body = {"input": {"prompt": "a fox", "lines": 1}}
        create = Request("POST", "https://api.replicate.test/v1/models/demo/poet/predictions", json=body)
        url = (await transport.send(create)).json()["urls"]["stream"]
        response = await transport.send(Request("GET", url), stream=True)
        pieces = [piece async for piece in response.aiter_bytes()]
        await response.aclose()
        await transport.aclose()
        return b"".join(pieces)

    events = drive(operation, MockBackend())
    assert events.startswith(b": hi\n\nevent: output\n")
    assert events.endswith(b"event: done\n" + events[events.rindex(b"id:") :])


def test_other_hosts_cannot_be_reached(drive: Any) -> None:
    async def operation(transport: Transport) -> None:
        await transport.send(Request("GET", "https://api.replicate.com/v1/account"))

    with pytest.raises(errors.ConnectFailed, match="reaches no other host"):
        drive(operation, MockBackend())


def test_two_event_loops_one_after_the_other_both_work() -> None:
    backend = MockBackend()

    async def main() -> int:
        transport = backend.connect(Config(), blocking=False)
        response = await transport.send(Request("GET", "https://api.replicate.test/v1/hardware"))
        return response.status_code

    assert [asyncio.run(main()) for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_loop_of_requests_lets_others_run_and_can_be_cancelled(library: str) -> None:
    turns = 0

    async def ask() -> None:
        nonlocal turns
        while turns < 1000:  # more than there should be
            turns += 1
            await client.session.fetch("GET", "account")

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    client = Client(backend=Simulator())
    anyio.run(main, backend=library)
    assert turns < 10


def test_a_run_loads_no_http_library_and_no_event_loop() -> None:
    program = """
import sys
from replicate_kit import Client
client = Client(backend="mock")
assert "fox" in str(client.run("demo/poet", {"prompt": "a fox"}))
large = "aiohttp anyio asyncio difflib http.client httpx httpx2 mimetypes multiprocessing requests ssl urllib.request"
print(*(name for name in large.split() if name in sys.modules))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "\n"
