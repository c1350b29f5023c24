"""What every backend has to do that sends requests over sockets, as it is seen on the other side."""

from __future__ import annotations

import hashlib
import io
import socket
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from replicate_kit import errors
from replicate_kit.client import Client
from replicate_kit.testing.suites._backends import BackendSuite, connected, in_each_loop
from replicate_kit.testing.suites._drivers import Drive
from replicate_kit.testing.suites._origin import Arrived, Origin
from replicate_kit.transport import Backend, Limits, Once, Replayable, Request, Response, Timeout

__all__ = ["HTTPBackendSuite"]

_TOKEN = "r8_suite"
_CHUNKS = [b"first ", b"", b"second ", b"x" * 100_000]
_WHOLE = b"".join(_CHUNKS)
_PATIENT = Timeout(10.0, 10.0, 10.0, 10.0)
_TARGETS = (
    "/v1/account",
    "/v1/a%2Fb/c%20d",
    "/v1/~me/(x);y=1,2/:z@w",
    "/v1//twice/",
    "/v1/%E2%82%AC?q=%C3%A4+b%2Bc",
    "/v1/q?x=1&x=2&empty=&bare",
    "/v1/q?a=b%26c=d/e?f",
    "/v1/q?",
)


class HTTPBackendSuite(BackendSuite):
    """Tests of a backend that sends requests to its client's `base_url`: those of `BackendSuite`, and what is seen on
    the wire. `client_options` has the `base_url` of a server with the demo models, such as `replicate_kit.serving`'s.

    A server of the suite's own takes the place of that one where bytes are counted, over HTTP on 127.0.0.1.
    """

    @pytest.fixture
    def origin(self) -> Iterator[Origin]:
        """A server that notes what arrives."""
        with Origin() as origin:
            yield origin

    @pytest.fixture
    def wired(self, backend: Backend, client_options: dict[str, Any], origin: Origin) -> Iterator[Client]:
        """A client of that server."""
        options = {**client_options, "base_url": origin.url, "api_token": _TOKEN, "retries": 0}
        with Client(backend=backend, trusted_hosts=[origin.url], **options) as client:
            yield client

    # Requests.

    @pytest.mark.parametrize("target", _TARGETS)
    def test_a_url_arrives_as_it_is(
        self, target: str, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        request = Request("GET", origin.url + target, timeout=_PATIENT)
        assert request.url.target == target
        assert drive(_sent(request, wired, backend)).status_code == 200
        assert origin.arrived[0].target == target

    def test_headers_arrive_as_they_are(
        self, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        request = Request("DELETE", f"{origin.url}/v1/x", headers=[("X-Two", "a"), ("X-Two", 'b; c="d"')])
        request.headers["Authorization"] = f"Bearer {_TOKEN}"
        drive(_sent(request, wired, backend))
        (arrived,) = origin.arrived
        assert arrived.method == "DELETE"
        assert ", ".join(arrived.header("x-two")) == 'a, b; c="d"'
        assert arrived.header("authorization") == [f"Bearer {_TOKEN}"]
        assert arrived.header("host") == [request.url.netloc]

    def test_a_post_without_a_body_announces_none(self, wired: Client, origin: Origin, drive: Drive) -> None:
        drive(wired.session.request("POST", "predictions/p1/cancel"))
        (arrived,) = origin.arrived
        assert arrived.header("content-length") == ["0"]

    def test_an_upload_keeps_its_length(self, wired: Client, origin: Origin, drive: Drive) -> None:
        response = drive(
            wired.session.request("POST", "files", files={"content": ("a.bin", io.BytesIO(_WHOLE))})
        )
        (arrived,) = origin.arrived
        assert arrived.header("transfer-encoding") == []
        assert arrived.header("content-length") == [str(response.request.body.length)]
        assert arrived.size == response.request.body.length

    @pytest.mark.parametrize("length", [len(_WHOLE), None])
    @pytest.mark.parametrize("times", [1, 2])
    def test_a_body_in_chunks_arrives_whole_and_as_often_as_it_is_sent(
        self, length: int | None, times: int, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        body = Once(iter(_CHUNKS), length) if times == 1 else Replayable(lambda: iter(_CHUNKS), length)
        request = Request("PUT", f"{origin.url}/v1/x", body=body, timeout=_PATIENT)
        for _ in range(times):
            drive(_sent(request, wired, backend))
        assert [_told_of(each) for each in origin.arrived] == [_expected(length)] * times

    def test_a_body_is_sent_to_its_end_though_the_answer_begins_before(
        self, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        body = Replayable(lambda: (b"x" * 2**16 for _ in range(2**8)), 2**24)
        request = Request("PUT", f"{origin.url}/v1/early", body=body, timeout=_PATIENT)

        async def send() -> bytes:
            async with connected(backend, wired) as transport:
                response = await transport.send(request, stream=True)
                try:
                    return await response.aread()
                finally:
                    await response.aclose()

        assert drive(send()) == b"{}"
        assert [each.size for each in origin.arrived] == [2**24]

    # Answers.

    def test_an_answer_comes_as_it_is_sent(
        self, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        async def read() -> list[bytes]:
            async with connected(backend, wired) as transport:
                request = Request("GET", f"{origin.url}/v1/slow", timeout=_PATIENT)
                response, chunks = await transport.send(request, stream=True), list[bytes]()
                async for chunk in response.aiter_bytes():
                    chunks.append(chunk)
                    origin.go_on.set()
                await response.aclose()
                return chunks

        assert b"".join(drive(read())) == b"firstlater"
        assert origin.in_time, "the first chunk was given only after the last one had come"

    def test_an_answer_that_was_left_leaves_it_usable(
        self, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        async def leave() -> int:
            async with connected(backend, wired) as transport:
                slow = Request("GET", f"{origin.url}/v1/slow", timeout=_PATIENT)
                await (await transport.send(slow, stream=True)).aclose()
                return (await transport.send(Request("GET", f"{origin.url}/v1/x"))).status_code

        assert drive(leave()) == 200

    @pytest.mark.parametrize("first", ["whole", "part", "closed"])
    def test_a_stream_is_read_one_time(
        self, first: str, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        async def read_again() -> None:
            async with connected(backend, wired) as transport:
                request = Request("GET", f"{origin.url}/v1/large", timeout=_PATIENT)
                response = await transport.send(request, stream=True)
                if first != "closed":
                    async for _ in response.aiter_bytes():
                        if first == "part":
                            break
                if first == "closed":
                    await response.aclose()
                # By now its connection may serve another request, whose body this one must not take for its own.
                await transport.send(Request("GET", f"{origin.url}/v1/other/large", timeout=_PATIENT))
                try:
                    with pytest.raises(RuntimeError, match="can be read one time"):
                        await response.aread()
                finally:
                    await response.aclose()

        drive(read_again())

    def test_a_stream_that_was_read_to_its_end_lets_its_connection_go(
        self, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        async def read_many() -> int:
            count = 0
            async with connected(backend, wired) as transport:
                for _ in range(150):  # more than any pool has connections
                    request = Request("GET", f"{origin.url}/v1/x", timeout=_PATIENT)
                    response = await transport.send(request, stream=True)
                    count += len([chunk async for chunk in response.aiter_bytes()])
            return count

        assert drive(read_many()) == 150

    def test_an_encoded_answer_is_decoded(
        self, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        response = drive(_sent(Request("GET", f"{origin.url}/v1/gzip", timeout=_PATIENT), wired, backend))
        assert response.json() == {"text": "x" * 1000}
        assert "content-encoding" not in response.headers
        assert response.was_encoded

    @pytest.mark.parametrize(("name", "count"), [("many", 1000), ("wide", 1)])
    def test_a_long_head_is_taken(
        self, name: str, count: int, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        response = drive(_sent(Request("GET", f"{origin.url}/v1/{name}", timeout=_PATIENT), wired, backend))
        assert response.status_code == 200
        assert len([each for each in response.headers if each.lower().startswith("x-")]) == count

    def test_a_head_without_end_is_not_taken(
        self, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        request = Request("POST", f"{origin.url}/v1/endless", json={}, timeout=_PATIENT)
        _fails_with(errors.ConnectionLost, request, wired, backend, drive)

    def test_an_answer_has_a_limit(
        self, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        request = Request("GET", f"{origin.url}/v1/gzip", timeout=_PATIENT)
        request.limits = Limits("answer", 100)
        with pytest.raises(errors.InvalidResponse):
            drive(_sent(request, wired, backend))

    def test_a_redirect_is_given_and_not_followed(
        self, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        response = drive(_sent(Request("GET", f"{origin.url}/v1/moved", timeout=_PATIENT), wired, backend))
        assert (response.status_code, response.headers["location"]) == (302, "there")
        assert len(origin.arrived) == 1

    def test_a_redirect_of_a_file_is_followed_by_the_session_without_the_token(
        self, wired: Client, origin: Origin, drive: Drive
    ) -> None:
        async def read() -> bytes:
            response = await wired.session.open_file(f"{origin.url}/outputs/moved")
            try:
                return await response.aread()
            finally:
                await response.aclose()

        assert drive(read()) == b"{}"
        assert [each.target for each in origin.arrived] == ["/outputs/moved", "/outputs/there"]
        assert [each.header("authorization") for each in origin.arrived] == [[], []]

    # Failures.

    def test_no_answer_in_time_is_a_timeout(
        self, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        request = Request("GET", f"{origin.url}/v1/silent", timeout=_PATIENT._replace(read=0.2))
        _fails_with(errors.RequestTimeout, request, wired, backend, drive)

    def test_an_upload_that_nobody_takes_in_time_is_a_timeout(
        self, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        body = Replayable(lambda: (b"x" * 2**16 for _ in range(2**11)), 2**27)
        request = Request("PUT", f"{origin.url}/v1/unread", body=body)
        request.timeout = _PATIENT._replace(write=0.2)
        _fails_with(errors.RequestTimeout, request, wired, backend, drive)

    def test_a_file_that_nobody_takes_in_time_is_a_timeout(self, wired: Client, drive: Drive) -> None:
        large = {"content": ("a.bin", io.BytesIO(b"x" * 2**26))}
        with pytest.raises(errors.RequestTimeout):
            drive(wired.session.request("PUT", "unread", files=large, timeout=0.2))

    def test_a_server_that_is_not_there_certainly_did_not_act(
        self, wired: Client, backend: Backend, drive: Drive
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        request = Request("POST", f"http://127.0.0.1:{port}/v1/predictions", json={}, timeout=_PATIENT)
        _fails_with(errors.ConnectFailed, request, wired, backend, drive)

    @pytest.mark.parametrize("way", ["cut", "garbage"])
    def test_a_connection_that_breaks_may_have_acted(
        self, way: str, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        request = Request("POST", f"{origin.url}/v1/{way}", json={}, timeout=_PATIENT)
        _fails_with(errors.ConnectionLost, request, wired, backend, drive)
        assert len(origin.arrived) == 1

    def test_a_guarded_request_reaches_no_private_address(
        self, wired: Client, backend: Backend, origin: Origin, drive: Drive
    ) -> None:
        request = Request("GET", f"{origin.url}/outputs/x", timeout=_PATIENT)
        request.guarded = True
        with pytest.raises(errors.FileError):
            drive(_sent(request, wired, backend))
        assert origin.arrived == []

    @pytest.mark.parametrize("library", ["asyncio", "trio"])
    @pytest.mark.parametrize("way", ["silent", "slow"])
    def test_it_can_be_used_after_a_request_was_cancelled_on_the_wire(
        self, way: str, library: str, wired: Client, backend: Backend, origin: Origin
    ) -> None:
        async def main() -> tuple[bool, int]:
            async with connected(backend, wired) as transport:
                with anyio.move_on_after(0.2) as scope:
                    await transport.send(Request("GET", f"{origin.url}/v1/{way}"))
                response = await transport.send(Request("GET", f"{origin.url}/v1/x"))
                return scope.cancelled_caught, response.status_code

        assert in_each_loop(library, main) == (True, 200)


async def _sent(request: Request, client: Client, backend: Backend) -> Response:
    """Send a request by the backend alone."""
    async with connected(backend, client) as transport:
        return await transport.send(request)


def _fails_with(
    kind: type[errors.TransportError], request: Request, client: Client, backend: Backend, drive: Drive
) -> None:
    """See that a request fails with an error that names it, and says nothing of what is secret."""
    request.headers["Authorization"] = f"Bearer {_TOKEN}"
    with pytest.raises(kind) as caught:
        drive(_sent(request, client, backend))
    assert caught.value.request is request
    assert request.named in str(caught.value)
    assert _TOKEN not in str(caught.value)


def _told_of(arrived: Arrived) -> tuple[list[str], list[str], int, str]:
    """How a body came, and what it was."""
    framing = arrived.header("content-length"), arrived.header("transfer-encoding")
    return *framing, arrived.size, arrived.sha256


def _expected(length: int | None) -> tuple[list[str], list[str], int, str]:
    """How a body of a length is to come: announced, or chunk by chunk."""
    framing: tuple[list[str], list[str]] = ([], ["chunked"]) if length is None else ([str(length)], [])
    return *framing, len(_WHOLE), hashlib.sha256(_WHOLE).hexdigest()
