from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Protocol

import anyio
import httpx
import pytest

from replicate_kit._runtime.blocking import is_blocking, run
from replicate_kit._runtime.runtimes import Runtime, runtime
from replicate_kit.simulator import Simulator, SimulatorTransport

Drive = Callable[[Callable[[Runtime], Coroutine[Any, Any, Any]]], Any]


class Send(Protocol):
    def __call__(self, method: str, url: str, /, **options: Any) -> httpx.Response: ...


def _blocking(operation: Callable[[Runtime], Coroutine[Any, Any, Any]]) -> Any:
    return run(operation(runtime(True)))


def _asynchronous(library: str, operation: Callable[[Runtime], Coroutine[Any, Any, Any]]) -> Any:
    return anyio.run(operation, runtime(False), backend=library)


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def drive(request: pytest.FixtureRequest) -> Drive:
    """Runs an operation to its end under one of the three drivers."""
    if request.param == "blocking":
        return _blocking
    return functools.partial(_asynchronous, request.param)


def sender(simulator: Simulator, drive: Drive) -> Send:
    """Asks by httpx's requests and responses: something that nobody here wrote."""

    def send(method: str, url: str, /, **options: Any) -> httpx.Response:
        absolute = simulator.base_url + url if url.startswith("/") else url
        request = httpx.Request(method, absolute, **options)
        transport = SimulatorTransport(simulator)

        async def operation(runtime: Runtime) -> httpx.Response:
            if is_blocking():
                response = transport.handle_request(request)
                response.read()
            else:
                response = await transport.handle_async_request(request)
                await response.aread()
            response.request = request
            return response

        response: httpx.Response = drive(operation)
        return response

    return send


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulator with a few models of every kind."""
    simulator = Simulator()

    @simulator.model("acme/shout")
    def shout(text: str, times: int = 1) -> str:
        """Says it louder.

        Much louder.
        """
        return text.upper() + "!" * times

    with simulator:
        yield simulator


@pytest.fixture
def send(simulator: Simulator, drive: Drive) -> Send:
    """Sends a request to `simulator` under each driver, and reads the answer."""
    return sender(simulator, drive)


@pytest.fixture
def ask(simulator: Simulator) -> Send:
    """Sends a request to `simulator` from a blocking caller only, where the driver does not matter."""
    return sender(simulator, _blocking)


@pytest.fixture
def ask_of() -> Callable[[Simulator], Send]:
    """The same for another simulator."""
    return functools.partial(sender, drive=_blocking)


@pytest.fixture(autouse=True)
def _no_threads_are_left() -> Iterator[None]:
    """Threads live only while predictions run."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("simulator-"):
            thread.join(5)
            assert not thread.is_alive(), f"{thread.name} is still there"
