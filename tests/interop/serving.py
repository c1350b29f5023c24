"""The simulator behind a real socket with TLS, as the official client wants it: it takes only https URLs for files."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import trustme
import uvicorn
from loopback import API, FILES
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from replicate_kit.simulator import Simulator, SimulatorTransport


@dataclass
class Served:
    """A simulator that can be reached, and what a client's environment needs for that."""

    simulator: Simulator
    origin: str
    authority: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a program that uses either client finds it by."""
        return {
            "REPLICATE_BASE_URL": self.origin,
            "REPLICATE_API_TOKEN": "r8_interop",
            "REPLICATE_POLL_INTERVAL": "0.02",
            "REPLICATE_KIT_TRUSTED_HOSTS": FILES,  # both names lead to this machine
            "SSL_CERT_FILE": str(self.authority),
        }


@contextmanager
def served(folder: Path, publish: object = None) -> Iterator[Served]:
    """Serve a fresh simulator until the block ends; `publish(simulator)` adds models."""
    listener = socket.create_server(("127.0.0.1", 0))
    origin, files = (f"https://{host}:{listener.getsockname()[1]}" for host in (API, FILES))
    simulator = Simulator(
        base_url=f"{origin}/v1", files_url=files, streams_url=files, seed=7, require_token=True
    )
    if callable(publish):
        publish(simulator)
    server = uvicorn.Server(uvicorn.Config(_application(simulator), log_level="critical", lifespan="off"))
    certificate = _certify(folder)
    server.config.load()
    server.config.ssl = certificate
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield Served(simulator, origin, folder / "authority.pem")
    finally:
        _settle(server)
        server.should_exit = True
        thread.join()
        listener.close()


def _settle(server: uvicorn.Server) -> None:
    """Let go what clients have closed: if both ends close at once, TLS waits half a minute for the other."""
    patience = time.monotonic() + 2
    while server.server_state.connections and time.monotonic() < patience:
        time.sleep(0.02)


def _certify(folder: Path) -> ssl.SSLContext:
    """Make an authority that clients are told to trust, and a certificate of it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(API, FILES).configure_cert(context)
    return context


def _application(simulator: Simulator) -> Starlette:
    """Hand every request to the simulator."""
    transport = SimulatorTransport(simulator)

    async def answer(request: Request) -> Response:
        # As it came: a path that was unquoted might name another thing.
        url = httpx.URL(str(request.base_url)).copy_with(raw_path=_target(request))
        asked = httpx.Request(request.method, url, headers=request.headers.raw, content=await request.body())
        answered = await transport.handle_async_request(asked)
        headers = {
            name: value for name, value in answered.headers.items() if name.lower() != "transfer-encoding"
        }
        return StreamingResponse(_body(answered), answered.status_code, headers)

    methods = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "QUERY"]
    return Starlette(routes=[Route("/{path:path}", answer, methods=methods)])


def _target(request: Request) -> bytes:
    query: bytes = request.scope["query_string"]
    return request.scope["raw_path"].partition(b"?")[0] + (b"?" + query if query else b"")


async def _body(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    finally:
        await response.aclose()
