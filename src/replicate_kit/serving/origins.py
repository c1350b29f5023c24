"""By which address a client reached the server, and links that lead back there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

__all__ = ["LOOPBACK", "Origins", "Rewrite"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Rewrite = Callable[[bytes], bytes]


class Origins:
    """The addresses of one server.

    Whatever the simulator emits begins with `public`. A client that came in by another one of the server's own names,
    or by the other protocol, is given links by which it can come again. Names that are not the server's own are
    never taken over from a request. `fixed` means that `public` is the address for everybody, as behind a proxy.
    """

    def __init__(self, public: str, own: Iterable[str], names: Iterable[str], *, fixed: bool = False) -> None:
        self.public, self.fixed, self._own = public, fixed, tuple(own)
        self._names = LOOPBACK | frozenset(names)

    def of(self, scope: Any) -> str:
        """The origin that a request was sent to, or the public one if it names a host that is not ours."""
        if self.fixed:
            return self.public
        host = self.named(scope)
        return f"{scope['scheme']}://{host}" if host else self._listener(scope["scheme"])

    def named(self, scope: Any) -> str | None:
        """The host and port that a request names, if the name is one of the server's own."""
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        try:
            parts = urlsplit(f"//{host}")
            known = parts.hostname in self._names and (parts.port or 0) >= 0
        except ValueError:
            return None
        return host if known and parts.netloc == host and "@" not in host else None

    def outward(self, origin: str) -> Rewrite:
        """What turns links of the simulator's into such as begin with `origin`."""
        return _replacing([self.public], origin)

    def inward(self, origin: str) -> Rewrite:
        """What turns links that begin with any address of the server's into the simulator's own."""
        return _replacing([each for each in {origin, *self._own} if each != self.public], self.public)

    def _listener(self, scheme: str) -> str:
        return next((each for each in self._own if each.startswith(f"{scheme}:")), self.public)


def _replacing(old: list[str], new: str) -> Rewrite:
    """Replace origins, but none that another one only begins with."""
    if not old or old == [new]:
        return lambda body: body
    found = re.compile(b"(?:" + b"|".join(re.escape(each.encode()) for each in old) + rb")(?![\w.:-])")
    replacement = new.encode("latin-1", "replace")
    return lambda body: found.sub(lambda _: replacement, body)
