"""The body of a request as it comes in: not too large, and not too slowly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx

from replicate_kit.serving.origins import Rewrite
from replicate_kit.simulator.problems import HTTPProblem

__all__ = ["Gone", "Receive", "read"]

Receive = Callable[[], Awaitable[Any]]

LARGEST = 101 * 1024 * 1024
PATIENCE = 30.0  # seconds for each piece of a body


class Gone(Exception):
    """The client has hung up before it had said what it wants."""


async def read(receive: Receive, headers: httpx.Headers, inward: Rewrite) -> bytes | httpx.AsyncByteStream:
    """Give the body: JSON as a whole, with links turned inward; anything else as it comes."""
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > LARGEST:
        raise HTTPProblem(413, {"detail": "Files must be less than 100MB in size"})
    pieces = _Pieces(receive)
    if headers.get("content-type", "").startswith("multipart/"):
        return pieces
    return inward(b"".join([piece async for piece in pieces]))


class _Pieces(httpx.AsyncByteStream):
    """What the client sends, piece by piece."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._size = receive, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise Gone
            yield self._counted(message.get("body", b""))
            more = message.get("more_body", False)

    def _counted(self, piece: bytes) -> bytes:
        """Refuse more than is allowed."""
        self._size += len(piece)
        if self._size > LARGEST:
            raise HTTPProblem(413, {"detail": "Files must be less than 100MB in size"})
        return piece

    async def _next(self) -> Any:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._receive()
        except TimeoutError:
            detail = f"The body of the request did not come within {PATIENCE:.0f} seconds."
            raise HTTPProblem(408, {"detail": detail, "status": 408}, {"connection": "close"}) from None
