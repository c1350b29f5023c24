"""Kills processes of Spark's in the middle of a table: `kills.py [MOMENTS] [ROWS] [SEED]`.

Half of the moments are of a Python worker, half of an executor of a cluster of two hosts.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from sparks import cluster, executors, python_workers, session

from replicate_kit_spark import run
from tests.partitions.kills import asked, search

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def outputs(spark: SparkSession, model: str, prompts: Sequence[str], options: dict[str, Any]) -> list[Any]:
    """Run the model over the prompts."""
    table = spark.createDataFrame(list(enumerate(prompts)), "id int, prompt string").repartition(4, "id")
    made = run(table, model, progress=False, **options)
    return [output for _, output in sorted(map(tuple, made.select("id", "output").collect()))]


def main(moments: int, rows: int, seed: int) -> int:
    """Kill at half of the moments each."""
    half, wrong = moments // 2, 0

    def kill(spark: SparkSession, what: str, find: Callable[[], list[int]], moments: int) -> int:
        return search(f"Spark's {what}", partial(outputs, spark), find, moments, rows, seed).wrong

    with session("local[4,4]") as spark:
        wrong += kill(spark, "Python worker", python_workers, half)
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as master, session(master) as spark:
        wrong += kill(spark, "executor", executors, moments - half)
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(*asked())))
