"""Runs rows with a journal: `worker.py URL JOURNAL COUNT '{"settling": 4}'`. Prints output and error of each.

It says "ready", and begins when it gets a line. What went wrong stands on a last line that is a text.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from replicate_kit import Client
from replicate_kit.batch._engine import requests
from replicate_kit.errors import ReplicateError
from tests.batch.killed import Plugin


def main(url: str, journal: str, count: str, options: str = "{}") -> None:
    """Run them."""
    asked = {"model": "acme/quiet", "tag": "wombat", "settling": 2.0, "stops": False} | json.loads(options)
    requests.SETTLING = asked["settling"]  # what these services take to act on a create, and to list it
    rows = [{"prompt": f"{asked['tag']} {n:04}"} for n in range(int(count))]
    how: dict[str, Any] = {"base_url": url, "timeout": 1.0, "poll_interval": 0.05}
    if asked["stops"]:
        how["plugins"] = [Plugin("before", signal.SIGSTOP)]
    with Client("r8_test", backend="http", **how) as client:
        print("ready", flush=True)
        sys.stdin.readline()
        limits: Any = {"concurrency": 16, "creates_per_minute": 60_000, "progress": False}
        try:
            results = client.map(asked["model"], rows, journal=journal, **limits)
            print(json.dumps([[each.output, str(each.error or "")] for each in results]))
        except ReplicateError as error:
            print(json.dumps(str(error)))


if __name__ == "__main__":
    main(*sys.argv[1:])
