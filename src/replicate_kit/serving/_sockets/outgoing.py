"""Answers on their way out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from typing import Any

from replicate_kit.serving._origins import Rewrite
from replicate_kit.serving._sockets.incoming import Receive
from replicate_kit.simulator._api.exchange import Answer

__all__ = ["send_stream", "send_whole"]

Send = Callable[[Any], Awaitable[None]]

PATIENCE = 60.0  # seconds in which a client has to take a chunk


async def send_whole(response: Answer, outward: Rewrite, send: Send) -> None:
    """Send an answer whose body is there."""
    told = response.to_get or response  # to HEAD uvicorn sends no body
    content = told.content if told.is_read else None
    if content is not None and "json" in response.headers.get("content-type", ""):
        content = outward(content)
    if location := response.headers.get("location"):
        response.headers["location"] = outward(location.encode()).decode()
    await send(_start(response, _length(response, content)))
    await _patiently(send, {"type": "http.response.body", "body": content or b""})


def _length(response: Answer, content: bytes | None) -> list[tuple[bytes, bytes]]:
    """Say how long a body is; HEAD has not read that of a file or a stream, whose own headers say it, if any."""
    if response.status_code == 204:
        return []
    length = response.headers.get("content-length") if content is None else str(len(content))
    return [(b"content-length", length.encode())] if length else []


async def send_stream(response: Answer, outward: Rewrite, receive: Receive, send: Send) -> None:
    """Send a body while it is made, until the client has gone."""
    declared = response.headers.get("content-length")
    await send(_start(response, [(b"content-length", declared.encode())] if declared else []))
    events = response.headers.get("content-type", "").startswith("text/event-stream")
    # Of what streams only events have links, and the simulator never splits an event: no link is cut in two.
    pump = asyncio.ensure_future(_pump(response.aiter_bytes(), outward if events else None, send))
    watch = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((pump, watch), return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            pump.result()
    finally:
        for each in (pump, watch):
            each.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await each


async def _pump(chunks: AsyncIterable[bytes], outward: Rewrite | None, send: Send) -> None:
    async for chunk in chunks:
        body = outward(chunk) if outward else chunk
        await _patiently(send, {"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _patiently(send: Send, message: Any) -> None:
    """Send a chunk to a client that takes it, sooner or later."""
    async with asyncio.timeout(PATIENCE):
        await send(message)


def _start(response: Answer, length: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """The head of an answer, without what only concerned the connection inside."""
    headers = [
        (name.lower(), value)
        for name, value in response.headers.raw
        if name.lower() not in (b"transfer-encoding", b"content-length")
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers + length}
