"""What connections are made with: proxies and certificates, read as the backend `http` reads them."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replicate_kit._runtime.runtimes import library
from replicate_kit.backends._aiohttp.routes import Routes
from replicate_kit.backends._options.certificates import tls_context
from replicate_kit.backends._options.checks import check_http_options
from replicate_kit.backends._options.libraries import Library
from replicate_kit.backends._options.proxies import proxies
from replicate_kit.errors import ConfigError
from replicate_kit.transport import URL

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = ["Settings", "check"]


class _Reading(Library):
    """httpx, of which are the objects that stand for URLs and proxies: one way to read them.

    Who names none of these does without it: with its command line it takes as long to load as aiohttp.
    """

    def tls_context(self, *, verify: bool) -> ssl.SSLContext:
        """Make a context; the usual authorities are those that httpx trusts."""
        if not verify:
            return super().tls_context(verify=verify)
        import certifi

        return ssl.create_default_context(cafile=certifi.where())


_READING = _Reading("httpx", (), socks=False)


def check(options: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for values of options that no connection can be made with."""
    check_http_options(options, _READING)


@dataclass(frozen=True)
class Settings:
    """What the connections of one transport have in common."""

    routes: Routes
    tls: ssl.SSLContext

    def tls_of_proxies(self) -> ssl.SSLContext:
        """With whom a proxy is spoken to in TLS: `verify=` and `cert=` are about servers, as they are for httpx."""
        return tls_context({}, _READING)

    @classmethod
    def of(cls, config: Config, *, blocking: bool) -> Settings:
        """Read what a client and its environment say. Raises `ConfigError` for what cannot be used, and in trio."""
        if not blocking and library() == "trio":
            raise ConfigError(
                "The backend 'fast' sends by aiohttp, which works in asyncio, not in trio. Choose "
                "Client(backend='http') or set REPLICATE_KIT_BACKEND=http."
            )
        known = ("cert", "proxy", "trust_env", "verify")
        options = {name: config.http_options[name] for name in known if name in config.http_options}
        found = proxies(options, _READING, URL(config.base_url).host)
        tls = tls_context(options, _READING)
        tls.set_alpn_protocols(
            ["http/1.1"]
        )  # httpx has set this, or what it takes itself, where it has used it
        return cls(Routes(found), tls)
