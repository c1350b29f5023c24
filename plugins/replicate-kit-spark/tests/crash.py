"""Kills workers of Spark's at random moments of 400 rows, and counts what was paid: `crash.py [MOMENTS] [SEED]`.

Half of the moments are of a Python worker, half of an executor of a cluster of two hosts. A line is printed for each;
the program ends with an error if a row was lost or paid twice.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from models import add_models
from sparks import check, cluster, executors, python_workers, session

from replicate_kit import Client
from replicate_kit.serving import Server
from replicate_kit_postgres.testing import Postgres, postgres
from replicate_kit_spark import run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ROWS = 400


def main(moments: str = "20", seed: str = "1") -> None:
    """Kill at half of the moments each."""
    chosen = random.Random(int(seed))
    shares = [chosen.random() for _ in range(int(moments))]
    half = len(shares) // 2
    with postgres() as database, tempfile.TemporaryDirectory() as folder:
        with session("local[4,4]") as spark:
            for share in shares[:half]:
                kill(spark, database, share, "Python worker", python_workers)
        with cluster(Path(folder)) as master, session(master) as spark:
            for share in shares[half:]:
                kill(spark, database, share, "executor", executors)


def kill(
    spark: SparkSession, database: Postgres, share: float, what: str, find: Callable[[], list[int]]
) -> None:
    """Run the rows; kill a process once this share of them is created."""
    journal = f"{database.url()}?prefix={database.new()}&lease=10"
    began = time.monotonic()
    with Server(add_models, https=False) as server:
        client = Client(backend="http", base_url=server.url, timeout=1.0, poll_interval=0.05)
        rows = spark.range(_ROWS, numPartitions=4).selectExpr(
            "id", "format_string('wombat %04d', id) AS prompt"
        )
        made = run(rows, "acme/quiet", client=client, journal=journal, concurrency=16, progress=False)
        over = threading.Event()
        killed: list[int] = []

        def strike() -> None:
            found: list[int] = []
            while not over.wait(0.01):
                if server.simulator.created >= share * _ROWS and found:
                    killed.append(random.choice(found))
                    os.kill(killed[0], signal.SIGKILL)
                    return
                found = find()  # beforehand: it takes time

        striking = threading.Thread(target=strike)
        striking.start()
        outputs = sorted(map(list, made.select("id", "output").collect()))
        over.set()
        striking.join()
        created = server.simulator.created
        print(
            f"{what} {'killed' if killed else 'not killed'} at {share:.0%}: {created} paid, {created - _ROWS} twice, "
            f"{_ROWS - len(outputs)} lost, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        check(outputs, server.simulator, _ROWS)
        made.select("id", "output").collect()
        assert server.simulator.created == _ROWS


if __name__ == "__main__":
    main(*sys.argv[1:])
