"""Workers of Spark's that are killed: no row is lost, and none is paid twice. `kills.py` does this at many moments."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from replicate_kit.serving import Server
from replicate_kit.simulator import Simulator

from .sparks import begun, check, cluster, outputs  # it skips where there is no Spark

pytestmark = pytest.mark.timeout(900)

_KILLS = Path(__file__).with_name("kills.py")
_ROWS = 120

_SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.multiplier": "1.01",
    "spark.speculation.quantile": "0.1",
    "spark.speculation.minTaskRuntime": "100ms",
}


def test_a_python_worker_and_an_executor_are_killed() -> None:
    command = [sys.executable, "-W", "ignore", str(_KILLS), "2", str(_ROWS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("1 of 1 killed, 0 wrong") == 2, done.stdout


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
