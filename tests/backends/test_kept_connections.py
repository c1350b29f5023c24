"""A kept connection that the other side closes: whatever was sent on it is not sent again by a library."""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from replicate_kit import Client, errors
from replicate_kit._runtime.blocking import is_blocking
from replicate_kit._runtime.runtimes import runtime
from replicate_kit.testing.suites import Drive
from replicate_kit.testing.suites._backends import connected
from replicate_kit.transport import Once, Request, Timeout
from tests.wires import answer, chunked, head, wire

pytestmark = pytest.mark.usefixtures("each_library")

PATIENT = Timeout(10.0, 10.0, 10.0, 10.0)


def transport_of(url: str) -> Any:
    """What the chosen backend sends by, without retries: for `async with`."""
    client = Client("r8_any", base_url=url)
    return connected(client.session.backend, client)


SAID = {
    "a whole answer": answer(b"", status="408 Request Timeout"),
    "half of one": answer(b"", status="408 Request Timeout")[:14],
}
# How an answer ends: by its length, by a last chunk, or with its head.
ENDS = {
    "a length": answer(b"{}", connection="keep-alive"),
    "chunks": b"".join(chunked([b"{}"], connection="keep-alive")),
    "a head": head("204 No Content", connection="keep-alive"),
}


class Keeper:
    """A server that keeps connections: each has its first request answered, and is closed at `at` the next.

    Some say more than they were asked (`SAID`), as those do that tell of an end before it comes; with `at_once` in one
    piece with the answer before it.
    """

    def __init__(self, at: str, first: bytes = ENDS["a length"], at_once: bool = False) -> None:
        self.heads, self.accepted, self._at = list[bytes](), 0, at
        self._first = first + SAID[at] if at_once else first
        self._later = SAID.get(at) if not at_once else None
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            self.heads.append(connection.recv(65536))
            connection.sendall(self._first)
            if self._at == "before":
                return
            if self._later is not None:
                time.sleep(0.02)  # by then the answer was read
                connection.sendall(self._later)
            while self._at == "never" and (head := connection.recv(65536)):
                self.heads.append(head)
                connection.sendall(answer(b"{}", connection="keep-alive"))
            if head := connection.recv(65536):
                self.heads.append(head)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def keeper(request: pytest.FixtureRequest) -> Iterator[Keeper]:
    keeper = Keeper(request.param)
    yield keeper
    keeper.close()


@pytest.mark.parametrize("keeper", ["after"], indirect=True)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
@pytest.mark.parametrize("body", [b"{}", None, "chunks"])
def test_what_was_sent_on_it_is_not_sent_again(method: str, body: Any, keeper: Keeper, drive: Drive) -> None:
    async def main() -> None:
        async with transport_of(keeper.url) as transport:
            await transport.send(Request("GET", f"{keeper.url}/v1/account", timeout=PATIENT))
            content = Once([b"{}"], 2) if body == "chunks" else body
            request = Request(method, f"{keeper.url}/v1/x", body=content, timeout=PATIENT)
            with pytest.raises(errors.ConnectionLost):
                await transport.send(request)

    drive(main())
    assert [each.split(b" ")[0].decode() for each in keeper.heads] == ["GET", method]


@pytest.mark.parametrize("keeper", ["before", *SAID], indirect=True)
def test_one_of_which_it_is_known_that_it_was_closed_is_not_used(keeper: Keeper, drive: Drive) -> None:
    async def main() -> None:
        client = Client("r8_any", base_url=keeper.url, retries=0)
        for _ in range(5):
            await client.async_request("POST", "x", json={})
            time.sleep(0.05)  # noqa: ASYNC251 - a loop that is busy has no news of it yet
        await client.aclose()

    drive(main())
    sent = [each for each in keeper.heads if each.startswith(b"POST")]
    assert len(sent) == keeper.accepted == 5


def ask_behind_what_came(said: str, end: str, drive: Drive, options: Callable[[], Any] = dict) -> None:
    """Send requests where each answer has more behind it, and see that each has a connection of its own."""
    keeper = Keeper(said, ENDS[end], at_once=True)

    async def main() -> None:
        client = Client("r8_any", base_url=keeper.url, retries=0, **options())
        for _ in range(5):
            await client.async_request("POST", "x", json={})
        await client.aclose()

    drive(main())
    keeper.close()
    sent = [each for each in keeper.heads if each.startswith(b"POST")]
    assert len(sent) == keeper.accepted == 5


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("said", SAID)
def test_what_comes_behind_an_answer_is_no_answer_to_the_next_request(
    said: str, end: str, drive: Drive, each_library: str
) -> None:
    if (each_library, said) == ("fast", "half of one"):
        pytest.skip("aiohttp drops it with what has read it: what comes then is no answer")
    ask_behind_what_came(said, end, drive)


