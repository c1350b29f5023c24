"""Sockets that wait for clients."""

from __future__ import annotations

import socket

__all__ = ["listen", "origin_of"]

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
