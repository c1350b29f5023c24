"""Replicate's API, or one like it, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import httpx

from replicate_kit._connections.pools import connect_http
from replicate_kit.errors import MissingToken
from replicate_kit.transport import Transport

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = ["HTTPBackend"]


class HTTPBackend:
    """Sends requests to the base URL. Replicate's own is asked only with a token."""

    def connect(self, config: Config, /, *, blocking: bool) -> Transport:
        """Open a pool of connections."""
        transport = connect_http(config, blocking=blocking)
        if not config.requires_token:
            return transport
        return _TokenRequired(transport, httpx.URL(config.base_url))

    def base_url(self, config: Config, /) -> str:
        """The root of the API."""
        return config.base_url

    def output_origins(self, config: Config, /) -> Sequence[str]:
        """Replicate's delivery hosts, and the API's own origin (the API in a box serves files itself)."""
        own = httpx.URL(config.base_url)
        return (
            "https://replicate.delivery",
            "https://*.replicate.delivery",
            f"{own.scheme}://{own.netloc.decode()}",
        )


class _TokenRequired:
    """Refuses to ask the API without a token, before anything is sent."""

    def __init__(self, inner: Transport, api: httpx.URL) -> None:
        self._inner, self._api = inner, api

    async def send(self, request: httpx.Request, /, *, stream: bool = False) -> httpx.Response:
        # Behind all layers, since one of a plugin's may add a token.
        if request.url.netloc == self._api.netloc and "authorization" not in request.headers:
            raise MissingToken(
                "There is no API token. Set REPLICATE_API_TOKEN to one from "
                "https://replicate.com/account/api-tokens, or pass "
                "Client(api_token=…). To try things without a token, network or cost, use "
                "Client(backend='mock') or set "
                "REPLICATE_KIT_BACKEND=mock."
            )
        return await self._inner.send(request, stream=stream)

    async def aclose(self) -> None:
        await self._inner.aclose()
