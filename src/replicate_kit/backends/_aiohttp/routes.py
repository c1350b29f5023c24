"""Which proxy a URL goes through, by the patterns in which httpx has them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import urlsplit

from replicate_kit.backends._options.proxies import Proxy
from replicate_kit.transport import URL

__all__ = ["Routes", "headers_for"]

_USUAL = {"http": 80, "https": 443}


class Routes:
    """The proxies of a client: of the patterns that fit a URL, the one that says most counts."""

    def __init__(self, found: Mapping[str, Proxy | None]) -> None:
        patterns = [(_Pattern(each), proxy) for each, proxy in found.items()]
        self._patterns = sorted(patterns, key=lambda each: each[0].rank)

    def of(self, url: URL) -> Proxy | None:
        """The proxy of a URL; None where it is asked straight."""
        return next((proxy for pattern, proxy in self._patterns if pattern.fits(url)), None)


class _Pattern:
    """A pattern of URLs, such as `https://`, `all://*.example.com` or `http://host:8080`."""

    def __init__(self, text: str) -> None:
        parts = urlsplit(text)
        self._scheme = "" if parts.scheme == "all" else parts.scheme
        self._host = "" if parts.hostname in (None, "*") else parts.hostname
        self._port = None if parts.port == _USUAL.get(self._scheme) else parts.port
        self.rank = self._port is None, -len(self._host), -len(self._scheme)

    def fits(self, url: URL) -> bool:
        """Whether a URL is one of these."""
        if self._scheme not in ("", url.scheme) or self._port not in (None, url.port):
            return False
        if not self._host.startswith("*"):
            return self._host in ("", url.host)
        suffix = self._host[1:].removeprefix(".")  # "*.a" is what is below a, "*a" that and a itself
        return url.host.endswith(f".{suffix}") or url.host == suffix == self._host[1:]


def headers_for(proxy: Proxy) -> dict[str, str]:
    """What a proxy is told beside the request: who asks."""
    given = dict(proxy.proxy.headers)
    if proxy.proxy.raw_auth is not None:
        pair = b":".join(proxy.proxy.raw_auth)
        given["Proxy-Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return given
