"""Names of hosts that lead to this machine, so that two origins look as they do in reality."""

from __future__ import annotations

import socket
from typing import Any

API, FILES = "api.interop.example", "files.interop.example"

_resolve = socket.getaddrinfo


def _resolved(host: Any, *rest: Any, **options: Any) -> Any:
    named = host.decode() if isinstance(host, bytes) else host
    return _resolve("127.0.0.1" if named in (API, FILES) else host, *rest, **options)


def resolve_here() -> None:
    """Let this process find both names on this machine."""
    socket.getaddrinfo = _resolved
