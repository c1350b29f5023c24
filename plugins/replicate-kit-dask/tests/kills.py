"""Workers killed in the middle of a table: `python kills.py 20`, in this folder, does it 20 times, with 400 rows."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd
import pandas as pd

__all__ = ["Kill"]


@dataclass
class Kill:
    """A table that is run while one worker is killed. `created` counts what the service has created."""

    client: Any
    created: Callable[[], int]
    options: dict[str, Any]
    model: str = "acme/slow"

    def run(self, rows: int, at: int) -> tuple[int, int]:
        """Kill one of the workers once `at` rows are created; give how many rows came, and how many were created."""
        data = pd.Series([f"row {n}" for n in range(rows)], name="prompt")
        result = dd.from_pandas(data, npartitions=4).replicate.run(
            self.model, details=True, concurrency=8, **self.options
        )
        pids = list(self.client.run(os.getpid).values())
        killer = threading.Thread(target=self._kill, args=(random.choice(pids), at))
        before = self.created()
        killer.start()
        frame = result.compute()
        killer.join()
        assert frame.index.tolist() == data.index.tolist()
        done = (frame["status"] == "succeeded") & (frame["output"] == data.str.upper())
        return int(done.sum()), self.created() - before

    def _kill(self, pid: int, at: int) -> None:
        before = self.created()
        while self.created() - before < at:
            time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)


def main(moments: int, rows: int) -> None:
    """Do it at random moments, each with a journal of its own; print what came of it."""
    from distributed import Client as DaskClient
    from distributed import LocalCluster

    from replicate_kit import Client
    from replicate_kit.serving import Server
    from replicate_kit.simulator import Simulator, sleep
    from replicate_kit_postgres.testing import postgres

    def models(simulator: Simulator) -> None:
        @simulator.model("acme/slow")
        def slow(prompt: str) -> str:
            sleep(random.uniform(0.1, 0.4))
            return prompt.upper()

    with (
        postgres() as database,
        Server(models, https=False) as server,
        LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster,
        DaskClient(cluster) as dask_client,
    ):
        seen = Counter[tuple[int, int]]()
        for moment in range(moments):
            options = {
                "client": Client("r8_test", base_url=server.url, poll_interval=0.1, timeout=3.0),
                "journal": f"{database.url()}?prefix={database.new()}&lease=8",
                "send_token": True,
                "creates_per_minute": 60_000,
            }
            at = random.randrange(rows)
            came, created = Kill(dask_client, lambda: server.simulator.created, options).run(rows, at)
            seen[came, created] += 1
            print(f"{moment}: killed at {at} of {rows} rows: {came} came, {created} were created", flush=True)
        print({f"{came} came, {created} were created": times for (came, created), times in seen.items()})


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 400)
