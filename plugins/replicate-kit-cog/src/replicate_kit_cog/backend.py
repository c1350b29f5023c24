"""The backend `cog`: the API's requests go in, and Cog's servers do the work."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from replicate_kit.backends.http import HTTPBackend
from replicate_kit.config import Config
from replicate_kit.transport import Abilities, Body, Request, Response, Transport, received

from replicate_kit_cog.asking import OPTIONS
from replicate_kit_cog.background import BACKGROUND, outcome
from replicate_kit_cog.locations import servers_of, urls
from replicate_kit_cog.pool import Waits
from replicate_kit_cog.predictions import Prediction
from replicate_kit_cog.service import Service

__all__ = ["CogBackend"]

_services: dict[Any, Service] = {}
_lock = threading.Lock()


class CogBackend:
    """Runs predictions on your own Cog servers, which all run one model.

    `servers` is a URL, or several: they are one pool. Without it, as where the backend is named ("cog"), a client's
    option `servers=` says it, its `base_url=`, or the variable REPLICATE_KIT_COG_SERVERS. All clients of a process with
    the same servers share their slots and their predictions. `patience` is for how many seconds predictions wait where
    no server can be used, before they fail.

    A model's name is for you to choose. No token is sent anywhere; `headers=` of a client are sent to the servers.

    >>> from replicate_kit import Client
    >>> from replicate_kit_cog import CogBackend
    >>> client = Client(backend=CogBackend(["http://gpu-1:5000", "http://gpu-2:5000"]))
    >>> client.session.base_url.host
    'gpu-1'
    """

    abilities = Abilities(costs_money=False, options=OPTIONS | {"servers"}, creates_per_minute=60_000)

    def __init__(self, servers: str | Sequence[str] | None = None, *, patience: float = Waits().patience) -> None:
        self._urls = None if servers is None else urls(servers)
        self._waits = Waits(patience=patience)

    def check_options(self, options: Mapping[str, Any], /) -> None:
        """Raise `ConfigError` for values that no connection can be made with."""
        if "servers" in options:
            urls(options["servers"])
        HTTPBackend().check_options({name: value for name, value in options.items() if name in OPTIONS})

    def connect(self, config: Config, /, *, blocking: bool) -> Transport:
        """Open a way to the servers; nothing is sent yet."""
        return _Transport(self._service(config), config, blocking=blocking)

    def base_url(self, config: Config, /) -> str:
        """The first server's URL, as if the API was there."""
        return f"{self._servers(config)[0]}/v1"

    def output_origins(self, config: Config, /) -> Sequence[str]:
        """Nowhere: outputs are data URLs."""
        return ()

    def _servers(self, config: Config) -> tuple[str, ...]:
        return self._urls or servers_of(config)

    def _service(self, config: Config) -> Service:
        """Give what all clients of these servers share, in this process: a forked one has its own."""
        options = sorted((name, repr(value)) for name, value in config.http_options.items() if name != "servers")
        key = (self._servers(config), self._waits, config.timeout, config.max_answer_bytes, str(options), os.getpid())
        with _lock:
            if key not in _services:
                _services[key] = Service(key[0], config, self._waits)
            return _services[key]


class _Transport:
    """Carries requests into the background."""

    def __init__(self, service: Service, config: Config, *, blocking: bool) -> None:
        self._service, self._config, self._blocking = service, config, blocking
        self._outside: Transport | None = None
        self._is_open = False

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        service = self._service
        root = f"{service.root}/"
        if not str(request.url).startswith(root):
            return await self._elsewhere(request, stream=stream)
        if request.url.path.removeprefix(_path_of(root)).split("/")[0] == "files":
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
    return "\n".join([f"event: {name}", f"id: {number}", *(f"data: {line}" for line in lines), "", ""]).encode()


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


def _path_of(root: str) -> str:
    return root[root.index("/", root.index("://") + 3) :]
