"""What the clients of a library are made with, and what of it a request uses."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from replicate_kit.backends._httpx.failures import PROXY
from replicate_kit.backends._options.libraries import Library
from replicate_kit.backends._options.proxies import Proxy
from replicate_kit.transport import Request

__all__ = ["OF_TRANSPORTS", "auth_for", "is_apart", "proxied", "with_mounts", "with_proxies"]

OF_TRANSPORTS = frozenset({"verify", "http1", "http2", "limits"})
"""The options that a client passes on to its transports."""


@functools.cache
def proxied(library: Library) -> tuple[type[Any], type[Any]]:
    """The library's transports through a proxy, blocking and asynchronous, which errors can name."""
    http = library.module

    class Blocking(http.HTTPTransport):  # type: ignore[misc, name-defined]
        def __init__(self, proxy: Proxy, options: Mapping[str, Any]) -> None:
            super().__init__(proxy=proxy.proxy, **options)
            self._said = str(proxy)

        def handle_request(self, request: Any) -> Any:
            request.extensions[PROXY] = self._said
            return super().handle_request(request)

    class Asynchronous(http.AsyncHTTPTransport):  # type: ignore[misc, name-defined]
        def __init__(self, proxy: Proxy, options: Mapping[str, Any]) -> None:
            super().__init__(proxy=proxy.proxy, **options)
            self._said = str(proxy)

        async def handle_async_request(self, request: Any) -> Any:
            request.extensions[PROXY] = self._said
            return await super().handle_async_request(request)

    return Blocking, Asynchronous


def with_proxies(
    kind: type[Any], options: Mapping[str, Any], through: Mapping[str, Proxy | None]
) -> dict[str, Any]:
    """The options of a client with a transport of this kind for each proxy."""
    shared = {key: options[key] for key in OF_TRANSPORTS & options.keys()}
    return with_mounts(
        options, {pattern: proxy and kind(proxy, shared) for pattern, proxy in through.items()}
    )


def with_mounts(options: Mapping[str, Any], mounts: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a client with transports for proxies; what the caller mounts comes before them.

    The library reads the environment no more: it fails on what others write there.
    """
    return {**options, "trust_env": False, "mounts": {**mounts, **(options.get("mounts") or {})}}


def is_apart(request: Request, options: Mapping[str, Any]) -> bool:
    """Whether a request uses connections that no other kind of request does; there is one transport of one's own."""
    return request.guarded and "transport" not in options


def auth_for(request: Request, origin: str, library: Library) -> Any:
    """Let the library's own `auth` option act where the token goes: on requests for the API's origin at most."""
    allowed = request.credentials and request.url.origin == origin
    return library.module.USE_CLIENT_DEFAULT if allowed else None
