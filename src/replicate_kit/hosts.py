"""Hosts: from which of them files are fetched, whose URLs somebody else chose; no I/O."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from replicate_kit.errors import FileError

__all__ = ["check_source", "is_declared", "is_private"]


def is_declared(url: str, origins: Iterable[str]) -> bool:
    """Tell whether a URL is on one of a backend's origins, such as `https://*.replicate.delivery`.

    >>> is_declared("https://pbxt.replicate.delivery/abc/out-0.png", ["https://*.replicate.delivery"])
    True
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    origin = f"{parts.scheme}://{parts.netloc}".lower()
    # The brackets of an IPv6 address are themselves, not a set of characters.
    return "@" not in origin and any(fnmatchcase(origin, each.replace("[", "[[]")) for each in origins)


def is_private(host: str) -> bool:
    """Tell whether a host's name or address is one of this machine or a private network; nothing is resolved.

    >>> is_private("localhost"), is_private("10.1.2.3"), is_private("0x7f.1"), is_private("example.com")
    (True, True, True, False)
    """
    name = host.strip("[]").rstrip(".").lower()
    address = _address(name.partition("%")[0])
    if address is not None:
        return not address.is_global or address.is_multicast
    return "." not in name or name.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa"))


def check_source(url: str, origins: Iterable[str]) -> None:
    """Raise `FileError` for a URL from which no output file is fetched: one without TLS or on a private host,
    unless it is on one of the backend's own origins.
    """
    parts = urlsplit(url)
    if is_declared(url, origins):
        return
    if parts.scheme != "https":
        raise FileError(
            f"The file {url[:200]!r} was not fetched: it is not on https, nor on one of the backend's own hosts. "
            "Fetch it yourself if you trust the model that named it."
        )
    if is_private(parts.hostname or ""):
        raise FileError(
            f"The file {url[:200]!r} was not fetched: its host is this machine or in a private network, and not "
            "one of the backend's own. Fetch it yourself if you trust the model that named it."
        )


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address in any of the forms that systems connect to, `127.1` and `0x7f000001` among them."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        if not re.fullmatch(r"(0x[0-9a-f]*|\d+)(\.(0x[0-9a-f]*|\d+)){0,3}", name):
            return None
        try:
            return ipaddress.ip_address(socket.inet_aton(name))
        except OSError:
            return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
