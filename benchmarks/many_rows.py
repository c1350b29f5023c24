"""Memory and CPU of a run by its number of rows, beside a plain loop: `python benchmarks/many_rows.py --rows 1000000`.

The rows come from a generator, the models take no time, and the simulator in the same process remembers few
predictions, so that what grows with the number of rows is the engine's. The plain loop is what one would write
without it: workers over one iterator, httpx, a GET for what has not ended, nothing checked or written down.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx

from replicate_kit import Client
from replicate_kit.simulator import Simulator, SimulatorTransport

SIZES = (2_000, 8_000)
WORKERS = 64  # as many requests as the engine sends at once


def rows(count: int) -> Iterator[dict[str, str]]:
    """Make rows one by one."""
    for number in range(count):
        yield {"text": f"row {number}"}


def run(simulator: Simulator, count: int, ordered: bool) -> int:
    """Run so many rows, and count results that are wrong."""
    with Client(backend=simulator) as client:
        results = client.map("acme/echo", rows(count), ordered=ordered)
        return sum(result.output != f"row {result.index}" for result in results)


def loop(simulator: Simulator, count: int) -> int:
    """Do the same with httpx alone."""
    return asyncio.run(_loop(simulator, count))


async def _loop(simulator: Simulator, count: int) -> int:
    """Let workers take rows from one iterator."""
    left = rows(count)
    async with httpx.AsyncClient(
        base_url=simulator.base_url, transport=SimulatorTransport(simulator)
    ) as client:
        return sum(await asyncio.gather(*(_work(client, left) for _ in range(WORKERS))))


async def _work(client: httpx.AsyncClient, left: Iterator[dict[str, str]]) -> int:
    """Create, look until it has ended, and compare."""
    wrong = 0
    for row in left:
        answer = await client.post(
            "/models/acme/echo/predictions", json={"input": row}, headers={"Prefer": "wait=1"}
        )
        while answer.json()["status"] in ("starting", "processing"):
            answer = await client.get(f"/predictions/{answer.json()['id']}")
        wrong += answer.json()["output"] != row["text"]
    return wrong


def measure(count: int, ordered: bool, plain: bool) -> dict[str, Any]:
    """Run so many rows, and note what that took."""
    simulator = Simulator(keep=2_000)

    @simulator.model("acme/echo", workers=4)
    def echo(text: str) -> str:
        return text

    began, used = time.monotonic(), time.process_time()
    wrong = loop(simulator, count) if plain else run(simulator, count, ordered)
    return {
        "seconds": time.monotonic() - began,
        "cpu": (time.process_time() - used) / count * 1e3,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "requests": sum(simulator.calls.values()) / count,
        "creates": simulator.created,
        "wrong": wrong,
    }


def apart(count: int, *flags: str) -> dict[str, Any]:
    """Measure in a process of its own, and print what came of it."""
    command = [sys.executable, __file__, "--here", "--rows", str(count), *flags]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    name = "plain loop" if "--plain" in flags else "map"
    print(
        f"{name:>10}, {count:>9,} rows: peak {found['peak']:4.0f} MB, {found['seconds']:6.1f} s, "
        f"{found['cpu']:.2f} ms of CPU a row (simulator included), {found['requests']:.2f} requests a row, "
        f"{found['creates']:,} creates, {found['wrong']} wrong",
        flush=True,
    )
    return found


def compare(sizes: list[int], ordered: bool) -> None:
    """Measure each size, then the plain loop with the first, and print ratios."""
    sizes = sorted(sizes)
    found = {count: apart(count, *(["--ordered"] if ordered else [])) for count in sizes}
    plain = apart(sizes[0], "--plain")
    print(f"map / plain loop: {found[sizes[0]]['cpu'] / plain['cpu']:.2f} times the CPU a row")
    for less, more in pairwise(sizes):
        grown = (found[more]["peak"] - found[less]["peak"]) * 2**20 / (more - less)
        print(f"from {less:,} to {more:,} rows: {grown:.0f} bytes of memory a row")


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--ordered", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.rows[0], options.ordered, options.plain)))
    else:
        compare(options.rows, options.ordered)


if __name__ == "__main__":
    main()
