"""The URL policy: from which hosts files are fetched, whose URLs somebody else chose; no I/O."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from urllib.parse import unquote, urlsplit

from replicate_kit._formats.redacting import named
from replicate_kit.errors import FileError

__all__ = ["check_address", "check_source", "is_declared", "is_private", "origins_of"]


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


def origins_of(hosts: Iterable[str]) -> tuple[str, ...]:
    """Give the origins that trusted hosts stand for: a host alone is meant over https and on any port.

    >>> origins_of(["files.corp.example", "http://10.0.0.8:9000"])
    ('https://files.corp.example', 'https://files.corp.example:*', 'http://10.0.0.8:9000')
    """
    return tuple(origin.lower().rstrip("/") for host in hosts for origin in _origins_of(host))


def _origins_of(host: str) -> tuple[str, ...]:
    """Give the origins that one trusted host stands for, as URLs name them: without the port of their scheme."""
    if "://" in host:
        return (_without_usual_port(host.rstrip("/")),)
    host = f"[{host}]" if host.count(":") > 1 and "[" not in host else host  # an address of IPv6
    plain = _without_usual_port(f"https://{host}")
    return (plain,) if plain != f"https://{host}" else (plain, f"{plain}:*")


def _without_usual_port(origin: str) -> str:
    """Leave out a port that is the scheme's own: URLs are compared without it."""
    port = {"http": ":80", "https": ":443"}.get(origin.partition("://")[0].lower(), "")
    return origin.removesuffix(port) if port else origin


def is_private(host: str) -> bool:
    """Tell whether a host's name or address is one of this machine or a private network; nothing is resolved.

    >>> is_private("localhost"), is_private("10.1.2.3"), is_private("0x7f.1"), is_private("example.com")
    (True, True, True, False)
    """
    # A proxy that gets an escaped name as it stands may decode it.
    import unicodedata  # for hosts that are looked at only

    name = unicodedata.normalize("NFKC", unquote(host)).replace("\u3002", ".").strip("[]").rstrip(".").lower()
    address = _address(name.partition("%")[0])
    if address is not None:
        return not _is_public(address)
    return "." not in name or name.endswith(_PRIVATE_SUFFIXES)


def check_source(url: str, origins: Iterable[str]) -> bool:
    """Raise `FileError` for a URL from which no output file is fetched: one without TLS or on a private host.

    Those on one of the origins are fetched in any case. Gives whether the address that is connected to must be
    checked as well (`check_address`).
    """
    parts = urlsplit(url)
    if is_declared(url, origins):
        return False
    if parts.scheme != "https":
        raise FileError(
            f"The file {named(url)[:200]!r} was not fetched: it is not on https, nor on one of the backend's own "
            f"hosts. {_TRUST}"
        )
    if is_private(parts.hostname or ""):
        raise FileError(
            f"The file {named(url)[:200]!r} was not fetched: its host is this machine or in a private network, and not "
            f"one of the backend's own. {_TRUST}"
        )
    return True


def check_address(host: str, address: str) -> None:
    """Raise `FileError` where the public name of a host has led to an address of this machine or a private network.

    >>> check_address("example.com", "93.184.216.34")
    """
    if is_private(address):
        raise FileError(
            f"The file was not fetched from {host!r}: the name leads to {address}, which is this machine or in a "
            f"private network. {_TRUST}"
        )


_TRUST = (
    "If you trust the host, name it in Client(trusted_hosts=[…]) or REPLICATE_KIT_TRUSTED_HOSTS; if you trust the "
    "model alone, fetch the file yourself."
)

# RFC 6762 appendix G names those in use; `localhost.localdomain` is in the hosts file of many systems.
_PRIVATE_SUFFIXES = (
    ".localhost",
    ".localdomain",
    ".localdomain6",
    ".local",
    ".internal",
    ".intranet",
    ".private",
    ".corp",
    ".home",
    ".lan",
    ".home.arpa",
)

_IPv4, _IPv6 = ipaddress.IPv4Address, ipaddress.IPv6Address

# The registries of special addresses (RFC 6890) grow, and Python's copies differ between its versions. Of IPv6 only
# 2000::/3 is given to anybody on the Internet (IANA), and 64:ff9b::/96 leads to IPv4 (RFC 6052).
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NOBODYS = tuple(
    map(
        ipaddress.ip_network,
        (
            "2001::/23",  # for protocols, Teredo among them (RFC 2928, RFC 4380)
            "2001:db8::/32",
            "3fff::/20",  # for documentation (RFC 9637)
            "192.0.0.0/24",  # for protocols (RFC 6890); Oracle's machines ask for their keys there
            "168.63.129.16/32",  # how machines at Azure reach their host (Azure's documentation of virtual networks)
        ),
    )
)


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Tell whether an address, and each that it leads to, is one on the Internet."""
    if any(address in network for network in _NOBODYS if network.version == address.version):
        return False
    if isinstance(address, _IPv4):
        return address.is_global and not address.is_multicast
    if address in _UNICAST:
        # Versions of Python differ in what they say of 6to4 as such (2002::/16): what it leads to decides.
        known = address.is_global or address.sixtofour is not None
        return known and all(map(_is_public, _embedded(address)))
    return (address in _NAT64 or address in _MAPPED) and _is_public(_low(address))


def _embedded(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """Give the IPv4 addresses to which routers pass on what is sent to an address: of 6to4 and of ISATAP."""
    if address.sixtofour is not None:
        yield address.sixtofour
    if int(address) >> 32 & 0xFDFFFFFF == 0x00005EFE:  # RFC 5214 §6.1, whichever its universal bit
        yield _low(address)


def _low(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    """Give the last 32 bits of an address as one of IPv4."""
    return _IPv4(int(address) & 0xFFFFFFFF)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address in any of the forms that systems connect to, `127.1` and `0x7f000001` among them."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        if not re.fullmatch(r"(0x[0-9a-f]*|\d+)(\.(0x[0-9a-f]*|\d+)){0,3}", name, re.ASCII):
            return None
        import socket

        try:
            return ipaddress.ip_address(socket.inet_aton(name))
        except OSError:
            return None
