"""Whatever comes over a socket: an answer that is not the server's fault, or none; never a traceback."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate_kit.serving import Server
from replicate_kit.serving._sockets import incoming, protocol
from replicate_kit.simulator._api import exchange

TOKEN = {"authorization": "Bearer any"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(https=False) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_traceback(capfd: pytest.CaptureFixture[str], server: Server) -> Iterator[None]:
    yield
    assert "Traceback" not in capfd.readouterr().err
    assert httpx.get(f"{server.url}/v1/account", headers=TOKEN).status_code == 200


def tell(server: Server, said: bytes) -> bytes:
    """Say something on a socket, say no more, and listen to the end."""
    port = httpx.URL(server.url).port or 0
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        heard = b""
        try:
            while chunk := connection.recv(65536):
                heard += chunk
        except ConnectionResetError:
            pass
        return heard


def status(heard: bytes) -> int:
    return int(heard.split(b" ", 2)[1]) if heard else 0


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\r\n\r\n",
        b"hello there\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/account HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        b"GET /v1/account HTTP/1.1\r\nhost: \xff\xfe\r\n\r\n",
        b"GET /v1/account HTTP/1.1\r\nhost: [::1\r\n\r\n",
        b"GET /v1/account HTTP/1.1\r\nhost: localhost:99999\r\n\r\n",
        b"GET /v1/account HTTP/1.1\r\nhost: a\r\nauthorization: \xe9\r\n\r\n",
        b"GET " + b"/x" * 40_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /v1/account HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET //evil.example/v1/account HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /v1/../../etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /xezq/..%2f..%2f/passwd HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /%00%ff%zz HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET http://evil.example/v1/account HTTP/1.1\r\nhost: a\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        b"BREW /v1/predictions HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /v1/account HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"POST /v1/predictions HTTP/1.1\r\nhost: a\r\ncontent-length: -5\r\n\r\n{}",
        b"POST /v1/predictions HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999\r\n\r\n{}",
        b"POST /v1/predictions HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\n{",
        b"POST /v1/predictions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/files HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data\r\ncontent-length: 1\r\n\r\nx",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_malformed_requests_are_refused(said: bytes, server: Server) -> None:
    assert status(tell(server, said)) < 500


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from([b"GET", b"POST", b"PATCH", b"DELETE", b"QUERY", b"HEAD"]),
    path=st.one_of(
        st.sampled_from(
            [b"/v1/predictions", b"/v1/models", b"/v1/files", b"/_control/faults", b"/_page/state", b"/"]
        ),
        st.binary(max_size=30).map(
            lambda path: b"/" + path.replace(b" ", b"").replace(b"\n", b"").replace(b"\r", b"")
        ),
    ),
    body=st.binary(max_size=200),
    kind=st.sampled_from([b"application/json", b"multipart/form-data; boundary=b", b"", b"text/plain"]),
)
def test_nothing_that_is_sent_breaks_it(
    method: bytes, path: bytes, body: bytes, kind: bytes, server: Server
) -> None:
    head = b"%s %s HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    assert status(tell(server, head % (method, path, kind, len(body)) + body)) < 500


@pytest.mark.parametrize(
    "body", [b"[" * 1_000_000, b'{"input":' * 100_000, b"\xff\xfe", b"nan", b'"\\ud800"']
)
def test_json_of_all_kinds_is_refused(body: bytes, server: Server) -> None:
    assert httpx.post(f"{server.url}/v1/predictions", content=body, headers=TOKEN).status_code in (400, 422)


class TestLargeBodies:
    @pytest.mark.parametrize(
        ("path", "kind", "size", "said"),
        [
            ("predictions", "application/json", 17_000_000, "16MB"),
            ("predictions", "application/json", 200_000_000, "16MB"),
            ("files", "multipart/form-data; boundary=b", 200_000_000, "100MB"),
        ],
    )
    def test_what_is_announced_too_large_is_not_read(
        self, path: str, kind: str, size: int, said: str, server: Server
    ) -> None:
        head = f"POST /v1/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\n\r\n"
        answer = tell(server, head.encode() + b"x" * 1000)
        assert status(answer) == 413
        assert said in json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]

    @pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
    def test_what_becomes_too_large_is_given_up(
        self, kind: str, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exchange, "JSON_LIMIT", 1024**2)
        chunks = (b"x" * 100_000 for _ in range(30))
        headers = {**TOKEN, "content-type": kind}
        answer = httpx.post(f"{server.url}/v1/predictions", content=chunks, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (413, 413)
        assert answer.json()["detail"].startswith("Bodies must be less than 1MB in size.")

    def test_a_file_of_just_the_size_is_taken(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        from replicate_kit.simulator._api.operations import files

        monkeypatch.setattr(files, "LARGEST", 1_000_000)
        sizes = (1_000_000, 1_000_001)
        answers = [
            httpx.post(f"{server.url}/v1/files", files={"content": ("a", b"x" * size)}, headers=TOKEN)
            for size in sizes
        ]
        assert [each.status_code for each in answers] == [201, 413]


class TestSlowClients:
    def test_a_head_that_does_not_come_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(protocol, "PATIENCE", 0.2)
        with Server(https=False) as server:
            for said in (b"", b"GET /v1/acc"):
                with self.connected(server) as connection:
                    connection.sendall(said)
                    assert connection.recv(10) == b""

    def test_a_body_that_does_not_come_is_given_up(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(incoming, "PATIENCE", 0.2)
        with self.connected(server) as connection:
            connection.sendall(
                b"POST /v1/predictions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{"
            )
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")

    def test_many_who_say_nothing_keep_nobody_out(self, server: Server) -> None:
        silent = [self.connected(server) for _ in range(200)]
        try:
            assert httpx.get(f"{server.url}/v1/hardware", headers=TOKEN).status_code == 200
        finally:
            for each in silent:
                each.close()

    def connected(self, server: Server) -> socket.socket:
        return socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0), timeout=20)


class TestClientsThatLeave:
    def test_a_create_whose_client_has_gone_runs_on(self, server: Server) -> None:
        body = {"version": "demo/slow", "input": {"prompt": "on its own", "seconds": 1}}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{server.url}/v1/predictions", json=body, headers={"prefer": "wait", **TOKEN}, timeout=0.3
            )
        listed = httpx.get(f"{server.url}/v1/predictions", headers=TOKEN).json()["results"]
        (created,) = [each for each in listed if each["input"].get("prompt") == "on its own"]
        assert wait_for_end(server, created["id"])["status"] == "succeeded"

    def test_a_stream_that_is_left_cancels_nothing(self, server: Server) -> None:
        body = {"version": "demo/poet", "input": {"prompt": "left", "lines": 4, "delay": 0.03}}
        created = httpx.post(f"{server.url}/v1/predictions", json=body, headers=TOKEN).json()
        with httpx.stream("GET", created["urls"]["stream"]) as stream:
            next(stream.iter_bytes())
        assert wait_for_end(server, created["id"])["status"] == "succeeded"

    def test_a_slow_reader_keeps_nobody_waiting(self, server: Server) -> None:
        bodies = [
            {"version": "demo/poet", "input": {"prompt": "slow", "lines": lines, "delay": 0.02}}
            for lines in (4, 64, 64, 64, 64)
        ]
        links = [
            httpx.post(f"{server.url}/v1/predictions", json=body, headers=TOKEN).json()["urls"]["stream"]
            for body in bodies
        ]
        texts: list[Any] = []
        threads = [
            threading.Thread(target=lambda: texts.append(httpx.get(links[0], timeout=60, headers=TOKEN).text))
            for _ in range(1)
        ]
        with httpx.stream("GET", links[1], timeout=60) as unread:
            for each in threads:
                each.start()
            assert httpx.get(f"{server.url}/v1/hardware", headers=TOKEN).status_code == 200
            assert unread.status_code == 200
        for each in threads:
            each.join()
        assert "event: done" in texts[0]


def wait_for_end(server: Server, id: str) -> Any:
    while True:
        prediction = httpx.get(f"{server.url}/v1/predictions/{id}", headers=TOKEN).json()
        if prediction["status"] not in ("starting", "processing"):
            return prediction
        threading.Event().wait(0.05)
