"""Kills workers of Dask's in the middle of a table: `kills.py [MOMENTS] [ROWS] [SEED]`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.partitions.kills import Seen, asked, search

__all__ = ["cluster_of_two", "kill"]


@contextmanager
def cluster_of_two() -> Iterator[Any]:
    """Run a cluster of two processes; give its client."""
    from distributed import Client, LocalCluster

    with (
        # Else it gives up a worker that is not back 15 seconds after it was killed, as on a busy machine.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "600s"}),
        LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def kill(client: Any, moments: int, rows: int, seed: int = 1) -> Seen:
    """Kill workers of the cluster that a client is of."""

    def outputs(model: str, prompts: Sequence[str], options: dict[str, Any]) -> list[Any]:
        table = dd.from_pandas(pd.Series(prompts, name="prompt"), npartitions=4)
        return list(table.replicate.run(model, **options).compute())

    return search("Dask", outputs, lambda: list(client.run(os.getpid).values()), moments, rows, seed)


def main() -> int:
    """Kill workers of a cluster of two."""
    with cluster_of_two() as client:
        return kill(client, *asked()).wrong


if __name__ == "__main__":
    sys.exit(bool(main()))
