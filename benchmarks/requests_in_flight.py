"""The CPU of a request with many in flight, beside httpx alone: `python benchmarks/requests_in_flight.py`.

Both ask the same server on a real socket, in a process of its own, in alternation. One asks through a client's
session, the other through one `httpx.AsyncClient` as it comes.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx

from replicate_kit import Client

BODY = b'{"id": "p", "status": "processing", "urls": {}, "logs": "%s"}' % (b"x" * 1000)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
Ask = Callable[[], Awaitable[Any]]


def serve(pipe: Any) -> None:
    """Answer whatever is asked, after a moment."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # the end of the connection
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(0.002)
                writer.write(ANSWER)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def measure(ask: Ask, in_flight: int, requests: int) -> float:
    """The milliseconds of CPU that a request takes."""

    async def worker() -> None:
        for _ in range(requests // in_flight):
            await ask()

    await asyncio.gather(*(ask() for _ in range(in_flight)))  # opens the connections
    began = time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return (time.process_time() - began) / requests * 1e3


async def compare(url: str, in_flight: int, requests: int, rounds: int) -> None:
    """Measure both, in alternation, and print the best of each."""
    ours, theirs = [], []
    async with Client(api_token="r8_test", base_url=url) as client, httpx.AsyncClient() as plain:
        for _ in range(rounds):
            ours.append(
                await measure(lambda: client.session.fetch("GET", "predictions/p"), in_flight, requests)
            )
            theirs.append(await measure(lambda: plain.get(f"{url}/predictions/p"), in_flight, requests))
    print(
        f"{in_flight:>4} in flight: {min(ours):.2f} ms of CPU a request, httpx alone {min(theirs):.2f}, "
        f"ratio {min(ours) / min(theirs):.2f}"
    )


def main() -> None:
    """Serve in another process, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, nargs="*", default=(1, 8, 64))
    parser.add_argument("--requests", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    mine, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{mine.recv()}"
    for in_flight in options.in_flight:
        asyncio.run(compare(url, in_flight, options.requests, options.rounds))
    server.terminate()


if __name__ == "__main__":
    main()
