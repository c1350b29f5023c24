"""Replicate's API, or one like it, over HTTP, by one of the two libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from replicate_kit.backends._httpx.libraries import OPTIONS, Library
from replicate_kit.errors import MissingToken
from replicate_kit.transport import URL, Abilities, Request, Response, Transport

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = ["LibraryBackend"]


class LibraryBackend:
    """Sends requests to the base URL. Replicate's own is asked only with a token."""

    library: Library
    abilities = Abilities(options=OPTIONS)

    def check_options(self, options: Mapping[str, Any], /) -> None:
        """Raise `ConfigError` or `MissingExtraError` for values that no connection can be made with."""
        if options:
            from replicate_kit.backends._httpx.options import check_http_options

            check_http_options(options, self.library)

    def connect(self, config: Config, /, *, blocking: bool) -> Transport:
        """Open a pool of connections."""
        from replicate_kit.backends._httpx.pools import connect

        transport = connect(config, self.library, blocking=blocking)
        return _TokenRequired(transport, URL(config.base_url)) if config.requires_token else transport

    def base_url(self, config: Config, /) -> str:
        """The root of the API."""
        return config.base_url

    def output_origins(self, config: Config, /) -> Sequence[str]:
        """Replicate's delivery hosts, and the API's own origin (the API in a box serves files itself)."""
        own = URL(config.base_url)
        return "https://replicate.delivery", "https://*.replicate.delivery", own.origin


class _TokenRequired:
    """Refuses to ask the API without a token, before anything is sent."""

    def __init__(self, inner: Transport, api: URL) -> None:
        self._inner, self._api = inner, api

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
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
