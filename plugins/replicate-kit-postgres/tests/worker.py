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
from replicate_kit.backends.http import HTTPBackend
from replicate_kit.batch._engine import requests
from replicate_kit.config import Config
from replicate_kit.errors import ReplicateError
from replicate_kit.transport import Transport
from tests.batch.killed import Killing, Plugin


class Stopping(HTTPBackend):
    """Stops its process when it is about to send a create, of which nobody asks any more whether it may be sent."""

    def connect(self, config: Config, /, *, blocking: bool) -> Transport:
        return Killing(super().connect(config, blocking=blocking), "before", signal.SIGSTOP)  # type: ignore[return-value]


def main(url: str, journal: str, count: str, options: str = "{}") -> None:
    """Run them."""
    asked = {"model": "acme/quiet", "tag": "wombat", "settling": 2.0, "stops": None} | json.loads(options)
    requests.SETTLING = asked["settling"]  # what these services take to act on a create, and to list it
    rows = [{"prompt": f"{asked['tag']} {n:04}"} for n in range(int(count))]
    how: dict[str, Any] = {"base_url": url, "timeout": 1.0, "poll_interval": 0.05}
    if asked["stops"] == "before the last look":
        how["plugins"] = [Plugin("before", signal.SIGSTOP)]
    with Client("r8_test", backend=Stopping() if asked["stops"] == "after it" else "http", **how) as client:
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
