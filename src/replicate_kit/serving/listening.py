"""Sockets that wait for clients."""

from __future__ import annotations

import socket

__all__ = ["listen", "names_of", "origin_of"]

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # where this machine itself finds them


def listen(host: str, port: int) -> socket.socket:
    """Take a port, 0 for any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise OSError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Choose another port; 0 takes any."
        ) from error


def origin_of(scheme: str, host: str, listener: socket.socket) -> str:
    """The address of a listening socket, such as `http://127.0.0.1:8000`."""
    name, port = _ANYWHERE.get(host, host), listener.getsockname()[1]
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"


def names_of(host: str) -> frozenset[str]:
    """The names by which clients reach a server that listens on `host`.

    On all addresses of a machine that is its name, also in a local network, and what containers call it.
    """
    if host not in _ANYWHERE:
        return frozenset({host})
    own = socket.gethostname().lower()
    return frozenset({host, own, f"{own}.local", "host.docker.internal", "host.containers.internal"})
