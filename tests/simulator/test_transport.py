"""The simulator for clients that take a transport of httpx's, in both colours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest

from replicate_kit._runtime.blocking import is_blocking
from replicate_kit.simulator import Fault, Simulator, SimulatorTransport, default

Ask = Callable[..., httpx.Response]


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def ask(request: pytest.FixtureRequest, simulator: Simulator) -> Ask:
    """Asks by a client of httpx's, and reads the answer."""

    def blocking(method: str, path: str, **options: Any) -> httpx.Response:
        with httpx.Client(transport=SimulatorTransport(simulator), base_url=simulator.base_url) as client:
            return client.request(method, path, **options)

    def asynchronous(method: str, path: str, **options: Any) -> httpx.Response:
        async def main() -> httpx.Response:
            transport = SimulatorTransport(simulator)
            async with httpx.AsyncClient(transport=transport, base_url=simulator.base_url) as client:
                return await client.request(method, path, **options)

        return anyio.run(main, backend=request.param)

    return blocking if request.param == "blocking" else asynchronous


def test_a_client_can_use_it_as_its_transport() -> None:
    transport = SimulatorTransport(default())
    with httpx.Client(transport=transport, base_url="https://api.replicate.test/v1/") as client:
        assert client.get("account").json()["username"] == "local"
        body = {"input": {"prompt": "a fox", "lines": 1}}
        created = client.post("models/demo/poet/predictions", json=body).json()
        with client.stream("GET", created["urls"]["stream"]) as response:
            assert "event: done" in "".join(response.iter_lines())

    async def main() -> int:
        async with httpx.AsyncClient(transport=SimulatorTransport(default())) as client:
            return (await client.get("https://api.replicate.test/v1/account")).status_code

    assert asyncio.run(main()) == 200


def test_an_answer_is_as_on_a_wire(ask: Ask) -> None:
    response = ask("GET", "/account")
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.request.url == "https://api.replicate.test/v1/account"


def test_an_answer_to_head_has_the_headers_of_get_and_no_body(ask: Ask) -> None:
    head, get = ask("HEAD", "/account"), ask("GET", "/account")
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]


def test_an_answer_to_head_of_a_stream_says_no_length(simulator: Simulator, ask: Ask) -> None:
    created = ask("POST", "/models/acme/shout/predictions", json={"input": {"text": "a"}}).json()
    token = simulator._service.links.stream(created["id"], files=False)
    head = ask("HEAD", token)
    assert (head.status_code, head.content) == (200, b"")
    assert "content-length" not in head.headers


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        (Fault(refuse=True), httpx.ConnectError, "Connection refused"),
        (Fault(cut=True), httpx.RemoteProtocolError, "without sending a response"),
        (Fault(truncate=10), httpx.RemoteProtocolError, "complete message body"),
        (Fault(delay=60), httpx.ReadTimeout, "timed out"),
    ],
    ids=["refused", "cut", "cut in the body", "too late"],
)
def test_failures_are_errors_of_httpx(
    simulator: Simulator, ask: Ask, fault: Fault, kind: type[httpx.TransportError], text: str
) -> None:
    simulator.faults.add(fault)
    with pytest.raises(kind, match=text) as failed:
        ask("GET", "/account", timeout=0.01)
    assert failed.value.request.url == "https://api.replicate.test/v1/account"


def test_a_url_that_readers_differ_about_is_not_asked(simulator: Simulator, ask: Ask) -> None:
    with pytest.raises(httpx.UnsupportedProtocol, match="is not a URL"):
        ask("GET", "https://a%2eb/v1/account")
    assert not simulator.calls


def test_bytes_arrive_as_they_were_sent(ask: Ask) -> None:
    content = bytes(range(256)) * 1000
    created = ask("POST", "/files", files={"content": ("a.bin", content, "a/b")}).json()
    assert (created["size"], created["content_type"]) == (len(content), "a/b")


class Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body without an end, which counts what was taken of it."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.taken += 1
        return bytes(16 * 1024 * 1024)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return next(self)


def test_a_body_is_read_as_a_stream_and_only_as_far_as_one_may_be_long(
    simulator: Simulator, drive: Any
) -> None:
    chunks, transport = Chunks(), SimulatorTransport(simulator)

    async def operation(runtime: Any) -> int:
        request = httpx.Request("POST", f"{simulator.base_url}/files", stream=chunks)
        if is_blocking():
            return transport.handle_request(request).status_code
        return (await transport.handle_async_request(request)).status_code

    assert drive(operation) == 413
    assert chunks.taken == 7


def test_events_are_read_as_they_come(simulator: Simulator) -> None:
    go = threading.Event()

    @simulator.model("acme/slow")
    def slow() -> Iterator[str]:
        yield "first"
        go.wait(10)
        yield "second"

    with httpx.Client(transport=SimulatorTransport(simulator), base_url=simulator.base_url) as client:
        created = client.post("/models/acme/slow/predictions", json={"input": {}}).json()
        with client.stream("GET", created["urls"]["stream"]) as response:
            lines = response.iter_lines()
            assert any("first" in line for line in lines)
            go.set()
            assert any("second" in line for line in lines)
