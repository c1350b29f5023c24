"""Workers killed in the middle of a dataset: `python kills.py 20`, in this folder, does it 20 times, with 400 rows."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.waiting import until

__all__ = ["kill_one", "noting"]


def noting(folder: Path) -> Callable[[dict[str, Any]], str]:
    """Fill a prompt with the title, and note which process does that."""

    def fill(row: dict[str, Any]) -> str:
        (folder / f"pid-{os.getpid()}").touch()
        return str(row["title"])

    return fill


def kill_one(created: Callable[[], int], at: int, folder: Path) -> None:
    """Kill one of the workers once so many rows are created."""
    until(lambda: created() >= at)
    pids = [int(each.name.removeprefix("pid-")) for each in folder.glob("pid-*")]
    os.kill(random.choice(pids), signal.SIGKILL)


def main(moments: int, rows: int) -> None:
    """Do it at random moments, each with a journal of its own; print what came of it."""
    import ray.data
    from clusters import start

    from replicate_kit import Client
    from replicate_kit.serving import Server
    from replicate_kit.simulator import Simulator, sleep
    from replicate_kit_postgres.testing import postgres
    from replicate_kit_ray import run

    def models(simulator: Simulator) -> None:
        @simulator.model("acme/slow")
        def slow(prompt: str) -> str:
            sleep(random.uniform(0.1, 0.4))
            return prompt.upper()

    with postgres() as database, Server(models, https=False) as server:
        start()
        seen = Counter[str]()
        for moment in range(moments):
            at, before = random.randrange(1, rows), server.simulator.created
            folder = Path(tempfile.mkdtemp())
            made = run(
                ray.data.from_items([{"title": f"row {n}"} for n in range(rows)]),
                "acme/slow",
                {"prompt": noting(folder)},
                client=Client("r8_test", base_url=server.url, backend="http", timeout=3.0, poll_interval=0.1),
                journal=f"{database.url()}?prefix={database.new()}&lease=8",
                send_token=True,
                creates_per_minute=60_000,
                concurrency=8,
                batch_size=100,
            )
            created = lambda before=before: server.simulator.created - before  # noqa: E731
            killer = threading.Thread(target=kill_one, args=(created, at, folder))
            killer.start()
            came = sum(each["output"] == each["title"].upper() for each in made.take_all())
            killer.join()
            told = f"{came} came, {created()} were created"
            seen[told] += 1
            print(f"{moment}: killed at {at} of {rows} rows: {told}", flush=True)
        print(dict(seen))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 400)
