"""What is measured in a process of its own: `python benchmarks/_measures.py NAME SERVER [OPTION=VALUE...]` prints JSON.

The official client has an environment of its own. What measures it loads nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

Found = dict[str, float]
MODEL = "acme/painter"


def cpu() -> float:
    """Seconds of CPU of this process with all its threads, and of those that it started."""
    mine, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stats(server: str) -> dict[str, Any]:
    """What the service was asked since the last time."""
    with urllib.request.urlopen(f"{server}/stats?trace=1") as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def inputs(count: int) -> list[dict[str, Any]]:
    """So many rows, none of which is like another."""
    return [{"prompt": f"a photo {number}", "seed": number} for number in range(count)]


def rows(server: str, count: int, in_flight: int = 0, ms: int = 0, backend: str = "http") -> Found:
    """A batch with its journal."""
    from replicate_kit import Client
    from replicate_kit.batch._ledger.database import Database

    commits, commit = Counter[Database](), Database._commit

    def counted(self: Database, *asked: Any) -> Any:
        commits[self] += 1
        return commit(self, *asked)

    Database._commit = counted  # type: ignore[method-assign, assignment]
    client = Client("r8_any", base_url=f"{server}/b/{ms}", backend=backend)
    stats(server)
    with tempfile.TemporaryDirectory() as folder:
        began, used = time.perf_counter(), cpu()
        results = client.map(
            MODEL, inputs(count), journal=Path(folder) / "rows.sqlite", concurrency=in_flight or None,
            creates_per_minute=6e8, progress=False,
        )  # fmt: skip
        done = sum(each.status == "succeeded" for each in results)
        used, seconds = cpu() - used, time.perf_counter() - began
    assert done == count, done
    creates = sorted(stats(server)["trace"])
    found = {
        "cpu": used / count * 1e3,
        "per_second": count / seconds,
        "per_commit": count / max(commits.values()),
    }
    return found | {
        f"create_{nth}": (creates[nth - 1] - creates[0]) / 1e3 for nth in (64, 128, 256, 512) if nth <= count
    }


def official(server: str, count: int, in_flight: int) -> Found:
    """The official client, with so many at once."""
    import replicate  # type: ignore[import-not-found]

    async def main() -> list[Any]:
        client, gate = (
            replicate.Client(api_token="r8_any", base_url=f"{server}/b/0"),
            asyncio.Semaphore(in_flight),
        )

        async def one(input: dict[str, Any]) -> Any:
            async with gate:
                return await client.async_run(MODEL, input=input)

        return await asyncio.gather(*(one(each) for each in inputs(count)))

    used = cpu()
    done = asyncio.run(main())
    assert len([each for each in done if each]) == count
    return {"cpu": (cpu() - used) / count * 1e3}


def unbounded(server: str, count: int, backend: str = "http") -> Found:
    """So many `async_run` at once."""
    from replicate_kit import Client

    async def main() -> list[Any]:
        async with Client("r8_any", base_url=f"{server}/b/1000", backend=backend) as client:
            runs = (client.async_run(MODEL, each) for each in inputs(count))
            return await asyncio.gather(*runs, return_exceptions=True)

    began, used = time.perf_counter(), cpu()
    done = asyncio.run(main())
    lost = sum(isinstance(each, BaseException) or each is None for each in done)
    return {"lost": lost, "cpu": (cpu() - used) / count * 1e3, "seconds": time.perf_counter() - began}


def late(server: str, how: str, ms: int, count: int, backend: str = "http") -> Found:
    """How long after its end a prediction is seen to have ended, once the model's times are known, and with how many
    requests.
    """
    from replicate_kit import Client

    lateness: list[float] = []

    def note(id: str | None) -> None:
        assert id
        created, duration = id[1:].split("f")[0].split("d")
        lateness.append(time.time() * 1e3 - int(created) - int(duration))

    client = Client("r8_any", base_url=f"{server}/b/{ms}", backend=backend)

    async def one(spread: float) -> None:
        await asyncio.sleep(spread * random.random())
        prediction = await client.predictions.async_create(MODEL, {"prompt": "x"}, wait=how == "wait")
        await prediction.async_wait()
        note(prediction.id)

    async def several(times: int, spread: float) -> None:
        await asyncio.gather(*(one(spread) for _ in range(times)))

    async def main() -> None:
        await several(8, 0.1)  # from these it is known how long the model takes
        lateness.clear()
        stats(server)
        await several(count, 0.5)

    if how == "map":
        stats(server)
        for each in client.map(
            MODEL, inputs(count), ordered=False, creates_per_minute=6e8, progress=False, concurrency=256
        ):
            note(each.prediction_id)
    else:
        asyncio.run(main())
    asked = stats(server)
    found = {"mean": statistics.mean(lateness), "median": statistics.median(lateness)}
    return found | {"looks": (asked["gets"] + asked["pages"]) / count}


def save(server: str, how: str, count: int, kind: str, backend: str = "http") -> Found:
    """Files to a folder."""
    size = {"1m": 2**20, "1g": 2**30}[kind]
    urls = [f"{server}/files/{kind}/n{number}/out-0.bin" for number in range(count)]
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        prepared = HOW_TO_SAVE[how](server, urls, folder, kind, backend)
        before, used, began = peak(), cpu(), time.perf_counter()
        prepared()
        seconds = time.perf_counter() - began
        used, grown = cpu() - used, peak() - before
        files = [each.stat().st_size for each in Path(folder).rglob("*") if each.suffix == ".bin"]
        assert files == [size] * count, files
    return {"seconds": seconds, "cpu": used, "grown": grown}


def by_curl(server: str, urls: list[str], folder: str, kind: str, backend: str) -> Callable[[], Any]:
    """Eight at a time by curl."""
    import subprocess

    orders = "".join(f'url = "{url}"\noutput = "{folder}/{number}.bin"\n' for number, url in enumerate(urls))
    command = ["curl", "-s", "--no-progress-meter", "-Z", "--parallel-max", "8", "-K", "-"]
    return lambda: subprocess.run(command, check=True, input=orders, text=True)


def by_save(server: str, urls: list[str], folder: str, kind: str, backend: str) -> Callable[[], Any]:
    """One after the other."""
    from replicate_kit import Client, FileOutput

    client = Client("r8_any", base_url=f"{server}/b/0", backend=backend)
    client.models.get(MODEL)  # connected
    return lambda: [
        FileOutput(url, client.session).save(f"{folder}/{number}.bin") for number, url in enumerate(urls)
    ]


def by_async_save(server: str, urls: list[str], folder: str, kind: str, backend: str) -> Callable[[], Any]:
    """Eight at a time."""
    from replicate_kit import Client, FileOutput

    client = Client("r8_any", base_url=f"{server}/b/0", backend=backend)
    runner, gate = asyncio.Runner(), asyncio.Semaphore(8)
    runner.run(client.models.async_get(MODEL))  # connected

    async def one(number: int, url: str) -> None:
        async with gate:
            await FileOutput(url, client.session).async_save(f"{folder}/{number}.bin")

    async def main() -> None:
        await asyncio.gather(*(one(number, url) for number, url in enumerate(urls)))

    return lambda: runner.run(main())


def by_map(server: str, urls: list[str], folder: str, kind: str, backend: str) -> Callable[[], Any]:
    """With the predictions that make them."""
    from replicate_kit import Client

    client = Client("r8_any", base_url=f"{server}/b/0/{kind}", backend=backend)
    client.models.get(MODEL)

    def run() -> None:
        for each in client.map(
            MODEL, inputs(len(urls)), save_to=folder, creates_per_minute=6e8, progress=False, concurrency=64
        ):
            assert each.error is None, each.error

    return run


HOW_TO_SAVE = {"curl": by_curl, "save": by_save, "async_save": by_async_save, "map": by_map}


def events(server: str, count: int = 50_000) -> Found:
    """Events of 33 bytes in chunks of 4 KB, beside a parser that knows nothing but their two lines."""
    from replicate_kit._formats.sse import Decoder

    stream = b"event: output\nid: 1:1\ndata: word\n\n" * count
    chunks = [stream[start : start + 4096] for start in range(0, len(stream), 4096)]

    def plain() -> int:
        found, pending, event = 0, b"", {}
        for chunk in chunks:
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                if line:
                    name, _, value = line.decode().partition(": ")
                    event[name] = value
                else:
                    found, event = found + 1, {}
        return found

    def ours() -> int:
        decoder = Decoder()
        return sum(len(decoder.feed(chunk)) for chunk in chunks)

    best = dict.fromkeys((plain, ours), 1e9)
    for _ in range(5):
        for each in best:
            began = time.process_time()
            assert each() == count
            best[each] = min(best[each], time.process_time() - began)
    return {"ours": best[ours] / count * 1e6, "plain": best[plain] / count * 1e6}


def mock(server: str, count: int = 3000) -> Found:
    """Predictions in the process: of the simulator, which is asked without a client, and by `run`."""
    from replicate_kit import Client
    from replicate_kit._runtime.blocking import run
    from replicate_kit.backends.mock import MockBackend
    from replicate_kit.simulator import Simulator
    from replicate_kit.transport import Request

    simulator = Simulator()

    @simulator.model("acme/echo")
    def echo(text: str) -> str:
        return text

    client, transport = Client(backend=simulator), MockBackend(simulator).connect(None, blocking=True)

    def ask(number: int) -> Any:
        url, body = f"{simulator.base_url}/models/acme/echo/predictions", {"input": {"text": f"row {number}"}}
        answer = run(transport.send(Request("POST", url, headers={"prefer": "wait"}, json=body)))
        return json.loads(answer.content)["output"]

    found = {}
    for key, of in (
        ("predictions", ask),
        ("runs", lambda number: client.run("acme/echo", {"text": f"row {number}"})),
    ):
        began = time.process_time()
        assert all(of(number) for number in range(count))
        found[key] = count / (time.process_time() - began)
    return found


if __name__ == "__main__":
    name, service, *options = sys.argv[1:]
    given = {
        key: int(value) if value.isdecimal() else value
        for key, _, value in (each.partition("=") for each in options)
    }
    print(json.dumps(globals()[name](service, **given)), flush=True)
    os._exit(0)  # what is left running is not measured
