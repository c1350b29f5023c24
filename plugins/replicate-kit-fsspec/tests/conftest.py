"""A server of files that can break off, forget and lie; three drivers; a client of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fsspec
import pytest
import trio

from replicate_kit import Client, FileOutput


class Files:
    """What a server serves, how it misbehaves, and what it was asked."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.breaks: dict[str, list[int]] = {}
        self.status: dict[str, int] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.headers_seen: list[dict[str, str]] = []
        self.ranges = True
        self.url = ""

    def put(self, name: str, content: bytes, content_type: str | None = None, **headers: str) -> str:
        """Serve a content under a name; give its URL."""
        self.contents[name] = content
        self.headers[name] = {key.replace("_", "-"): value for key, value in headers.items()}
        if content_type:
            self.headers[name]["Content-Type"] = content_type
        return f"{self.url}/{name}"


class Handler(BaseHTTPRequestHandler):
    """Answers GET with ranges, breaking off after as many bytes as it was told."""

    protocol_version = "HTTP/1.1"
    files: Files

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].lstrip("/")
        wanted = self.headers.get("Range")
        self.files.asked.append((name, wanted))
        self.files.headers_seen.append({key.lower(): value for key, value in self.headers.items()})
        if name not in self.files.contents or name in self.files.status:
            return self.refuse(self.files.status.get(name, 404))
        return self.give(name, wanted if self.files.ranges else None)

    def refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def give(self, name: str, wanted: str | None) -> None:
        content = self.files.contents[name]
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        self.send_response(206 if wanted else 200)
        headers = {"Content-Length": str(len(content) - start), **self.files.headers[name]}
        if wanted:
            headers.setdefault("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        breaks = self.files.breaks.get(name)
        end = start + breaks.pop(0) if breaks else len(content)
        self.wfile.write(content[start:end])
        if end < len(content):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""


@pytest.fixture
def files() -> Iterator[Files]:
    """Run a server of files on loopback."""
    served = Files()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"files": served}))
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(files: Files) -> Iterator[Client]:
    """Make a client for which that server is the API's own origin."""
    with Client(base_url=files.url, api_token="secret") as made:
        yield made


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def drive(request: pytest.FixtureRequest) -> Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]:
    """Run an operation under each driver."""
    if request.param == "blocking":
        from replicate_kit._blocking import run

        return lambda operation: run(operation())
    if request.param == "asyncio":
        return lambda operation: asyncio.run(operation())
    return lambda operation: trio.run(operation)


@pytest.fixture(autouse=True)
def memory() -> Iterator[Any]:
    """Empty fsspec's filesystem in memory."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield fs
    fs.store.clear()


@pytest.fixture
def output(files: Files, client: Client) -> Callable[..., FileOutput]:
    """Make an output file of a content."""

    def make(name: str, content: bytes, content_type: str | None = None, **headers: str) -> FileOutput:
        return FileOutput(files.put(name, content, content_type, **headers), client.session)

    return make
