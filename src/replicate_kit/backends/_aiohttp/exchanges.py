"""One request on its way: how far it has come, which decides what an error means, and how long each step may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Hashable
from types import TracebackType
from typing import Any

from aiohttp.http import StreamWriter

from replicate_kit._door.receiving import patience
from replicate_kit.backends._aiohttp.protocols import Protocol
from replicate_kit.backends._aiohttp.slots import Closed, Slots
from replicate_kit.backends._common.patience import Patience
from replicate_kit.backends._options.proxies import Proxy
from replicate_kit.errors import TransportError
from replicate_kit.transport import Request

__all__ = ["Exchange", "Upload"]

_BLOCK = 64 * 1024
_FOR_EVER = float("inf")


class Exchange:
    """A request on its way, from the look for a connection to the headers of its answer.

    Within `async with` its steps have their times: the library has none for writing, nor for headers as a whole.
    """

    def __init__(self, request: Request, proxy: Proxy | None, slots: Slots) -> None:
        self.request, self.proxy = request, proxy
        self._slots, self._has_slot = slots, False
        self.connection: Protocol | None = None
        """Its connection, until it ends; from the first moment on a server may have seen something of it."""
        self.connected = False
        """Whether it ever had one."""
        self.step = ""
        """What is being waited for, where the library does not wait by itself."""
        self.source_error: Exception | None = None
        """What the source of the body has raised."""
        self.is_written = True
        """Whether all of the body was given to be written."""
        self._asked_at = 0.0  # when all was written
        self._uploading: asyncio.Task[None] | None = None
        self._is_stopped = False  # whether the rest of the body is not wanted
        self._scope: asyncio.Timeout | None = None

    async def __aenter__(self) -> Exchange:
        self._scope = await asyncio.timeout(None).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        scope, self._scope = self._scope, None
        if scope is not None:
            await scope.__aexit__(kind, error, trace)

    async def take_slot(self) -> None:
        """Wait for a slot among the connections. Raises `NoneFree`."""
        if not self._slots.take_at_once():
            await self._slots.take(Patience(self.request.timeout.pool, self.request.deadline))
        self._has_slot = True

    @property
    def has_ended(self) -> bool:
        """Whether it has given its slot back."""
        return not self._has_slot

    def end(self) -> None:
        """Give the slot back, once all of the answer was read, or nobody reads it."""
        if not self._has_slot:
            return
        self._has_slot = False
        self.stop_upload()
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.on_part_of_head = None
            if not self.is_written:
                connection.drop()
            self._slots.end(connection)
        self._slots.give_back()

    async def connect(self, route: Hashable, opened: Callable[[], Awaitable[Protocol]]) -> Protocol:
        """Find a connection by a route, one that is kept or a new one."""
        connection = self._slots.latest(route)
        if connection is None:
            self._slots.make_room()
            closings = self._slots.closings
            connection = await opened()
            if self._slots.closings != closings:
                connection.drop()
                raise Closed
            self._slots.use(connection)
        self.connection, self.connected = connection, True
        connection.on_part_of_head = self._wait_for_more
        return connection

    def drop(self) -> None:
        """Close the connection of a request that has failed, whatever waits to be written there.

        The library would have that written first, for which the other side may never make room.
        """
        if self.connection is not None:
            self.connection.drop()
        self.end()

    def upload(self, body: Upload) -> None:
        """Write a body beside the wait for an answer, which may begin before all was sent."""
        self._uploading = asyncio.create_task(self._write(body))

    def stop_upload(self) -> None:
        """Write no more of a body."""
        if self._uploading is not None:
            self._is_stopped = True
            self._uploading.cancel()

    async def uploaded(self) -> None:
        """Wait until the body is written, or cannot be. What its source has raised comes out."""
        if self._uploading is not None:
            await asyncio.wait([self._uploading])
        if self.source_error is not None:
            raise self.source_error

    async def _write(self, body: Upload) -> None:
        """Write a body; where that fails, so does the wait for an answer."""
        connection = self.connection
        assert connection is not None
        writer = StreamWriter(connection, connection.loop)
        if body.is_chunked:
            writer.enable_chunking()
        try:
            async for block in body:
                self.request.check_last()  # a server acts on none without its whole body
                await writer.write(block)
            await writer.write_eof()
        except asyncio.CancelledError:
            if self._is_stopped:
                raise
            said = f"{self.request.named}: the source of the body was cancelled."
            self.source_error = TransportError(said, request=self.request)
            connection.set_exception(self.source_error)
        except Exception as error:
            connection.set_exception(error)

    def write(self) -> None:
        """Note that something of the body is being written."""
        seconds = self.request.timeout.write
        self._within("write", _FOR_EVER if seconds is None else seconds)

    def read_source(self) -> None:
        """Note that the source of the body is being read, which may take its time."""
        self._within("source", _FOR_EVER)

    def wait_for_answer(self) -> None:
        """Note that all was written."""
        self._asked_at = asyncio.get_running_loop().time()
        self._wait_for_bytes()

    @property
    def is_too_slow(self) -> bool:
        """Whether the head of the answer has taken more time than it may, whatever came of it."""
        return self.step == "headers" and self._left() < 0.001  # timers go off a little early

    def _left(self) -> float:
        """Seconds that there are for the head of the answer."""
        return patience(self.request) - (asyncio.get_running_loop().time() - self._asked_at)

    def _wait_for_more(self) -> None:
        """Wait for the rest of a head of which a part has come; while the body is being sent, that has its own time."""
        if self.is_written:
            self._wait_for_bytes()

    def _wait_for_bytes(self) -> None:
        """Wait for the next part of the answer's head."""
        seconds = self.request.timeout.read
        self._within("headers", min(self._left(), _FOR_EVER if seconds is None else seconds))

    def _within(self, step: str, seconds: float) -> None:
        """Give a step its time."""
        self.step = step
        # An answer may come before all was sent, and what is being waited for in the moment when its time is over.
        if self._scope is not None and not self._scope.expired():
            now, without_end = asyncio.get_running_loop().time(), seconds == _FOR_EVER
            self._scope.reschedule(None if without_end else now + seconds)


