"""The body of an answer, as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp

from replicate_kit.backends._aiohttp.exchanges import Exchange
from replicate_kit.backends._aiohttp.failures import translated

__all__ = ["Download"]


class Download:
    """Iterates a body, and fails with our errors."""

    def __init__(self, content: aiohttp.StreamReader, exchange: Exchange) -> None:
        self._content, self._exchange = content, exchange
        exchange.step = "body"
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._next()
        except Exception as error:
            failed, cause = translated(error, self._exchange)
        else:
            if chunk:
                return chunk
            self._exchange.end()
            raise StopAsyncIteration
        raise failed from cause  # out of the block: what a library says may hold the URL

    def take_whole(self, most: float) -> bytes | None:
        """Give all of the body where it is here already, at most so many bytes; None where it is not."""
        content = self._content
        if not content.is_eof() or content.exception() is not None:
            return None
        if getattr(content, "total_bytes", 0) > most:  # early versions have none for what has no body
            return None
        found = content.read_nowait()
        self._exchange.end()
        return found

    async def _next(self) -> bytes:
        """Give what there is, or wait for it."""
        content = self._content
        try:
            chunk = content.read_nowait()
            if chunk or content.at_eof():
                return chunk
            async with asyncio.timeout(self._exchange.request.timeout.read):
                return await content.readany()
        except Exception:
            # What came before a connection broke is worth having: a file goes on from there. There is no other way to
            # it, as an error hides it from all that is public.
            rest = (
                getattr(content, "_read_nowait", lambda _: b"")(-1)
                if content.exception() is not None
                else b""
            )
            if rest:
                return bytes(rest)
            raise

    async def aclose(self) -> None:
        """Let the connection go: for others, if all has been read."""
        if self._content.is_eof():
            self._exchange.end()
        else:
            self._exchange.drop()

    def __del__(self) -> None:
        if self._exchange.has_ended:
            return
        with suppress(RuntimeError):  # the loop is closed, and its connections with it
            self._loop.call_soon_threadsafe(self._exchange.end)
