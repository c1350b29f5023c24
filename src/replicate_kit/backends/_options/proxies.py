"""Which requests go through a proxy: what `proxy=` and the environment say.

The variables are read as httpx reads them (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in capitals or not; where
none is set, the settings of macOS and Windows). httpx itself fails on what VPNs and container tools write into
NO_PROXY.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.request import getproxies

from replicate_kit._formats.wording import with_safe_repr
from replicate_kit.backends._options.libraries import Library
from replicate_kit.errors import ConfigError, MissingExtraError
from replicate_kit.transport import URL

__all__ = ["Proxy", "is_host", "proxies", "without_credentials"]

log = logging.getLogger("replicate_kit")

_SCHEMES = ("http", "https", "socks5", "socks5h")  # those of httpx 0.28; earlier ones lack the last
_EXAMPLE = "http://proxy.example.com:3128"
_ESCAPED = "in a user name or password write / ? # and : as %2F %3F %23 %3A"
_NAMED = re.compile(r"[^\s\[\]/:@?#%<>\"'\\^`{|}]+")  # what may be in a host's name; IDNA is httpx's matter


@with_safe_repr
@dataclass(frozen=True)
class Proxy:
    """A proxy, where it was named, and how it is shown: without a password."""

    proxy: Any
    source: str
    shown: str

    def __str__(self) -> str:
        return f"{self.shown} ({self.source})"


def proxies(options: Mapping[str, Any], library: Library, host: str) -> dict[str, Proxy | None]:
    """The proxies of a client with these httpx options, by the pattern of the URLs that go through them.

    None says that they go straight. `host` is where most requests go. Raises `ConfigError`, or `MissingExtraError`
    for SOCKS, which name the option or variable, for what cannot be used.
    """
    if (given := options.get("proxy")) is not None:
        return {"all://": _proxy(given, "proxy=", library)}
    if options.get("transport") is not None or not options.get("trust_env", True):
        return {}
    return _of_environment(library, host)


def without_credentials(url: object) -> str:
    """Show the URL of a proxy, however malformed, without user name and password.

    >>> without_credentials("http://me:secret@proxy:3128"), without_credentials("me:sec/ret@proxy")
    ('http://…@proxy:3128', '…@proxy')
    """
    scheme = re.match(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//", str(url))
    start = scheme.end() if scheme else 0
    credentials, at, host = str(url)[start:].rpartition("@")
    return f"{str(url)[:start]}{'…@' if credentials else at}{host}"


def _of_environment(library: Library, host: str) -> dict[str, Proxy | None]:
    """The proxies that the environment names."""
    found = getproxies()
    named = {each: found[each].strip() for each in ("http", "https", "all") if found.get(each, "").strip()}
    bypassed = re.split(r"[\s,]+", found.get("no", ""))
    if not named or "*" in bypassed:
        return {}
    through: dict[str, Proxy | None] = {
        f"{scheme}://": _proxy(url, _variable(f"{scheme}_proxy"), library) for scheme, url in named.items()
    }
    straight = [pattern for each in bypassed if each for pattern in _patterns(each, library, host)]
    return through | dict.fromkeys(straight)


def _variable(name: str) -> str:
    """The name of a variable as it is written; the one in small letters counts, as urllib has it."""
    written = [each for each in os.environ if each.lower() == name and os.environ[each].strip()]
    return min(written, key=lambda each: each != name, default="the system's settings")


def _proxy(given: Any, source: str, library: Library) -> Proxy:
    """Read a proxy."""
    library.check_own(source, given)
    if isinstance(given, library.module.Proxy):
        proxy, text = given, str(given.url)
    elif isinstance(given, str | URL | library.module.URL):
        text = str(given).strip()
        text = text if "://" in text else f"http://{text}"
        proxy = _parsed(text, source, library)
    else:
        raise ConfigError(
            f"proxy= must be a URL such as {_EXAMPLE!r} or an {library.name}.Proxy, not {type(given).__name__}."
        )
    shown = without_credentials(text)
    if proxy.url.scheme.startswith("socks") and not library.socks:
        raise ConfigError(
            f"The SOCKS proxy {shown} of {source.rstrip('=')} cannot be used by this backend. Choose "
            "Client(backend='http') or set REPLICATE_KIT_BACKEND=http."
        )
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise MissingExtraError(f"The SOCKS proxy {shown} of {source.rstrip('=')}", "socks") from ImportError(
            "Using SOCKS proxy, but the 'socksio' package is not installed."
        )
    return Proxy(proxy, source, shown)


def _parsed(text: str, source: str, library: Library) -> Any:
    """Parse the URL of a proxy. Raises `ConfigError` where a connection could only fail."""
    try:
        proxy = library.module.Proxy(text)
        host, port = proxy.url.host, proxy.url.port
    except (library.module.InvalidURL, ValueError, TypeError) as error:
        # Without httpx's own error: a traceback would show what that quotes, which may be from a password.
        raise _refused(text, source, _reason(error, text)) from (None if "@" in text else error)
    if "@" in proxy.url.path or b"@" in proxy.url.query or "@" in proxy.url.fragment:
        raise _refused(text, source, _ESCAPED)
    if not is_host(host):
        raise _refused(
            text, source, "it names no host" if not host else f"{host!r} is not the name of a host"
        )
    if port is not None and not 0 < port < 65536:
        raise _refused(text, source, f"{port} is not a port")
    return proxy


def _reason(error: Exception, text: str) -> str:
    """Say why a URL cannot be read."""
    if type(error).__name__ != "InvalidURL":
        return f"{text.partition('://')[0]!r} is none of {', '.join(_SCHEMES)}"
    return _ESCAPED if "@" in text else str(error)


def _refused(text: str, source: str, reason: str) -> ConfigError:
    """Make the error for a proxy that cannot be used."""
    name = source if source.endswith("=") else f"{source}="
    step = "Leave it out" if source.endswith("=") else "Unset it"
    return ConfigError(
        f"{name}{without_credentials(text)!r} is not the URL of a proxy ({reason}). {step}, or write it like "
        f"{_EXAMPLE}."
    )


def _patterns(entry: str, library: Library, host: str) -> Iterator[str]:
    """The patterns of URLs for an entry of NO_PROXY; none for one that cannot be read.

    A host stands for its subdomains, too (https://curl.se/libcurl/c/CURLOPT_NOPROXY.html).
    """
    network = _network(entry)
    if network is not None and "/" in entry:
        # httpx knows no networks. The API's own address is the one that can be in one.
        if _is_address(host) and ipaddress.ip_address(host) in network:
            yield _straight(host)
        return
    pattern = _straight(entry)
    try:
        readable = is_host(library.module.URL(pattern).host.removeprefix("*"))
    except (library.module.InvalidURL, ValueError):
        readable = False
    if readable:
        yield pattern
    else:
        _left_out(entry)


def _straight(entry: str) -> str:
    """Write an entry of NO_PROXY as httpx's pattern of URLs."""
    if "://" in entry:
        return entry
    address = entry.strip("[]").partition("%")[0]
    if _is_address(address):
        return f"all://[{address}]" if ":" in address else f"all://{address}"
    if entry.startswith("[") or entry.lower() == "localhost":
        return f"all://{entry}"
    return f"all://*{entry.removeprefix('*')}"


def is_host(text: str) -> bool:
    """Whether a text may be the name or the number of a host.

    >>> is_host("api.replicate.com"), is_host("::1"), is_host("a b"), is_host("")
    (True, True, False, False)
    """
    return _is_address(text) or _NAMED.fullmatch(text) is not None


def _is_address(host: str) -> bool:
    """Whether a host is the number of one."""
    return _network(host) is not None and "/" not in host


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Read an address or a network; None for what is neither."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


@functools.cache
def _left_out(entry: str) -> None:
    """Tell, once, of an entry that has no effect."""
    log.warning("NO_PROXY: %r cannot be read and is left out. Write hosts and addresses, with commas.", entry)
