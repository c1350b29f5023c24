"""Start a Cog server of this machine for a folder with a model, without Docker: for development and tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from replicate_kit.config import Config
from replicate_kit.errors import ConfigError, ReplicateError
from replicate_kit_cog.asking import Asker
from replicate_kit_cog.background import BACKGROUND
from replicate_kit_cog.servers import Server

__all__ = ["CogProcess", "Model", "looked_at", "model_in", "running"]

_USUAL_PORT = 5000
_LOOK, _STOPS_IN = 0.2, 10.0  # seconds between two looks, and in which a server has to stop

_PROBE = """
import json, sys
from importlib.metadata import version
found = {"cog": version("cog")}
try:
    import yaml
    with open("cog.yaml", encoding="utf-8") as file:
        found["config"] = yaml.safe_load(file)
except FileNotFoundError:
    found["config"] = {}
print(json.dumps(found, default=str))
"""


class Model(NamedTuple):
    """A folder with a model: the Python that has Cog, Cog's version, what is called, and how many at once."""

    folder: Path
    python: str
    cog: str
    predictor: str
    slots: int

    @property
    def has_schema(self) -> bool:
        """Whether inputs are checked and chunks are streamed; Cog 0.16 makes the schema itself."""
        return self.cog.startswith("0.16.") or (self.folder / ".cog" / "openapi_schema.json").is_file()


class CogProcess(NamedTuple):
    """A server that is ready."""

    url: str
    process: subprocess.Popen[bytes]


def model_in(folder: Path, python: str | None = None) -> Model:
    """Find out how the model in a folder is run; raises `ConfigError` with what is missing."""
    if not folder.is_dir():
        raise ConfigError(f"{str(folder)!r} is no folder. Name the one with the model's cog.yaml.")
    if not any((folder / name).is_file() for name in ("cog.yaml", "predict.py")):
        raise ConfigError(
            f"{str(folder)!r} has neither cog.yaml nor predict.py. Name the folder with the model."
        )
    chosen, found = _python_with_cog(folder, python)
    config = found["config"] if isinstance(found["config"], dict) else {}
    predictor = str(config.get("predict") or config.get("run") or "predict.py:Predictor")
    file = folder / predictor.partition(":")[0]
    if not file.is_file():
        raise ConfigError(
            f"{predictor!r}, as cog.yaml names the model, is not there: no {str(file)!r}. Correct cog.yaml."
        )
    concurrency = config.get("concurrency")
    most = concurrency.get("max", 1) if isinstance(concurrency, dict) else 1
    return Model(folder, chosen, str(found["cog"]), predictor, most if isinstance(most, int) else 1)


def _python_with_cog(folder: Path, given: str | None) -> tuple[str, Mapping[str, Any]]:
    """Find a Python in which Cog is installed: the given one, the folder's, ours, or that of the PATH."""
    own = [str(folder / ".venv" / "bin" / "python"), sys.executable, "python3"]
    tried: list[str] = []
    for each in [given] if given else own:
        if (path := shutil.which(each)) is None or path in tried:
            continue
        # As it is: a link in an environment is what tells Python of that.
        path = os.path.abspath(path)
        tried.append(path)
        done = subprocess.run([path, "-c", _PROBE], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return path, json.loads(done.stdout)
        if "PackageNotFoundError" not in done.stderr:
            last = done.stderr.strip().splitlines()[-1:] or ["it gave no reason"]
            raise ConfigError(
                f"{path} cannot read the model in {str(folder)!r}: {last[0]}. Correct cog.yaml."
            )
    raise ConfigError(
        f"Cog is not installed in {', '.join(tried) or given}. Make an environment with it, for example "
        f"`python -m venv {folder}/.venv && {folder}/.venv/bin/pip install cog`, or name its Python by --python."
    )


def free_port(host: str) -> int:
    """Give Cog's usual port, or another one where that is taken."""
    for port in (_USUAL_PORT, 0):
        with socket.socket() as tried, suppress(OSError):
            tried.bind((host, port))
            return int(tried.getsockname()[1])
    raise ConfigError(f"No port of {host} can be used. Name one by --port, or another --host.")


def looked_at(url: str) -> Server:
    """See how a server is."""
    server = Server(url)

    async def look() -> None:
        asker = Asker(Config(timeout=10.0, backend="cog"))
        try:
            await asker.look(server)
        finally:
            await asker.aclose()

    BACKGROUND.start(look()).result()
    return server


@contextmanager
def running(
    model: Model,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    log: int | IO[Any] | None = None,
    told: Callable[[Server], None] = lambda server: None,
) -> Iterator[CogProcess]:
    """Run a model's server in the block, which begins when it is ready.

    `log` takes what it prints; `told` is called with each look at one that is not ready. Raises `ReplicateError` for a
    server that does not come up.
    """
    port = port or free_port(host)
    environment = {
        **os.environ,
        "PORT": str(port),
        "COG_PREDICT_TYPE_STUB": model.predictor,
        "COG_MAX_CONCURRENCY": str(model.slots),
        # Cog 0.23 starts its worker by the name "python".
        "PATH": f"{Path(model.python).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    process = subprocess.Popen(
        [model.python, "-m", "cog.server.http", "--host", host],
        cwd=model.folder,
        env=environment,
        stdout=log,
        stderr=log,
        start_new_session=True,  # Ctrl-C is for us, and its worker ends with it
    )
    try:
        url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
        _wait_until_ready(url, process, told)
        yield CogProcess(url, process)
    finally:
        _stop(process)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], told: Callable[[Server], None]) -> None:
    while True:
        if (code := process.poll()) is not None:
            raise ReplicateError(
                f"The server ended with {code} before it was ready. What it printed says why."
            )
        server = looked_at(url)
        if server.usable:
            return
        if server.health is not None and not server.is_starting:
            raise ReplicateError(f"The server is not ready: {server.fault}.")
        told(server)
        time.sleep(_LOOK)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and its worker."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOPS_IN)
            break
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
