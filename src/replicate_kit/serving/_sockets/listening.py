"""Sockets that wait for clients."""

from __future__ import annotations

import errno
import socket

from replicate_kit.errors import ConfigError

__all__ = ["listen", "names_of", "origin_of"]

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # where this machine itself finds them


def listen(host: str, port: int) -> socket.socket:
    """Take a port, 0 for any that is free. Raises `ConfigError` for a host that is none, `OSError` for the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.getaddrinfo(
            host, port, family
        )  # alone, since the error of a server does not tell host from port
    except (socket.gaierror, TypeError, UnicodeError) as error:
        raise _no_host(host, "it names no address") from error
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
        # Its connections inherit this, and asyncio sets it on none that was accepted from a socket of protocol 0.
        # Without it, a body waits until the client has acknowledged the head, which takes 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise _no_host(host, "it is no address of this machine") from error
        raise OSError(
            f"Cannot listen on {host}:{port}: {_reason(error)} Choose another port; 0 takes any."
        ) from error


def _no_host(host: str, why: str) -> ConfigError:
    """Make the error for a host that nothing can listen on."""
    return ConfigError(
        f"Cannot listen on the host {host!r}: {why}. Use 127.0.0.1 for this machine alone, 0.0.0.0 (or :: with IPv6) "
        "for all its addresses, or one of these, without scheme and port."
    )


def _reason(error: OSError) -> str:
    """Say why a port cannot be had; Python adds the address to what the system says, which is said already."""
    text = (error.strerror or str(error)).partition(" (while attempting")[0]
    return f"{text}."


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
