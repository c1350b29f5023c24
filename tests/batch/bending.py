"""A backend whose requests are held up and whose answers are changed on their way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from replicate_kit import Client
from replicate_kit.backends.mock import MockBackend

from .conftest import Service

Bend = Callable[[httpx.Request, Any], Any]


class Bent:
    """The mock behind something that is not to be trusted.

    `bend(request, body)` changes a decoded answer in place, or gives another answer; `delay(request)` is in seconds.
    """

    def __init__(
        self,
        service: Service,
        bend: Bend | None = None,
        delay: Callable[[httpx.Request], float] | None = None,
    ) -> None:
        self.inner, self.bend, self.delay = MockBackend(service.simulator), bend, delay

    def base_url(self, config: Any) -> str:
        return self.inner.base_url(config)

    def output_origins(self, config: Any) -> Sequence[str]:
        return self.inner.output_origins(config)

    def connect(self, config: Any, /, *, blocking: bool) -> Any:
        return _Transport(self, self.inner.connect(config, blocking=blocking))


class _Transport:
    def __init__(self, backend: Bent, inner: Any) -> None:
        self.backend, self.inner = backend, inner

    async def send(self, request: httpx.Request, /, *, stream: bool = False) -> httpx.Response:
        if self.backend.delay is not None and (seconds := self.backend.delay(request)):
            await asyncio.sleep(seconds)
        response: httpx.Response = await self.inner.send(request, stream=stream)
        if self.backend.bend is None or "/predictions" not in request.url.path:
            return response
        await response.aread()
        body = response.json()
        other = self.backend.bend(request, body)
        if isinstance(other, httpx.Response):
            return other
        dated = {each: response.headers[each] for each in ("date",) if each in response.headers}
        return httpx.Response(response.status_code, json=body, headers=dated, request=request)

    async def aclose(self) -> None:
        await self.inner.aclose()


def bent(
    service: Service,
    bend: Bend | None = None,
    *,
    delay: Callable[[httpx.Request], float] | None = None,
    **options: Any,
) -> Client:
    """A client of such a service."""
    settings = {"poll_interval": 0.02, "timeout": 0.5} | options
    return Client(backend=Bent(service, bend, delay), **settings)


def predictions(body: Any) -> list[dict[str, Any]]:
    """The predictions in an answer."""
    found = body.get("results", [body])
    return [each for each in found if isinstance(each.get("input"), dict)]


def list_nothing(request: httpx.Request, body: Any) -> None:
    """Let lists show no predictions, whatever there is."""
    if "results" in body:
        body["results"] = []


def conceal(request: httpx.Request, body: Any) -> None:
    """Show no inputs, in lists nor elsewhere."""
    for each in predictions(body):
        each.update(data_removed=True, input={})
