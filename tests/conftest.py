"""What the tests of the core stand on: three drivers, a mock client, recorded requests, and servers on real sockets."""

from __future__ import annotations

import http.server
import importlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import settings

from replicate_kit import Client
from replicate_kit._lazy import forget_default_client
from replicate_kit._runtime import runtimes
from replicate_kit.simulator import Simulator, install
from replicate_kit.testing.suites import drive
from tests.doors import CHOSEN, Doors

__all__ = ["drive"]

TOKEN = "r8_secret"

# How long an example takes says more about what else the machine does.
settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")


def pytest_configure(config: pytest.Config) -> None:
    """Count who carries requests, where a backend was chosen for all of them."""
    if CHOSEN:
        config.pluginmanager.register(Doors(), "doors")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what the chosen backend cannot do, or is not about."""
    for item in items if CHOSEN == "fast" else ():
        given = getattr(getattr(item, "callspec", None), "params", {}).values()
        if mark := item.get_closest_marker("about_httpx"):
            item.add_marker(pytest.mark.skip(reason=f"about httpx: {mark.args[0]}"))
        elif any(isinstance(each, str) and each == "trio" for each in given):
            item.add_marker(pytest.mark.skip(reason="aiohttp does not work in trio, and the backend says so"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests has an effect on them."""
    for name in os.environ:
        if name.upper().startswith("REPLICATE_") or name.upper() in (
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
        ):
            monkeypatch.delenv(name)
    if CHOSEN:
        monkeypatch.setenv("REPLICATE_KIT_BACKEND", CHOSEN)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals that nobody names are kept out of the cache of whoever runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def _no_default_client_is_left() -> Iterator[None]:
    """Each test that uses the default client makes its own, from its own environment."""
    yield
    forget_default_client()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulator with the demo models."""
    with install(Simulator()) as simulator:
        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Iterator[Client]:
    """A client of `simulator` that looks often."""
    with Client(backend=simulator, poll_interval=0.01) as client:
        yield client


Answer = Callable[[httpx.Request], httpx.Response]


class Recorder(httpx.MockTransport):
    """Answers requests by a function, in both colours, and keeps them."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(self._handle)
        self.requests: list[httpx.Request] = []
        self._answer = answer

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer(request)


def answering(*responses: Any) -> Answer:
    """Give these responses one after another, the last one again and again; an exception is raised."""
    left = list(responses)

    def answer(request: httpx.Request) -> httpx.Response:
        response = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(response, Exception):
            raise response
        if isinstance(response, httpx.Response):
            return httpx.Response(response.status_code, headers=response.headers, content=response.content)
        return httpx.Response(200, json=response)

    return answer


@pytest.fixture
def connect() -> Iterator[Callable[..., tuple[Client, list[httpx.Request]]]]:
    """Makes a client whose requests are answered by a function, or by responses one after another."""
    clients: list[Client] = []

    def make(*answers: Any, **options: Any) -> tuple[Client, list[httpx.Request]]:
        answer = answers[0] if len(answers) == 1 and callable(answers[0]) else answering(*answers)
        recorder = Recorder(answer)
        settings = {"api_token": TOKEN, "base_url": "https://api.test/v1", "poll_interval": 0.01}
        settings |= {"backend": "http", **options}
        clients.append(Client(transport=recorder, **settings))
        return clients[-1], recorder.requests

    yield make
    for client in clients:
        client.close()


# The others on one version of Python only.
_LIBRARIES: list[Any] = ["http", *(pytest.param(each, marks=pytest.mark.slow) for each in ("httpx2", "fast"))]


@pytest.fixture(params=[CHOSEN] if CHOSEN else _LIBRARIES)
def each_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test over each backend with sockets: clients that are told no other one use it."""
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", request.param)
    if request.param == "fast":
        pytest.importorskip("aiohttp")
        if "trio" in request.node.callspec.params.values():
            pytest.skip("aiohttp does not work in trio, and the backend says so")
    return str(request.param)


@pytest.fixture
def httpx_alone(each_library: str) -> None:
    """Leaves out the backend that sends by another library than the two alike."""
    if each_library == "fast":
        pytest.skip("this is about httpx and its like")


@pytest.fixture
def library(each_library: str, httpx_alone: None) -> Any:
    """The library of that backend, for the objects that it takes as options."""
    return importlib.import_module("httpx" if each_library == "http" else each_library)


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.time, self.slept = 1000.0, list[float]()

    def now(self, _: object = None) -> float:
        return self.time

    async def sleep(self, _: object, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """Sleeping takes no time, and all drivers see the same clock."""
    fake = FakeTime()
    for kind in (runtimes._BlockingRuntime, runtimes._AsyncRuntime):
        monkeypatch.setattr(kind, "sleep", lambda self, seconds, /: fake.sleep(self, seconds))
        monkeypatch.setattr(kind, "now", lambda self, /: fake.now())
    return fake


@dataclass
class Origin:
    """A server on a real socket, and what it was sent."""

    url: str
    received: list[Received] = field(default_factory=list)


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Cut(Exception):
    """Raised in a body to cut the connection there."""


Handle = Callable[[Received], tuple[int, Mapping[str, str], bytes | Iterable[bytes]]]


class Server(http.server.ThreadingHTTPServer):
    """A server that many may connect to at once."""

    daemon_threads = True
    request_queue_size = 128
    origin: Origin


@pytest.fixture
def serve() -> Iterator[Callable[[Handle], Origin]]:
    """Starts servers on loopback: a function from a request to status, headers and body (or its chunks)."""
    servers: list[Server] = []

    def start(handle: Handle) -> Origin:
        server = Server(("127.0.0.1", 0), _handler_of(handle))
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        server.origin = Origin(f"http://127.0.0.1:{server.server_port}")
        return server.origin

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _body_of(handler: http.server.BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("transfer-encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("content-length", 0)))
    body = b""
    while size := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


def _handler_of(handle: Handle) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Else a body, which is sent after its head, would wait 40 ms for the other side.
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            body = _body_of(self)
            headers = {name.lower(): value for name, value in self.headers.items()}
            received = Received(self.command, self.path, headers, body)
            self.server.origin.received.append(received)  # type: ignore[attr-defined]
            status, answered, content = handle(received)
            self.send_response(status)
            for name, value in answered.items():
                self.send_header(name, value)
            self._send(content)

        def _send(self, content: bytes | Iterable[bytes]) -> None:
            if isinstance(content, bytes):
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else content)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for chunk in content:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.write(b"0\r\n\r\n")
            except (Cut, OSError):  # the client may leave early
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def cut() -> type[Exception]:
    """What the body of a server's answer raises to cut the connection."""
    return Cut


PREDICTION = {
    "id": "p1",
    "model": "acme/shout",
    "version": "hidden",
    "input": {"text": "hi"},
    "output": None,
    "status": "starting",
    "created_at": "2026-01-01T00:00:00.000Z",
    "urls": {
        "get": "https://api.test/v1/predictions/p1",
        "cancel": "https://api.test/v1/predictions/p1/cancel",
    },
}


@pytest.fixture
def prediction() -> Callable[..., dict[str, Any]]:
    """Makes the JSON of a prediction."""
    return lambda **fields: {**PREDICTION, **fields}
