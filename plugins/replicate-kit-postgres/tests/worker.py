"""Runs rows with a journal: `worker.py URL JOURNAL COUNT`. Prints the output of each in the end.

It says "ready", and begins when it gets a line.
"""

from __future__ import annotations

import json
import sys

from replicate_kit import Client
from replicate_kit.batch._engine import requests

requests.SETTLING = 2.0  # this service acts and lists at once


def main(url: str, journal: str, count: str) -> None:
    """Run them."""
    rows = [{"prompt": f"wombat {n:04}"} for n in range(int(count))]
    with Client("r8_test", backend="http", base_url=url, timeout=1.0, poll_interval=0.05) as client:
        print("ready", flush=True)
        sys.stdin.readline()
        results = client.map("acme/quiet", rows, journal=journal, concurrency=16)
        print(json.dumps([result.output for result in results]))


if __name__ == "__main__":
    main(*sys.argv[1:])
