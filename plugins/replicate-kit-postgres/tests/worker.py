"""Runs rows with a journal: `worker.py URL JOURNAL COUNT '{"settling": 4}'`. Prints output and error of each.

It says "ready", and begins when it gets a line. What went wrong stands on a last line that is a text.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from replicate_kit import Client
from replicate_kit.backends.http import HTTPBackend
from replicate_kit.batch._engine import requests
from replicate_kit.config import Config
from replicate_kit.errors import ReplicateError
from replicate_kit.transport import Request, Transport
from tests.batch.killed import Plugin


class Stopping:
    """A transport that stops its process after the backend's look whether a create may be sent, before the socket."""

    def __init__(self, inner: Any) -> None:
        self._inner, self._creates, self._looks = inner, 0, 0
        self.aclose = inner.aclose

    def send(self, request: Request, /, *, stream: bool = False) -> Any:
        if (look := request.last_check) is not None:
            self._creates += 1
            if self._creates == 3:
                request.last_check = partial(self._stop, look)
        return self._inner.send(request, stream=stream)

    def _stop(self, look: Callable[[], None]) -> None:
        look()
        self._looks += 1
        if self._looks == 2:  # before the headers, and before the body
            os.kill(os.getpid(), signal.SIGSTOP)


class Backend(HTTPBackend):
    """Has such transports."""

    def connect(self, config: Config, /, *, blocking: bool) -> Transport:
        made: Any = Stopping(super().connect(config, blocking=blocking))
        return made


def main(url: str, journal: str, count: str, options: str = "{}") -> None:
    """Run them."""
    asked = {"model": "acme/quiet", "tag": "wombat", "settling": 2.0, "stops": None} | json.loads(options)
    requests.SETTLING = asked["settling"]  # what these services take to act on a create, and to list it
    rows = [{"prompt": f"{asked['tag']} {n:04}"} for n in range(int(count))]
    how: dict[str, Any] = {"base_url": url, "timeout": 1.0, "poll_interval": 0.05}
    if asked["stops"] == "before the last look":
        how["plugins"] = [Plugin("before", signal.SIGSTOP)]
    with Client("r8_test", backend=Backend() if asked["stops"] == "after it" else "http", **how) as client:
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
