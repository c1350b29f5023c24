"""Runs rows, and kills its own process at one of its creates: `killed.py URL JOURNAL INPUTS WHEN ROWS`.

`INPUTS` is what the journal does with inputs; `WHEN` says whether the create is killed "before" it is sent, or "after"
the server has acted on it; "never" kills at the end of the run, before anything is closed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import httpx

from replicate_kit import Client, hookimpl

_AT = 3  # the create at which it ends


class Killing:
    """A transport that is killed with its process, or gets another signal."""

    def __init__(self, inner: Any, when: str, number: signal.Signals) -> None:
        self._inner, self._when, self._creates, self._number = inner, when, 0, number

    async def send(self, request: httpx.Request, /, *, stream: bool = False) -> httpx.Response:
        create = request.method == "POST" and request.url.path.endswith("/predictions")
        self._creates += create
        last = create and self._creates == _AT
        if last and self._when == "before":
            os.kill(os.getpid(), self._number)
        response: httpx.Response = await self._inner.send(request, stream=stream)
        if last and self._when == "after":
            os.kill(os.getpid(), self._number)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class Plugin:
    """Puts it around the transport."""

    def __init__(self, when: str, number: signal.Signals = signal.SIGKILL) -> None:
        self._when, self._number = when, number

    @hookimpl
    def replicate_transport_layer(self, config: Any) -> Any:
        return lambda inner: Killing(inner, self._when, self._number)


def main(url: str, journal: str, inputs: Any, when: str, rows: str) -> None:
    """Run the rows, as far as it comes."""
    options: Any = {"base_url": url, "timeout": 1.0, "poll_interval": 0.05, "plugins": [Plugin(when)]}
    with Client("r8_test", backend="http", **options) as client:
        batch = client.map(
            "acme/quiet", json.loads(rows), journal=journal, journal_inputs=inputs, concurrency=4
        )
        for _ in batch:
            pass
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
