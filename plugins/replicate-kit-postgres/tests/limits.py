"""Processes that share one limit and one budget: `python limits.py --processes 4 --rows 300 --rate 60 [--budget N]`.

Prints how much of the rate they used together, what was refused, and the transactions of the server for each row. The
service has a bucket of one second, and refuses what comes faster.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest import mock

from replicate_kit import Budget, Client
from replicate_kit.serving import Server
from replicate_kit.simulator import RateLimits, Simulator, sleep
from replicate_kit.simulator._service import limits

__all__ = ["Found", "together"]


class Found(NamedTuple):
    """What processes have done together; times are from the first create to the last, in seconds."""

    statuses: Counter[str]
    created: int
    refused: int
    seconds: float


def _strict(make: Any) -> Callable[..., Any]:
    """Buckets of one second."""
    return lambda per_minute, burst, now: make(per_minute, max(1, per_minute // 60), now)


def together(journal: str, *, processes: int, rows: int, rate: int, budget: int | None = None) -> Found:
    """Run different rows in each process, all at the same time."""
    made: list[Simulator] = []

    def publish(simulator: Simulator) -> None:
        made.append(simulator)

        @simulator.model("acme/quiet", workers=256)
        def quiet(prompt: str) -> int:
            sleep(0.3)
            return len(prompt)

    allowed = RateLimits(creates=60 * rate, others=1_000_000)
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(limits, "_Bucket", _strict(limits._Bucket)))
        server = stack.enter_context(Server(publish, https=False, rate_limits=allowed))
        running: list[subprocess.Popen[str]] = []
        stack.callback(lambda: [each.kill() for each in running])
        for number in range(processes):
            said = json.dumps([server.url, journal, number * rows, rows, rate, budget])
            command, pipes = [sys.executable, __file__, "--work", said], {"stdin": -1, "stdout": -1}
            running.append(stack.enter_context(subprocess.Popen(command, text=True, **pipes)))
        for each in running:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for each in running:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        seen = [(time.monotonic(), 0)]
        while any(each.poll() is None for each in running):
            if made[0].created > seen[-1][1]:
                seen.append((time.monotonic(), made[0].created))
            time.sleep(0.02)
        statuses: Counter[str] = Counter()
        for each in running:
            assert each.stdout is not None
            statuses.update(json.loads(each.stdout.read()))
        created, asked = made[0].created, made[0].calls["models.predictions.create"]
        return Found(statuses, created, asked - created, seen[-1][0] - seen[1][0] if len(seen) > 1 else 0.0)


def _work(url: str, journal: str, first: int, count: int, rate: int, budget: int | None) -> None:
    """Be one process."""
    rows = [{"prompt": f"wombat {n:05}"} for n in range(first, first + count)]
    with Client("r8_test", backend="http", base_url=url, timeout=10.0) as client:
        print("ready", flush=True)
        sys.stdin.readline()
        results = client.map(
            "acme/quiet",
            rows,
            journal=journal,
            creates_per_minute=60.0 * rate,
            budget=None if budget is None else Budget(predictions=budget, per="journal"),
            errors="collect",
            progress=False,
        )
        print(json.dumps(Counter(each.status for each in results)))


def main() -> None:
    """Measure."""
    if sys.argv[1:2] == ["--work"]:
        _work(*json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    for name, usual in (("processes", 4), ("rows", 300), ("rate", 60), ("budget", None)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    given = parser.parse_args()
    from replicate_kit_postgres import testing

    with testing.postgres() as server:
        count = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'"
        (before,) = server.execute(count)[0]
        found = together(server.url(), **vars(given))
        time.sleep(1.5)  # the server counts with a delay
        (after,) = server.execute(count)[0]
    limit = given.rate * (found.seconds + 1.0)
    print(
        f"{dict(found.statuses)}: {found.created} created in {found.seconds:.1f} s, {found.refused} refused"
    )
    print(
        f"{found.created / limit:.1%} of what the limit allows, {found.refused / found.created:.1%} refused"
    )
    print(f"{(after - before) / found.created:.2f} transactions a row, of all kinds")  # type: ignore[operator]


if __name__ == "__main__":
    main()
