"""The two libraries that speak HTTP alike: httpx, and httpx2, which goes on from it."""

from __future__ import annotations

import functools
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from replicate_kit.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

__all__ = ["HTTPX", "HTTPX2", "OPTIONS", "Library"]

OPTIONS = frozenset(
    {"auth", "cert", "event_hooks", "follow_redirects", "http1", "http2", "limits"}
    | {"max_redirects", "mounts", "proxy", "transport", "trust_env", "verify"}
)
"""The options of `httpx.Client` that a backend over it takes; headers, params and cookies are each backend's."""


class Library:
    """One of them, which is imported when its names are first asked for."""

    def __init__(self, name: str, loggers: Iterable[str], *, socks: bool = True) -> None:
        self.name = name
        self.socks = socks
        """Whether what sends can go through SOCKS proxies."""
        self.loggers = tuple(loggers)
        """The loggers that tell secrets of requests."""

    @functools.cached_property
    def module(self) -> Any:
        """The library itself."""
        return import_module(self.name)

    def tls_context(self, *, verify: bool) -> ssl.SSLContext:
        """Make a context that trusts whom the library trusts, whatever the environment says; all, without `verify`."""
        context: ssl.SSLContext = self.module.create_ssl_context(verify=verify, trust_env=False)
        return context

    def check_installed(self) -> None:
        """Raise `MissingExtraError` where it is not installed."""
        if find_spec(self.name) is None:
            raise MissingExtraError(f"The backend {self.name!r}", self.name)

    def check_own(self, option: str, value: object) -> None:
        """Refuse an object of the other library's, which this one would misunderstand at the first request."""
        roots = {kind.__module__.partition(".")[0] for kind in type(value).__mro__}
        (other,) = {"httpx", "httpx2"} - {self.name}
        if other in roots and self.name not in roots:
            backend = "http" if other == "httpx" else other
            raise ConfigError(
                f"{option} is an object of {other}, and this backend sends by {self.name}. Pass one of {self.name}'s, "
                f"or choose Client(backend={backend!r})."
            )


HTTPX = Library("httpx", ("hpack.hpack", "hpack.table", "httpcore.socks"))
HTTPX2 = Library("httpx2", ("hpack.hpack", "hpack.table", "httpcore2.socks"))
