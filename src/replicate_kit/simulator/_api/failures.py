"""Connections that fail, as clients in this process see them."""

from __future__ import annotations

from replicate_kit.errors import ConnectFailed, ConnectionLost, RequestTimeout
from replicate_kit.transport import Request

__all__ = ["broken", "not_connected", "timed_out"]


def not_connected(request: Request) -> ConnectFailed:
    """Make the error of a connection that did not come about."""
    why = "Connection refused (as the simulator was told)"
    return ConnectFailed(f"{request.named}: could not connect: {why}.", request=request)


def timed_out(request: Request) -> RequestTimeout:
    """Make the error of an answer that the client has waited for in vain."""
    # The words in brackets are those of a socket, here and below: clients in process see no other failures.
    why = "The read operation timed out"
    step = "Raise Client(timeout=…) if the service is slow."
    return RequestTimeout(f"{request.named}: no answer in time ({why}). {step}", request=request)


def broken(request: Request, why: str) -> ConnectionLost:
    """Make the error of a connection that is cut."""
    return ConnectionLost(f"{request.named}: the connection broke ({why}).", request=request)
