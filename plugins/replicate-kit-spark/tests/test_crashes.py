"""Workers of Spark's that are killed: no row is lost, and none is paid twice. `crash.py` does this at many moments."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from replicate_kit.serving import Server
from replicate_kit.simulator import Simulator

# It skips where there is no Spark.
from .sparks import begun, check, cluster, executors, outputs, python_workers, until

pytestmark = pytest.mark.timeout(900)

_ROWS = 120

_SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.multiplier": "1.01",
    "spark.speculation.quantile": "0.1",
    "spark.speculation.minTaskRuntime": "100ms",
}


def kill_one(find: Callable[[], list[int]]) -> None:
    """Kill one of some processes."""
    until(find)
    os.kill(find()[0], signal.SIGKILL)


def test_a_python_worker_is_killed(server: Server, simulator: Simulator, journal: str) -> None:
    with begun("local[4,4]", server.url, journal, "acme/quiet", _ROWS) as running:
        until(lambda: simulator.created > _ROWS // 2)
        kill_one(python_workers)
        check(outputs(running), simulator, _ROWS)


def test_an_executor_is_killed(server: Server, simulator: Simulator, journal: str, tmp_path: Path) -> None:
    with (
        cluster(tmp_path) as master,
        begun(master, server.url, journal, "acme/quiet", _ROWS) as running,
    ):
        until(lambda: simulator.created > _ROWS // 2)
        kill_one(executors)
        check(outputs(running), simulator, _ROWS)


def test_tasks_are_run_by_two_hosts_at_once(
    server: Server, simulator: Simulator, journal: str, tmp_path: Path
) -> None:
    with (
        cluster(tmp_path) as master,
        begun(master, server.url, journal, "acme/uneven", _ROWS, settings=_SPECULATION) as running,
    ):
        check(outputs(running), simulator, _ROWS)
        said = "".join(each.read_text() for each in tmp_path.rglob("stderr"))
        assert re.search(r"Running task \d+\.1 in stage", said)  # a second attempt
