"""Replicate's API, or one like it: where it is, and that it is asked with a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from replicate_kit.errors import MissingToken
from replicate_kit.transport import URL, Request, Response, Transport

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = ["APIBackend", "with_token"]


class APIBackend:
    """Sends requests to the base URL."""

    def base_url(self, config: Config, /) -> str:
        """The root of the API."""
        return config.base_url

    def output_origins(self, config: Config, /) -> Sequence[str]:
        """Replicate's delivery hosts, and the API's own origin (the API in a box serves files itself)."""
        own = URL(config.base_url)
        return "https://replicate.delivery", "https://*.replicate.delivery", own.origin


def with_token(transport: Transport, config: Config) -> Transport:
    """Have a transport ask Replicate's own API with a token only."""
    return _TokenRequired(transport, URL(config.base_url)) if config.requires_token else transport


class _TokenRequired:
    """Refuses to ask the API without a token, before anything is sent."""

    def __init__(self, inner: Transport, api: URL) -> None:
        self._inner, self._api = inner, api

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        # Behind all layers, since one of a plugin's may add a token.
        if request.url.netloc == self._api.netloc and "authorization" not in request.headers:
            raise MissingToken(
                "There is no API token. Run `replicate-kit auth login`, or set REPLICATE_API_TOKEN to one from "
                "https://replicate.com/account/api-tokens, or pass "
                "Client(api_token=…). To try things without a token, network or cost, use "
                "Client(backend='mock') or set "
                "REPLICATE_KIT_BACKEND=mock."
            )
        return await self._inner.send(request, stream=stream)

    async def aclose(self) -> None:
        await self._inner.aclose()
