"""What saving costs, in time and in memory, beside curl and httpx that streams to files in the same run.

Every measurement has a process of its own, and so has the server: peak memory is that of saving alone.
"""

import asyncio
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

MB = 2**20
LOADS = (("200 files of 1 MB", 200, MB), ("20 files of 50 MB", 20, 50 * MB), ("1 file of 1 GB", 1, 1024 * MB))
AT_ONCE = 8  # as many as save_to transfers at a time
ROUNDS = 2
S3 = {"key": "key", "secret": "secret", "client_kwargs": {"region_name": "eu-west-1"}}


class Handler(BaseHTTPRequestHandler):
    """Sends as many bytes as the path says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    block = bytes(range(256)) * 1024

    def do_GET(self) -> None:
        left = int(self.path.split("/")[1])
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(left))
        self.end_headers()
        while left > 0:
            left -= self.wfile.write(self.block[: min(left, len(self.block))])

    def log_message(self, *args: object) -> None:
        pass


def serve() -> None:
    """Be the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


async def with_httpx(base: str, folder: str, size: int, count: int) -> None:
    """Stream to files with httpx alone."""
    gate = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(timeout=60) as client:

        async def one(number: int) -> None:
            async with gate, client.stream("GET", f"{base}/{size}/{number}") as response:
                with open(f"{folder}/{number}.png", "wb") as file:  # noqa: ASYNC230 - as most people would
                    async for chunk in response.aiter_bytes():
                        file.write(chunk)

        await asyncio.gather(*(one(number) for number in range(count)))


async def with_curl(base: str, folder: str, size: int, count: int) -> None:
    """Fetch files with curl."""
    pairs = (f'url = "{base}/{size}/{each}"\noutput = "{folder}/{each}.png"\n' for each in range(count))
    command = ["curl", "--silent", "--parallel", "--parallel-max", str(AT_ONCE), "--config", "-"]
    quiet = {"check": True, "stderr": subprocess.DEVNULL}
    subprocess.run(command, input="".join(pairs).encode(), **quiet)  # noqa: ASYNC221 - there is nothing else to do


async def with_async_save(base: str, folder: str, size: int, count: int) -> None:
    """Save files as one does without a store."""
    from replicate_kit import Client, FileOutput

    gate = asyncio.Semaphore(AT_ONCE)
    async with Client(backend="http", base_url=base) as client:

        async def one(number: int) -> None:
            async with gate:
                file = FileOutput(f"{base}/{size}/{number}", client.session)
                await file.async_save(f"{folder}/{number}.png")

        await asyncio.gather(*(one(number) for number in range(count)))


async def with_save_to(base: str, folder: str, size: int, count: int) -> None:
    """Save to a folder."""
    await store(base, folder, size, count, {})


async def with_save_to_s3(base: str, folder: str, size: int, count: int) -> None:
    """Save to a server of S3 over the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*probe.getsockname())
    auth = f"{S3['key']},{S3['secret']}"
    command = [RCLONE or "rclone", "serve", "s3", "--addr", address, "--auth-key", auth, folder]
    quiet = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    os.makedirs(f"{folder}/bucket", exist_ok=True)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:  # noqa: ASYNC220 - it is quick
        await until_it_listens(address)
        options = {**S3, "endpoint_url": f"http://{address}", "config_kwargs": quiet}
        await store(base, "s3://bucket", size, count, options)
        server.terminate()


async def until_it_listens(address: str) -> None:
    """Wait for a server."""
    host, _, port = address.partition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def store(base: str, folder: str, size: int, count: int, options: dict[str, object]) -> None:
    """Save with `store_outputs`."""
    from replicate_kit import Client, FileOutput
    from replicate_kit.stores._saving import store_outputs

    async with Client(backend="http", base_url=base) as client:
        await asyncio.gather(
            *(
                store_outputs(
                    FileOutput(f"{base}/{size}/{number}", client.session),
                    folder=folder,
                    prediction_id=f"p{number}",
                    model=None,
                    session=client.session,
                    options=options,
                )
                for number in range(count)
            )
        )


RCLONE = shutil.which("rclone")
CANDIDATES = {"httpx to files": with_httpx, "async_save": with_async_save, "save_to a folder": with_save_to}
if shutil.which("curl"):
    CANDIDATES = {"curl": with_curl, **CANDIDATES}
if RCLONE:
    CANDIDATES["save_to S3 (rclone)"] = with_save_to_s3


def run(name: str, base: str, folder: str, size: int, count: int) -> None:
    """Be one measurement: warm up, save, tell seconds and the growth of the peak."""
    asyncio.run(CANDIDATES[name](base, folder, 1000, 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    asyncio.run(CANDIDATES[name](base, folder, size, count))
    seconds = time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps([seconds, grown]))


def measured(name: str, base: str, size: int, count: int) -> tuple[float, float]:
    """Measure once, in a process and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "run", name, base, folder, str(size), str(count)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        assert sum(1 for each in Path(folder).rglob("*.png") if each.stat().st_size == size) >= count
        seconds, grown = json.loads(output)
        return seconds, grown


def main() -> None:
    """Measure all in turn, and print the best of each."""
    with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base = server.stdout.readline().strip()
        try:
            for title, count, size in LOADS:
                found = {
                    name: [measured(name, base, size, count) for _ in range(ROUNDS)] for name in CANDIDATES
                }
                fastest = min(seconds for seconds, _ in found["httpx to files"])
                for name, rounds in found.items():
                    seconds, grown = min(each[0] for each in rounds), max(each[1] for each in rounds)
                    rate, ratio = count * size / seconds / 1e6, seconds / fastest
                    print(f"{title:18} {name:20} {rate:7.0f} MB/s  {ratio:5.2f} x  peak + {grown:5.1f} MiB")
        finally:
            server.terminate()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            serve()
        case ["run", name, base, folder, size, count]:
            run(name, base, folder, int(size), int(count))
        case _:
            main()
