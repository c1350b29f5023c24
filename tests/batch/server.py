"""The simulator on a real socket, in a process of its own: `python server.py` prints its address and serves."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import Any

import httpx
import uvicorn

from replicate_kit.simulator import RateLimits, Simulator, sleep
from replicate_kit.transport import runtime


def publish(simulator: Simulator) -> None:
    """Add a model that takes a moment."""

    @simulator.model("acme/steady", workers=64)
    def steady(n: int, salt: str, delay: float = 0.05) -> int:
        sleep(delay * random.uniform(0.5, 1.5))
        return 2 * n


class App:
    """An ASGI application over `Simulator.handle`."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        body += message.get("body", b"")
        headers = dict(scope["headers"])
        url = f"http://{headers[b'host'].decode()}{scope['raw_path'].decode()}"
        query = scope["query_string"].decode()
        request = httpx.Request(
            scope["method"], f"{url}?{query}" if query else url, headers=scope["headers"], content=body
        )
        response = await self.simulator.handle(request, runtime(False))
        content = await response.aread()
        kept = [
            (name.lower(), value) for name, value in response.headers.raw if name.lower() != b"content-length"
        ]
        kept.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": response.status_code, "headers": kept})
        await send({"type": "http.response.body", "body": content})


async def main(limits: RateLimits | None = None) -> None:
    """Serve until the process is ended."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    simulator = Simulator(
        base_url=f"{url}/v1", files_url=f"{url}/files", streams_url=f"{url}/streams", rate_limits=limits
    )
    publish(simulator)
    print(url, flush=True)
    server = uvicorn.Server(uvicorn.Config(App(simulator), log_level="warning", lifespan="off"))
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main())
