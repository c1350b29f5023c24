"""What carries the requests of one client into the background, and the answers back."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator
from typing import Any

from replicate_kit.backends.http import HTTPBackend
from replicate_kit.config import Config
from replicate_kit.transport import Body, Request, Response, Transport, received
from replicate_kit_cog.background import BACKGROUND, outcome
from replicate_kit_cog.locations import OPTIONS
from replicate_kit_cog.pool import Waits
from replicate_kit_cog.predictions import Prediction
from replicate_kit_cog.service import Service, path_of

__all__ = ["SERVICES", "CogTransport", "shared"]

SERVICES: dict[Any, Service] = {}
"""What the clients of this process have made."""

_lock = threading.Lock()


def shared(servers: tuple[str, ...], config: Config, patience: float) -> Service:
    """Give what all clients of some servers share, in this process: a forked one has its own."""
    options = sorted((name, repr(value)) for name, value in config.http_options.items() if name != "servers")
    key = (servers, patience, config.timeout, config.max_answer_bytes, str(options), os.getpid())
    with _lock:
        if key not in SERVICES:
            SERVICES[key] = Service(servers, config, Waits(patience=patience))
        return SERVICES[key]


class CogTransport:
    """Carries requests into the background."""

    def __init__(self, service: Service, config: Config, *, blocking: bool) -> None:
        self._service, self._config, self._blocking = service, config, blocking
        self._outside: Transport | None = None
        self._is_open = False

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        """Answer a request."""
        service = self._service
        root = f"{service.root}/"
        if not str(request.url).startswith(root):
            return await self._elsewhere(request, stream=stream)
        if request.url.path.removeprefix(path_of(root)).split("/")[0] == "files":
            return await service.uploads.connect(blocking=self._blocking).send(request, stream=stream)
        if not self._is_open:
            self._is_open = True
            service.users += 1
        content = await _content(request)
        request.check_last()
        if (prediction := _streamed(request, service)) is not None:
            position = _position(request.headers.get("last-event-id"))
            events = _Events(prediction, position, blocking=self._blocking)
            answer = Response(200, stream=events, headers={"content-type": "text/event-stream"})
        else:
            future = BACKGROUND.start(service.answer(request, content))
            answer = await outcome(future, blocking=self._blocking)
        return await received(answer, request, stream=stream)

    async def _elsewhere(self, request: Request, *, stream: bool) -> Response:
        """Fetch a file from where an output says that it is."""
        if self._outside is None:
            options = {name: value for name, value in self._config.http_options.items() if name in OPTIONS}
            config = Config(timeout=self._config.timeout, backend="http", http_options=options)
            self._outside = HTTPBackend().connect(config, blocking=self._blocking)
        request.headers.pop("authorization", None)
        return await self._outside.send(request, stream=stream)

    async def aclose(self) -> None:
        """Close the connections, unless other clients of the same servers use them."""
        if self._outside is not None:
            await self._outside.aclose()
            self._outside = None
        if self._is_open:
            self._is_open = False
            self._service.users -= 1
            await outcome(BACKGROUND.start(self._service.close()), blocking=self._blocking)


class _Events:
    """The events of a prediction as they come, from one of them on."""

    def __init__(self, prediction: Prediction, position: int, *, blocking: bool) -> None:
        self._prediction, self._position, self._blocking = prediction, position, blocking

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await outcome(BACKGROUND.start(self._next()), blocking=self._blocking)
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def _next(self) -> bytes:
        """Wait for what comes next; nothing at the end."""
        prediction = self._prediction
        while self._position >= len(prediction.events) and not prediction.done:
            await prediction.change()
        first, self._position = self._position, len(prediction.events)
        return b"".join(
            _event(number, *event) for number, event in enumerate(prediction.events[first:], first)
        )


def _event(number: int, name: str, data: str) -> bytes:
    """Write one event as the API does."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(
        [f"event: {name}", f"id: {number}", *(f"data: {line}" for line in lines), "", ""]
    ).encode()


def _position(last: str | None) -> int:
    """Which event follows the one that a client has seen last."""
    return int(last) + 1 if last and last.isdecimal() and len(last) < 10 else 0


def _streamed(request: Request, service: Service) -> Prediction | None:
    """The prediction whose events are asked for, if that is what a request asks for."""
    match request.method, request.url.path.split("/")[-3:]:
        case "GET", ["predictions", id, "stream"]:
            return service.prediction(id)
    return None


async def _content(request: Request) -> bytes:
    """Read the body of a request."""
    if isinstance(request.body, Body):
        return b"".join([chunk async for chunk in request.body])
    return request.content
