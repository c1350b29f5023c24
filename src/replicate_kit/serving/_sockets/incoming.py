"""The body of a request as it comes in: not too large, and not too slowly."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from replicate_kit.serving._origins import Rewrite
from replicate_kit.simulator._api.exchange import check_size
from replicate_kit.simulator._state.problems import HTTPProblem
from replicate_kit.transport import Body, Once

__all__ = ["Gone", "Receive", "in_origin_form", "read"]

Receive = Callable[[], Awaitable[Any]]

PATIENCE = 30.0  # seconds for each chunk of a body


class Gone(Exception):
    """The client has hung up before it had said what it wants."""


_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


def in_origin_form(scope: Any) -> Any:
    """Read a target that is a whole URL, as proxies send it; its host counts, and not `Host` (RFC 9112, 3.2.2).

    >>> scope = {"raw_path": b"http://a:80/v1/x%20y", "headers": [(b"host", b"b")]}
    >>> found = in_origin_form(scope)
    >>> found["path"], found["raw_path"], found["headers"]
    ('/v1/x y', b'/v1/x%20y', [(b'host', b'a:80')])
    """
    match = _ABSOLUTE.fullmatch(scope.get("raw_path", b""))
    if match is None:
        return scope
    host, raw_path = match[1], match[2] or b"/"
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    path = unquote(raw_path.decode("ascii"))
    return {**scope, "raw_path": raw_path, "path": path, "headers": [(b"host", host), *others]}


async def read(receive: Receive, headers: Mapping[str, str], inward: Rewrite) -> bytes | Body:
    """Give the body: JSON as a whole, with links turned inward; anything else as it comes."""
    declared = headers.get("content-length", "")
    is_form = headers.get("content-type", "").startswith("multipart/")
    if declared.isdigit():
        check_size(int(declared), is_form=is_form)
    chunks = _Chunks(receive, is_form=is_form)
    # Files stay as they are. JSON is read to its end, since a link may be cut in two by a chunk's border.
    if is_form:
        return Once(chunks, int(declared) if declared.isdigit() else None)
    return inward(b"".join([chunk async for chunk in chunks]))


class _Chunks:
    """What the client sends, chunk by chunk."""

    def __init__(self, receive: Receive, *, is_form: bool) -> None:
        self._receive, self._is_form, self._size = receive, is_form, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise Gone
            yield self._counted(message.get("body", b""))
            more = message.get("more_body", False)

    def _counted(self, chunk: bytes) -> bytes:
        """Refuse more than is allowed."""
        self._size += len(chunk)
        check_size(self._size, is_form=self._is_form)
        return chunk

    async def _next(self) -> Any:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._receive()
        except TimeoutError:
            detail = f"The body of the request did not come within {PATIENCE:.0f} seconds."
            raise HTTPProblem(408, {"detail": detail, "status": 408}, {"connection": "close"}) from None
