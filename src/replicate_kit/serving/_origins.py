"""By which address a client reached the server, and links that lead back there."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from replicate_kit._formats.wording import listed

__all__ = ["LOOPBACK", "Origins", "Rewrite", "checked_hosts", "checked_origins", "origin_parts"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Rewrite = Callable[[bytes], bytes]

_PORTS = {"http": 80, "https": 443}


class Origins:
    """The addresses of one server.

    Whatever the simulator emits begins with `public`. A client that came in by another one of the server's own names,
    or by the other protocol, is given links by which it can come again. `names` are the server's own: exact ones,
    `*.example.com` for all below one, or `*` for any. Names that are not the server's own are never taken over from a
    request. `fixed` means that `public` is the address for everybody, as behind a proxy.
    """

    def __init__(self, public: str, own: Iterable[str], names: Iterable[str], *, fixed: bool = False) -> None:
        self.public, self.fixed, self._own = public, fixed, tuple(own)
        self._names = LOOPBACK | {each.lower() for each in names}

    def of(self, scope: Any) -> str:
        """The origin that a request was sent to, or the public one if it names a host that is not ours."""
        if self.fixed:
            return self.public
        host = self.named(scope)
        return f"{scope['scheme']}://{host}" if host else self._listener(scope["scheme"])

    def is_meant(self, scope: Any) -> bool:
        """Whether a request is for this server: it names one of its hosts, or none, as HTTP/1.0 may."""
        return self.named(scope) is not None or not _values(scope, b"host")

    def named(self, scope: Any) -> str | None:
        """The host and port that a request names, if the name is one of the server's own."""
        host = next(iter(_values(scope, b"host")), "")
        try:
            parts = urlsplit(f"//{host}")
            # Reading the port raises ValueError for one that is none.
            known = self._is_own_name(parts.hostname or "") and (parts.port or 0) >= 0
        except ValueError:
            return None
        # urlsplit finds a hostname in `user@name` and `name/path`, too, which are no hosts.
        return host if known and parts.netloc == host and "@" not in host else None

    def is_own_page(self, scope: Any, origin: str) -> bool:
        """Whether a page of this `origin` is one of the server that the request names, whatever proxy ends its TLS."""
        own = {f"{scope['scheme']}://{self.named(scope)}", self.public}
        return origin_parts(origin) in {origin_parts(each) for each in own} - {None}

    def outward(self, origin: str) -> Rewrite:
        """What turns links of the simulator's into such as begin with `origin`."""
        return _replacing([self.public], origin)

    def inward(self, origin: str) -> Rewrite:
        """What turns links that begin with any address of the server's into the simulator's own."""
        return _replacing([each for each in {origin, *self._own} if each != self.public], self.public)

    def _listener(self, scheme: str) -> str:
        return next((each for each in self._own if each.startswith(f"{scheme}:")), self.public)

    def _is_own_name(self, name: str) -> bool:
        """Whether a host is ours. An address is: nobody can have a name lead here that is none."""
        name = name.removesuffix(".")
        if name in self._names or _is_address(name) or ("*" in self._names and name):
            return True
        return name.endswith(".localhost") or any(
            each.startswith("*.") and name.endswith(each[1:]) for each in self._names
        )


def origin_parts(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin; None for what is none, as the `null` of pages without one.

    >>> origin_parts("https://Example.com") == origin_parts("https://example.com:443")
    True
    """
    try:
        parts = urlsplit(origin)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.scheme and parts.hostname else None


def checked_hosts(names: Iterable[str]) -> frozenset[str]:
    """Names of hosts as somebody wrote them; raises ValueError for what is none.

    >>> sorted(checked_hosts(["Mock", "*.example.com"]))
    ['*.example.com', 'mock']
    """
    found = frozenset(each.strip().lower().removesuffix(".") for each in listed(names))
    for each in found:
        if not _HOST.fullmatch(each) and not _is_address(each):
            raise ValueError(
                f"allow_hosts: {each!r} is no name of a host. Write it without scheme and port, such as mock.example, "
                "*.example.com for all names below, or * for any."
            )
    return found


_HOST = re.compile(r"\*|(\*\.)?[\w-]+(\.[\w-]+)*")


def checked_origins(origins: Iterable[str]) -> frozenset[Any]:
    """Origins of pages as somebody wrote them, to be compared; raises ValueError for what is none."""
    found = [each.strip().rstrip("/") for each in listed(origins)]
    for each in found:
        parts = origin_parts(each)
        if each not in ("*", "null") and (parts is None or urlsplit(each).path or "@" in each):
            raise ValueError(
                f"allow_origins: {each!r} is no origin of a page. Write scheme, host and port, such as "
                "http://localhost:5173, or * for any page."
            )
    return frozenset(origin_parts(each) or each for each in found)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _values(scope: Any, header: bytes) -> list[str]:
    """The values of a header."""
    return [value.decode("latin-1") for name, value in scope["headers"] if name == header]


def _replacing(old: list[str], new: str) -> Rewrite:
    """Replace origins, but none that another one only begins with."""
    if not old or old == [new]:
        return lambda body: body
    found = re.compile(b"(?:" + b"|".join(re.escape(each.encode()) for each in old) + rb")(?![\w.:-])")
    replacement = new.encode("latin-1", "replace")
    # A function, since `sub` would read backslashes in a text as groups.
    return lambda body: found.sub(lambda _: replacement, body)
