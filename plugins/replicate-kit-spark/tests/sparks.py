"""Sparks on this machine: of a process, and a cluster of a master and two workers; and programs that tests disturb."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from replicate_kit.simulator import Simulator
from tests.partitions.kills import descendants

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pyspark = pytest.importorskip("pyspark", reason="There is no pyspark to test with: uv run tox -e engines")
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("There is no Java, 17 or later, to run Spark with.", allow_module_level=True)

__all__ = [
    "IGNORED",
    "begun",
    "check",
    "cluster",
    "executors",
    "outputs",
    "python_workers",
    "session",
    "until",
]

IGNORED = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
"""What pyspark says of pandas 3."""

_TESTS = Path(__file__).parent
_DRIVE = _TESTS / "drive.py"
_SPARK = Path(pyspark.__file__).parent

# The port of the master's REST service is always the same.
_SMALL = {"SPARK_DAEMON_MEMORY": "256m", "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false"}

_WORKERS = ("127.0.0.2", "127.0.0.3")  # speculation looks for another host


def session(master: str, settings: Mapping[str, str] | None = None) -> SparkSession:
    """Start Spark, or join a cluster."""
    from pyspark.sql import SparkSession

    os.environ |= environment()
    builder = SparkSession.builder.master(master).appName("tests")
    chosen = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.sql.shuffle.partitions": "4",
        "spark.python.daemon.module": "quick_daemon",
        **(settings or {}),
    }
    for name, value in chosen.items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("OFF")
    return made


def environment() -> dict[str, str]:
    """What Spark and its Python workers find in their environment."""
    return {
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(_TESTS),
        "PYTHONWARNINGS": "ignore",
        "REPLICATE_API_TOKEN": "r8_test",
    }


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Run a master and two workers, each of a host of its own; give the URL of the master."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]
    url = f"spark://127.0.0.1:{port}"
    with ExitStack() as stack:

        def start(kind: str, host: str, *arguments: str) -> None:
            log = stack.enter_context((folder / f"{kind}-{host}.log").open("w"))
            command = [str(_SPARK / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind.lower()}.{kind}"]
            running = subprocess.Popen(
                [*command, "--host", host, "--webui-port", "0", *arguments],
                cwd=folder,
                env={
                    **os.environ,
                    **environment(),
                    "SPARK_LOCAL_IP": host,
                    **_SMALL,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            stack.callback(running.wait, 60)
            stack.callback(running.terminate)

        start("Master", "127.0.0.1", "--port", str(port))
        for host in _WORKERS:
            work = folder / f"work-{host}"
            start("Worker", host, "--cores", "2", "--memory", "1g", "--work-dir", str(work), url)
        log = folder / "Master-127.0.0.1.log"
        until(lambda: log.read_text().count("Registering worker") == len(_WORKERS))
        yield url


@contextmanager
def begun(
    master: str,
    url: str,
    journal: str,
    model: str,
    rows: int,
    *,
    partitions: int = 4,
    settings: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """A program that has just begun its action."""
    arguments = [master, url, journal, model, str(rows), str(partitions), json.dumps(settings or {})]
    with subprocess.Popen(
        [sys.executable, str(_DRIVE), *arguments],
        env={**os.environ, **environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdin is not None
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            running.stdin.write("go\n")
            running.stdin.flush()
            yield running
        finally:
            running.kill()


def outputs(running: subprocess.Popen[str]) -> list[list[object]]:
    """What a program printed in the end."""
    printed = running.communicate(timeout=600)[0]
    assert running.returncode == 0, printed
    found = json.loads(printed.splitlines()[-1])
    assert isinstance(found, list)
    return found


def check(found: list[list[object]], simulator: Simulator, rows: int) -> None:
    """See that no row is lost, and none was paid twice."""
    assert found == [[n, f"WOMBAT {n:04}"] for n in range(rows)]
    paid = [each["input"]["prompt"] for each in simulator.recent(rows * 2)]
    assert (len(paid), len(set(paid)), simulator.created) == (rows, rows, rows)


def until(done: Callable[[], object]) -> None:
    """Wait until something is so; the time limit of tests ends what waits for ever."""
    while not done():
        time.sleep(0.01)


def python_workers() -> list[int]:
    """The processes that run Python for Spark: children of its daemons."""
    daemons = descendants("quick_daemon")
    return [id for id, parent in daemons.items() if parent in daemons]


def executors() -> list[int]:
    """The executors of clusters."""
    return list(descendants("CoarseGrainedExecutorBackend"))