class Upload:
    """The chunks of a body, none larger than a block, in the length that was announced."""

    def __init__(
        self, body: AsyncIterable[bytes], length: int | None, exchange: Exchange, *, chunked: bool = False
    ) -> None:
        self._source, self._left, self._exchange = aiter(body), length, exchange
        self.is_chunked = chunked
        """Whether each block is sent with its length, and an end behind the last."""
        self._rest: memoryview[Any] = memoryview(b"")
        exchange.is_written = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            await self._fill()
        except Exception as error:
            self._exchange.source_error = error
            raise
        if not self._rest:
            self._exchange.is_written = True
            self._exchange.wait_for_answer()
            raise StopAsyncIteration
        block, self._rest = bytes(self._rest[:_BLOCK]), self._rest[_BLOCK:]
        self._exchange.write()
        return block

    async def _fill(self) -> None:
        """See that there is something left to give, unless the body is at its end."""
        if self._rest:
            return
        self._exchange.read_source()
        async for chunk in self._source:
            if chunk:  # an empty one would end a body in chunks
                self._rest = memoryview(chunk)
                self._count(len(chunk))
                return
        if self._left:
            raise self._refusal("fewer")

    def _count(self, size: int) -> None:
        """See that no more is sent than was announced: the rest would be read as another request."""
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise self._refusal("more")

    def _refusal(self, how: str) -> TransportError:
        """Make the error of a body that is not as long as announced."""
        request = self._exchange.request
        said = f"the request cannot be sent: its body has {how} bytes than its Content-Length says"
        return TransportError(f"{request.named}: {said}. Leave that header out.", request=request)
