"""What is different about the connections of this server: they can be cut, and they are not waited for for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["ABORT", "CLOSE", "Protocol"]

CLOSE, ABORT = "replicate_kit.close", "replicate_kit.abort"
"""Keys of a request's scope: functions that close the connection after what was written, or at once."""

# What clients do wrong is not worth a line in anybody's log; uvicorn's own loggers may be somebody else's.
_QUIET = logging.Logger("replicate_kit.serving", logging.CRITICAL + 1)

PATIENCE = 30.0  # seconds in which a client has to have sent the head of its request


class Protocol(H11Protocol):
    """HTTP/1.1 over one connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger, self.access_log = _QUIET, False
        self.app = partial(self._call, self.app)
        self._waiting: asyncio.TimerHandle | None = None

    async def _call(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Hand the request on, with what cuts its connection."""
        await app({**scope, CLOSE: self.transport.close, ABORT: self.transport.abort}, receive, send)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait_for(self._give_up)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a head, but not for longer than its first byte is old."""
        between = self.cycle is None or self.cycle.response_complete
        if between and self._waiting is None:
            self._wait_for(self._give_up)
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for(self, give_up: Callable[[], None]) -> None:
        self._waiting = self.loop.call_later(PATIENCE, give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        """Close a connection on which no request came."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
