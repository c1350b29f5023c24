"""A service that answers at once, for what is measured here: `python benchmarks/_api.py PORT`.

How long a model takes stands in the root of the API: `/b/<milliseconds>/v1`. A model of `/b/<milliseconds>/1m/v1` makes
one file of that size. An id tells when its prediction was created, in milliseconds, and how long it takes:
`t<created>d<duration>f<file>s<number>`. `/stats` tells what was asked since it was asked last.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from typing import Any

VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
SIZES = {"1m": 2**20, "100m": 100 * 2**20, "1g": 2**30}
PATH = re.compile(r"/b/(?P<ms>\d+)(?:/(?P<kind>\w+))?/v1/(?P<rest>.*)")
PAGE = 100
INPUT = {"prompt": "a photo of an astronaut riding a horse on mars, " * 5, "seed": 48213, "go_fast": True}
LOGS = "".join(f"{part * 25:4}%|{'#' * part:4}| {part}/4 [00:00<00:01, 3.41it/s]\n" for part in range(5))
SCHEMA = {
    "components": {
        "schemas": {
            "Input": {
                "type": "object",
                "required": ["prompt"],
                "properties": {
                    "prompt": {"type": "string", "x-order": 0},
                    "seed": {"type": "integer", "x-order": 1},
                },
            },
            "Output": {"type": "array", "items": {"type": "string", "format": "uri"}},
        }
    }
}  # fmt: skip
MODEL_VERSION = {"id": VERSION, "created_at": "2026-01-01T00:00:00Z", "openapi_schema": SCHEMA}
MODEL = {
    "url": "https://replicate.com/acme/painter",
    "owner": "acme",
    "name": "painter",
    "visibility": "public",
    "latest_version": MODEL_VERSION,
}


def stamp(milliseconds: int) -> str:
    """Write a time as the API does."""
    whole, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{rest:03}Z"


class Service:
    """What all connections share."""

    def __init__(self) -> None:
        self.url, self.files = "", {}
        self.counts: Counter[str] = Counter()
        self.creates: list[int] = []
        self.ids: list[str] = []

    def document(self, id: str, root: str) -> bytes:
        """Show a prediction as it is now."""
        created, duration, kind = re.match(r"t(\d+)d(\d+)f(\w+?)s", id).groups()  # type: ignore[union-attr]
        ends = int(created) + int(duration)
        done = time.time() * 1000 >= ends
        at, running = stamp(int(created)), round(int(duration) / 1000, 3)
        file = (
            f"{self.url}/files/{kind}/{id}/out-0.bin"
            if kind in SIZES
            else f"https://replicate.delivery/{id}/out-0.webp"
        )
        urls = {"get": f"{root}/predictions/{id}", "cancel": f"{root}/predictions/{id}/cancel"}
        return json.dumps(
            {
                "id": id, "model": "acme/painter", "version": VERSION, "input": INPUT, "logs": LOGS,
                "output": [file] if done else None, "error": None, "status": "succeeded" if done else "processing",
                "created_at": at, "started_at": at, "completed_at": stamp(ends) if done else None, "urls": urls,
                "metrics": {"predict_time": running, "total_time": running} if done else {},
            }
        ).encode()  # fmt: skip

    def page(self, root: str, query: str) -> bytes:
        """Show a page of the list, newest first."""
        top = int(query.partition("=")[2] or len(self.ids))
        low = max(0, top - PAGE)
        shown = b",".join(self.document(id, root) for id in reversed(self.ids[low:top]))
        following = f'"{root}/predictions?cursor={low}"' if low else "null"
        return b'{"previous":null,"next":%s,"results":[%s]}' % (following.encode(), shown)

    def stats(self) -> bytes:
        """Tell what was asked since the last time."""
        told = {
            **dict.fromkeys(("posts", "gets", "pages", "cancels"), 0),
            **self.counts,
            "trace": self.creates,
        }
        self.counts, self.creates = Counter(), []
        return json.dumps(told).encode()


class Connection(asyncio.Protocol):
    """One connection; requests that come together are answered one after the other."""

    def __init__(self, service: Service) -> None:
        self._service, self._buffer = service, b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            lowered = head.lower()
            length = re.search(rb"content-length: *(\d+)", lowered)
            size = int(length[1]) if length else 0
            if len(rest) < size:
                return
            self._buffer = rest[size:]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
            held = re.search(rb"prefer: *wait(?:=(\d+))?", lowered)
            self._answer(method, target, int(held[1] or 60) * 1000 if held else 0)

    def _answer(self, method: str, target: str, hold: int) -> None:
        """Answer one request, now or when its prediction has ended."""
        service = self._service
        path, _, query = target.partition("?")
        if path == "/stats":
            self._send(service.stats())
        elif path.startswith("/files/"):
            self._send_file(path.split("/")[2])
        elif (found := PATH.fullmatch(path)) is None:
            self._send(b'{"detail":"not found"}', "404 Not Found")
        else:
            root = service.url + path.removesuffix(f"/{found['rest']}")
            self._answer_api(method, root, found, query, hold)

    def _answer_api(self, method: str, root: str, found: re.Match[str], query: str, hold: int) -> None:
        """Answer a request of the API itself."""
        service, rest = self._service, found["rest"]
        if rest.endswith("predictions") and method == "POST":
            service.counts["posts"] += 1
            now, duration = int(time.time() * 1000), int(found["ms"])
            service.creates.append(now)
            service.ids.append(id := f"t{now}d{duration}f{found['kind'] or 'x'}s{len(service.ids)}")
            if hold and duration:
                asyncio.get_running_loop().call_later(min(hold, duration) / 1000, self._show, id, root)
            else:
                self._show(id, root)
        elif rest == "predictions":
            service.counts["pages"] += 1
            self._send(service.page(root, query))
        elif rest.startswith("predictions/"):
            service.counts["cancels" if method == "POST" else "gets"] += 1
            self._send(service.document(rest.split("/")[1], root))
        else:
            self._send(json.dumps(MODEL_VERSION if "/versions/" in rest else MODEL).encode())

    def _show(self, id: str, root: str) -> None:
        """Answer a create."""
        self._send(self._service.document(id, root), "201 Created")

    def _send(self, body: bytes, status: str = "200 OK") -> None:
        """Send an answer."""
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)

    def _send_file(self, kind: str) -> None:
        """Send a file by the system's own copying."""
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
        self._transport.write(f"{head}Content-Length: {SIZES[kind]}\r\n\r\n".encode())
        loop, file = asyncio.get_running_loop(), open(self._service.files[kind], "rb")  # noqa: SIM115
        task = loop.create_task(loop.sendfile(self._transport, file, 0, SIZES[kind]))
        task.add_done_callback(lambda _: file.close())


async def serve(port: int) -> None:
    """Serve until the program is ended; print the root."""
    service = Service()
    with tempfile.TemporaryDirectory() as folder:
        for kind, size in SIZES.items():
            service.files[kind] = f"{folder}/{kind}"
            with open(service.files[kind], "wb") as file:  # noqa: ASYNC230
                file.truncate(size)
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, ended.set)
        server = await loop.create_server(lambda: Connection(service), "127.0.0.1", port, backlog=20_000)
        service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        print(service.url, flush=True)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
