"""The CPU of a row where the network costs nothing: `python benchmarks/null_transport.py --rows 4000`.

`client.map` with its journal, 64 rows in flight, over a backend that answers each create from memory, and over
`httpx.MockTransport` with the same answers: what an HTTP library's own types and client cost a row is the difference.
What it takes to make the answers is in both, and is measured by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from replicate_kit import Client
from replicate_kit.transport import Request, Response, Transport

BASE = "https://null.test/v1"
ids = count()


def answer(method: str, path: str, content: bytes) -> tuple[int, dict[str, Any]]:
    """Answer as the API does: a create has succeeded at once."""
    if method == "GET":
        return 200, {"results": [], "next": None, "owner": "acme", "name": "echo", "is_official": True}
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    made = {"id": f"p{next(ids)}", "model": "acme/echo", "version": "hidden", "status": "succeeded"}
    given = json.loads(content)["input"]
    return 201, {**made, "input": given, "output": given["text"], "created_at": now, "completed_at": now}


class Null:
    """A backend without a network."""

    def connect(self, config: Any, /, *, blocking: bool) -> Transport:
        """Answer by itself."""
        return NullTransport()

    def base_url(self, config: Any, /) -> str:
        """The root of its API."""
        return BASE

    def output_origins(self, config: Any, /) -> Sequence[str]:
        """None: it makes no files."""
        return ()


class NullTransport:
    """Its transport."""

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        status, body = answer(request.method, request.url.path, request.content)
        return Response(status, json=body, request=request)

    async def aclose(self) -> None:
        """Nothing is open."""


def by_httpx(request: httpx.Request) -> httpx.Response:
    """The same answers as httpx's."""
    status, body = answer(request.method, request.url.path, request.content)
    return httpx.Response(status, json=body)


def measure_answers(rows: int) -> float:
    """The microseconds of CPU that it takes to make the answer to a row's create."""

    async def answered() -> None:
        for number in range(rows):
            sent = Request("POST", f"{BASE}/models/acme/echo/predictions", json=_input(number))
            await transport.send(sent)

    async def made() -> None:
        for number in range(rows):
            Request("POST", f"{BASE}/models/acme/echo/predictions", json=_input(number))

    transport = NullTransport()
    return _cpu(answered, rows) - _cpu(made, rows)


def _cpu(what: Callable[[], Coroutine[Any, Any, None]], rows: int) -> float:
    """The microseconds of CPU that a row takes of it."""
    began = time.process_time()
    asyncio.run(what())
    return (time.process_time() - began) / rows * 1e6


def _input(number: int) -> dict[str, Any]:
    """What the create of a row is called with."""
    return {"input": {"text": f"row {number}"}}


def measure(client: Client, rows: int) -> float:
    """The microseconds of CPU that a row takes."""
    inputs = [{"text": f"row {number}"} for number in range(rows)]
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        results = client.map(
            "acme/echo",
            inputs,
            journal=Path(folder) / "rows.sqlite",
            concurrency=64,
            creates_per_minute=6e8,
            progress=False,
        )
        wrong = sum(result.output != f"row {result.index}" for result in results)
        spent = time.process_time() - began
    if wrong:
        raise SystemExit(f"{wrong} of {rows} results are wrong.")
    return spent / rows * 1e6


def main() -> None:
    """Measure both, one after the other, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    transport = httpx.MockTransport(by_httpx)
    found: dict[str, list[float]] = {
        "a null transport": [],
        "httpx.MockTransport": [],
        "making the answers": [],
    }
    options: dict[str, dict[str, Any]] = {
        "a null transport": {"backend": Null()},
        "httpx.MockTransport": {"base_url": BASE, "transport": transport},
    }
    for _ in range(given.rounds):
        for name, each in options.items():
            with Client("r8_any", **each) as client:
                found[name].append(measure(client, given.rows))
        found["making the answers"].append(measure_answers(given.rows))
    medians = {name: statistics.median(times) for name, times in found.items()}
    for name, median in medians.items():
        print(f"{name:22} {median:6.0f} µs of CPU a row   {median / medians['httpx.MockTransport']:4.2f} x")


if __name__ == "__main__":
    main()
