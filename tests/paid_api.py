"""A paid API that shares no code with the client or its simulator: `paid_api.py PORT PAYMENTS '{"list_lag": 2}'`.

It prints its address, and speaks enough of Replicate's HTTP API for `Client.map`. A create is a payment: a line of JSON
in the file PAYMENTS, which is written before anything is answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

_PAGE = 100
_INPUT = {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}}
_SCHEMAS = {"Input": _INPUT, "Output": {"type": "string"}}
_VERSION = {
    "id": "f" * 64,
    "created_at": "2026-01-01T00:00:00Z",
    "openapi_schema": {"components": {"schemas": _SCHEMAS}},
}
_REASONS = {200: "OK", 201: "Created", 404: "Not Found"}


@dataclass(frozen=True)
class Manners:
    """How it behaves; times are in seconds."""

    run: tuple[float, float] = (0.1, 0.4)
    """Between which a prediction takes."""
    list_lag: float = 0.0
    """After which the list shows a prediction."""
    answer_late: tuple[float, float] = (0.0, 0.0)
    """How many of the creates are answered late, and by how much."""
    reset_after: float = 0.0
    """How many of the creates are acted on, and not answered."""


@dataclass
class Paid:
    """A prediction."""

    id: str
    input: dict[str, Any]
    began: float
    ends: float
    is_canceled: bool = False

    def shown(self, base: str) -> dict[str, Any]:
        """What an answer shows of it."""
        url, is_over = f"{base}/v1/predictions/{self.id}", self.is_canceled or time.time() >= self.ends
        ended = {"completed_at": _stamp(self.ends), "metrics": {"predict_time": self.ends - self.began}}
        ended |= {"output": None if self.is_canceled else f"out:{self.input['prompt']}"}
        return {
            "id": self.id,
            "model": "acme/paid",
            "version": "f" * 64,
            "input": self.input,
            "status": "canceled" if self.is_canceled else "succeeded" if is_over else "processing",
            "error": None,
            "output": None,
            "created_at": _stamp(self.began),
            "urls": {"get": url, "cancel": f"{url}/cancel"},
        } | (ended if is_over else {})


class Api:
    """What it has, and how it answers."""

    def __init__(self, payments: str, manners: Manners) -> None:
        self._file = os.open(payments, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._manners, self._paid = manners, dict[str, Paid]()
        self._salt, self.base = os.urandom(6).hex(), ""

    async def _created(self, body: dict[str, Any], prefer: str) -> Any:
        manners, now = self._manners, time.time()
        id = f"{self._salt}{len(self._paid):08x}".ljust(26, "0")
        paid = Paid(id, body["input"], now, now + random.uniform(*manners.run))
        os.write(self._file, (json.dumps({"id": id, "input": paid.input}) + "\n").encode())
        self._paid[id] = paid
        if random.random() < manners.answer_late[0]:
            await asyncio.sleep(manners.answer_late[1])
        if random.random() < manners.reset_after:
            raise ConnectionAbortedError
        if prefer.startswith("wait="):
            await asyncio.sleep(min(float(prefer[5:]), max(0.0, paid.ends - time.time())))
        return 201, paid.shown(self.base)

    def _listed(self, query: dict[str, str]) -> Any:
        after = query.get("created_after")
        least = 0.0 if after is None else datetime.fromisoformat(after).timestamp()
        shown = (each for each in self._paid.values() if time.time() >= each.began + self._manners.list_lag)
        found = [each for each in shown if each.began >= least][::-1]
        start = int(query.get("cursor", 0))
        more = urlencode(query | {"cursor": str(start + _PAGE)})
        link = f"{self.base}/v1/predictions?{more}" if start + _PAGE < len(found) else None
        page = [each.shown(self.base) for each in found[start : start + _PAGE]]
        return 200, {"results": page, "next": link, "previous": None}

    async def answered(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Any:
        """A status and a body."""
        url = urlsplit(target)
        match [method, *url.path.strip("/").split("/")[1:]]:
            case ["GET", "models", owner, name]:
                return 200, {"owner": owner, "name": name, "latest_version": _VERSION}
            case ["POST", "predictions"] | ["POST", "models", _, _, "predictions"]:
                return await self._created(json.loads(body), headers.get("prefer", ""))
            case ["GET", "predictions"]:
                return self._listed(dict(parse_qsl(url.query)))
            case ["GET" | "POST", "predictions", id, *rest] if id in self._paid:
                self._paid[id].is_canceled |= rest == ["cancel"] and time.time() < self._paid[id].ends
                return 200, self._paid[id].shown(self.base)
        return 404, {"detail": "There is no such thing."}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes over a connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
                }
                method, target, _ = first.split(" ")
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, found = await self.answered(method, target, headers, body)
                content = json.dumps(found).encode()
                writer.write(
                    f"HTTP/1.1 {status} {_REASONS[status]}\r\ndate: {formatdate(usegmt=True)}\r\ncontent-type: "
                    f"application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode()
                    + content
                )
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


async def main(port: str, payments: str, manners: str = "{}") -> None:
    """Serve until it is killed."""
    api = Api(payments, Manners(**json.loads(manners)))
    server = await asyncio.start_server(api.serve, "127.0.0.1", int(port), backlog=1024)
    api.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(api.base, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
