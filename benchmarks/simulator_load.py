"""What the simulator bears: many clients at once over a socket, and an hour of simulated traffic in little memory.

    python benchmarks/simulator_load.py [--clients 200] [--predictions 2000] [--hour 20000]

Prints figures; ends with an error if anything was lost, or if memory went on growing.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from replicate_kit.simulator import Clock, Simulator, SimulatorTransport, install

HERE = Path(__file__).parent
WORDS = {"prompt": "the sea", "lines": 1}


async def visit(client: httpx.AsyncClient, number: int) -> str:
    """Create a prediction, await it or stream it, and say how it went."""
    holds, streams = number % 3 == 0, number % 3 == 1
    headers = {"prefer": "wait=30"} if holds else {}
    body = {"version": "demo/poet", "input": {**WORDS, "seed": number}}
    created = (await client.post("/v1/predictions", json=body, headers=headers)).raise_for_status().json()
    if streams:
        text = (await client.get(created["urls"]["stream"])).raise_for_status().text
        if not text.endswith("data: {}\n\n") or text.count("event: output") < 3:
            return "stream cut"
    while created["status"] in ("starting", "processing"):
        created = (await client.get(f"/v1/predictions/{created['id']}")).raise_for_status().json()
        if created["status"] in ("starting", "processing"):
            await asyncio.sleep(0.05)
    right = created["status"] == "succeeded" and created["input"]["seed"] == number and created["output"]
    return "held" if right and holds else "streamed" if right and streams else "polled" if right else "wrong"


async def crowd(url: str, clients: int, predictions: int) -> tuple[Counter[str], list[float]]:
    """Let so many clients, each with a connection of its own, share the work."""
    numbers, results, times = iter(range(predictions)), Counter[str](), []

    async def one() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            for number in numbers:
                began = time.perf_counter()
                results[await visit(client, number)] += 1
                times.append(time.perf_counter() - began)

    await asyncio.gather(*(one() for _ in range(clients)))
    return results, sorted(times)


def load(clients: int, predictions: int) -> None:
    """Measure a server in a process of its own."""
    command = [sys.executable, "-u", "-m", "replicate_kit", "serve", "--port", "0", "--no-https", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        url = next(line.strip().rstrip("/") for line in lines if line.startswith("  http://"))
        began = time.perf_counter()
        results, times = asyncio.run(crowd(url, clients, predictions))
        took = time.perf_counter() - began
        created = httpx.get(f"{url}/_control").json()["created"]
        memory = resident(process.pid)
        process.terminate()
    print(f"{clients} clients, {predictions} predictions: {dict(results)}, {created} created at the server")
    median, most = (times[int(len(times) * part)] * 1000 for part in (0.5, 0.99))
    print(
        f"  {took:.1f} s, {predictions / took:.0f} a second; one: median {median:.0f} ms, 99 % within {most:.0f} ms"
    )
    print(f"  memory of the server at the end: {memory:.0f} MB")
    lost = set(results) - {"held", "streamed", "polled"} or {sum(results.values()), created} != {predictions}
    if lost:
        sys.exit("Something was lost.")


def hour(predictions: int, keep: int = 2000) -> None:
    """An hour's traffic of small and of large outputs in one process, on a clock that is moved."""
    clock = Clock()
    simulator = install(Simulator(clock=clock, keep=keep, retention=600))
    sizes, slices = [], 12
    with httpx.Client(transport=SimulatorTransport(simulator), base_url=simulator.base_url) as client:
        for part in range(slices):
            for number in range(predictions // slices):
                run(client, part * predictions + number)
            clock.advance(3600 / slices)
            gc.collect()
            sizes.append(resident())
    print(f"an hour of {predictions} predictions, {keep} kept, data removed after 10 minutes:")
    print("  MB after every 5 minutes: " + " ".join(f"{each:.0f}" for each in sizes))
    growth = sizes[-1] - sizes[slices // 2]
    print(f"  growth in the second half: {growth:.1f} MB; threads left: {threading.active_count() - 1}")
    if growth > 20:
        sys.exit("Memory goes on growing.")


def run(client: httpx.Client, number: int) -> Any:
    """Create and await one; now and then one with a picture, and an upload."""
    if number % 50 == 0:
        body = {
            "version": "demo/painter",
            "input": {"prompt": "sea", "width": 64, "height": 64, "seed": number},
        }
        client.post("/files", files={"content": ("a.bin", b"x" * 10_000)}).raise_for_status()
    else:
        body = {"version": "demo/poet", "input": {**WORDS, "seed": number}}
    answer = client.post("/predictions", json=body, headers={"prefer": "wait"}).raise_for_status().json()
    assert answer["output"], answer


def resident(process: int | None = None) -> float:
    """Megabytes of memory in use."""
    try:
        pages = int(Path(f"/proc/{process or 'self'}/statm").read_text().split()[1])
    except FileNotFoundError:  # not on Linux: the most that was ever in use
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser()
    for name, default in (("clients", 200), ("predictions", 2000), ("hour", 20_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options, _ = parser.parse_known_args()
    load(options.clients, options.predictions)
    hour(options.hour)


if __name__ == "__main__":
    main()