@pytest.mark.parametrize("option", ["limits", "transport", "event_hooks"])
@pytest.mark.parametrize("said", SAID)
def test_nor_is_it_with_any_option(said: str, option: str, drive: Drive, library: Any) -> None:
    def options() -> Any:
        kind = library.HTTPTransport if is_blocking() else library.AsyncHTTPTransport
        return {
            "limits": library.Limits(max_connections=1),
            "transport": kind(),
            "event_hooks": {"response": [repr]},
        }

    ask_behind_what_came(said, "a length", drive, lambda: {option: options()[option]})


@pytest.mark.parametrize("keeper", ["never"], indirect=True)
def test_requests_one_after_another_share_one(keeper: Keeper, drive: Drive) -> None:
    async def main() -> None:
        client = Client("r8_any", base_url=keeper.url, retries=0)
        for method in ("GET", "POST", "PUT", "GET"):
            await client.async_request(method, "x")
        await client.aclose()

    drive(main())
    assert (len(keeper.heads), keeper.accepted) == (4, 1)


@pytest.mark.parametrize("order", ["0123" * 3, "0011" * 2, "0123321001"])
def test_requests_for_several_servers_in_turn_share_one_for_each(order: str, drive: Drive) -> None:
    keepers = [Keeper("never") for _ in range(4)]

    async def main() -> None:
        async with transport_of(keepers[0].url) as transport:
            for number in order:
                url = f"{keepers[int(number)].url}/v1/x"
                await transport.send(Request("GET", url, timeout=PATIENT))

    try:
        drive(main())
    finally:
        for each in keepers:
            each.close()
    assert [(len(each.heads), each.accepted) for each in keepers] == [
        (order.count(number), min(1, order.count(number))) for number in "0123"
    ]


def test_who_takes_his_time_with_a_stream_is_not_out_of_time(drive: Drive) -> None:
    goes_on = threading.Event()

    def script(_: bytes) -> Iterator[bytes]:
        whole = answer(b"first and later")
        yield whole[:-6]
        goes_on.wait(10)
        yield whole[-6:]

    async def read(url: str) -> list[bytes]:
        async with transport_of(url) as transport:
            request, chunks = Request("GET", url, timeout=PATIENT._replace(read=0.3)), list[bytes]()
            response = await transport.send(request, stream=True)
            async for chunk in response.aiter_bytes():
                chunks.append(chunk)
                await runtime(is_blocking()).sleep(0.6)
                goes_on.set()
            return chunks

    with wire(script) as server:
        assert b"".join(drive(read(server.url))) == b"first and later"


@pytest.mark.parametrize("keeper", ["never"], indirect=True)
def test_a_user_name_in_a_url_goes_along_as_one(keeper: Keeper, drive: Drive) -> None:
    async def main() -> None:
        async with transport_of(keeper.url) as transport:
            url = keeper.url.replace("//", "//m%65:p%40ss@")
            await transport.send(Request("GET", f"{url}/x", timeout=PATIENT))

    drive(main())
    assert b"Authorization: Basic bWU6cEBzcw==" in keeper.heads[0]
    assert b"@127" not in keeper.heads[0]


WAYS = {
    "garbage": [b"this is no HTTP\r\n\r\n"],
    "nothing": [],
    "cut": [answer(b"{}" * 50)[:-60]],
    "a bad length": [b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"],
    "long headers": [b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 300_000 + b"\r\n\r\n"],
    "bad chunks": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
}


# httpx leaves a generator of its own to the collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", [*WAYS, "silent", "no server", "gone"])
def test_no_error_tells_what_is_secret_in_a_request(way: str, drive: Drive) -> None:
    silent = threading.Event()

    def script(_: bytes) -> Iterator[bytes]:
        if way == "silent":
            silent.wait(5)
        yield from WAYS.get(way, [])

    async def send(url: str) -> None:
        body = {"pin": "SECRET", "rest": "x" * 2**23 if way == "gone" else ""}
        request = Request("POST", f"{url}/v1/x?key=SECRET", json=body)
        request.timeout = PATIENT._replace(read=0.5)
        request.headers["Authorization"] = "Bearer r8_secret"
        async with transport_of(url) as transport:
            await transport.send(request)

    with wire(script) as server:
        url = "http://127.0.0.1:9" if way == "no server" else server.url
        with pytest.raises(errors.TransportError) as caught:
            drive(send(url))
        silent.set()
    told = told_by(caught.value)
    assert "SECRET" not in told
    assert "r8_secret" not in told
    assert isinstance(caught.value, errors.ConnectFailed) is (way == "no server")


def told_by(error: BaseException) -> str:
    """What is shown of an error and of all that led to it, but for the lines of the program."""
    shown, waiting, seen = list[str](), [error], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            shown += [*traceback.format_exception_only(each), repr(each)]
            waiting += [behind for behind in (each.__cause__, each.__context__) if behind is not None]
    return "\n".join(shown)
