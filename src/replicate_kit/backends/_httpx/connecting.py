"""What is seen to while a request is on the wire: to which address it goes, whether it may still be sent, and how long
its answer's headers take.

httpx tells of each step through its extension `trace`, which transports of one's own may pass on as well:
https://www.encode.io/httpcore/extensions/#trace
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from replicate_kit._door.receiving import patience, too_slow
from replicate_kit._formats.url_policy import check_address
from replicate_kit._runtime.context import ScopedVariable
from replicate_kit.errors import FileError, RequestTimeout
from replicate_kit.transport import Request

__all__ = ["OnTheWire", "asynchronously", "blockingly"]

_current: ScopedVariable[OnTheWire | None] = ScopedVariable("replicate_kit_on_the_wire", default=None)


@contextmanager
def blockingly(request: Request, sent: Any) -> Iterator[None]:
    """Watch a request that is sent on this thread, as `sent` of the library's own."""
    watch = OnTheWire(request)
    sent.extensions["trace"] = watch.take
    try:
        with _current.within(watch):
            yield
    finally:
        del sent.extensions["trace"]  # a request that leads to itself would wait for the garbage collector


@contextmanager
def asynchronously(request: Request, sent: Any) -> Iterator[None]:
    """Watch a request that is sent in an event loop."""
    import anyio

    scope = anyio.CancelScope()
    watch = OnTheWire(request, scope)
    with scope:
        sent.extensions["trace"] = watch.take_in_loop
        try:
            yield
        finally:
            del sent.extensions["trace"]
    if scope.cancelled_caught:
        raise watch.too_slow()


class OnTheWire:
    """One request, from the connection to the headers of its answer."""

    def __init__(self, request: Request, scope: Any = None) -> None:
        self._request, self._scope = request, scope
        self._host = ""  # that is being connected to: a proxy's, where there is one
        self._until = float("inf")

    def take(self, event: str, info: dict[str, Any]) -> None:
        """Take note of a step."""
        stream = info.get("return_value")
        if _ends(event, "connect_tcp.complete") and (error := self._refusal(stream)) is not None:
            # Before a byte is sent: TLS, too, begins only after this step.
            stream.close()  # type: ignore[union-attr]
            raise error
        if _ends(event, "connect_tcp.complete", "start_tls.complete"):
            with suppress(AttributeError):  # a stream of somebody else's, that has no room for it
                stream.read = _Reading(stream)  # type: ignore[union-attr]
        self._note(event, info)

    async def take_in_loop(self, event: str, info: dict[str, Any]) -> None:
        """Take note of a step."""
        stream = info.get("return_value")
        if _ends(event, "connect_tcp.complete") and (error := self._refusal(stream)) is not None:
            await stream.aclose()  # type: ignore[union-attr]
            raise error
        if _ends(event, "connect_tcp.complete", "start_tls.complete"):
            with suppress(AttributeError):  # a stream of somebody else's, that has no room for it
                stream.read = _ReadingMuch(stream)  # type: ignore[union-attr]
        self._note(event, info)

    def too_slow(self) -> RequestTimeout:
        """Make the error of headers that do not end."""
        return too_slow(self._request, "the headers of the answer")

    @property
    def left(self) -> float:
        """Seconds until the headers have to be there; without end before the request was sent."""
        return self._until - time.monotonic()

    def _note(self, event: str, info: dict[str, Any]) -> None:
        """Note where a connection goes and when the wait for an answer begins; look once more before it is used."""
        if _ends(event, "connect_tcp.started"):
            self._host = str(info["host"])
        elif _ends(event, "send_request_headers.started", "send_request_body.started"):
            # What comes next is the write. A server acts on no request without its whole body.
            self._request.check_last()
        elif _ends(event, "receive_response_headers.started"):
            self._until = time.monotonic() + patience(self._request)
            if self._scope is not None:
                import anyio

                self._scope.deadline = anyio.current_time() + patience(self._request)

    def _refusal(self, stream: Any) -> FileError | None:
        """Check the address at the other end; that of a proxy is not the host's."""
        host = self._request.url.host
        if not self._request.guarded or self._host != host:
            return None
        # The address of this very connection. If we looked the name up instead, the name server could lead the
        # connection elsewhere (DNS rebinding).
        try:
            check_address(host, str(stream.get_extra_info("server_addr")[0]))
        except FileError as error:
            return error
        return None


# Bytes that are read at a time: what an event loop takes from a socket at most. The library asks for a quarter of that,
# and each of its steps costs as much as the bytes of it.
_MUCH = 256 * 1024
_RECORD = 16 * 1024  # of TLS, at most (RFC 8446 §5.1)
_IN_A_ROW = 16  # reads that got all they asked for: that is a large file, of which more is there


class _Reading:
    """Reads from a connection, for no longer than the request that reads there may wait for its headers; much at a time
    in a large file. Records of TLS come one at a time.
    """

    def __init__(self, stream: Any) -> None:
        self._read, self._tls = stream.read, stream.get_extra_info("ssl_object")
        self._full = 0  # reads in a row that got all they asked for

    def __call__(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # Memory for so much is made by the system each time, which costs more than it saves where a file is small.
        is_large = self._tls is None and self._full >= _IN_A_ROW
        most = max(max_bytes, _MUCH) if is_large else max_bytes
        data = self._in_time(most, timeout)
        # The library asks for less than a large read: as much as that is enough to go on.
        self._full = self._full + 1 if len(data) >= max_bytes else 0
        return data

    def _in_time(self, most: int, timeout: float | None) -> bytes:
        """Read, unless the headers take too long."""
        watch = _current.get()
        if watch is None or watch.left == float("inf"):
            return bytes(self._read(most, timeout))
        if watch.left <= 0:
            raise watch.too_slow()
        try:
            return bytes(self._read(most, watch.left if timeout is None else min(timeout, watch.left)))
        except Exception as error:  # the stream's own kind of timeout
            if watch.left <= 0:
                raise watch.too_slow() from error
            raise


class _ReadingMuch:
    """Reads from a connection in an event loop, as much at a time as there is.

    The library reads TLS record by record, however many have come. A reader's next step is the only other one that
    takes them, so that what a connection has decrypted may be taken in between.
    """

    def __init__(self, stream: Any) -> None:
        self._read, self._tls = stream.read, stream.get_extra_info("ssl_object")

    async def __call__(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._tls is None:
            return bytes(await self._read(max(max_bytes, _MUCH), timeout))
        data: bytes = await self._read(max_bytes, timeout)
        return self._with_more(data) if data else data

    def _with_more(self, data: bytes) -> bytes:
        """Add the records that are there already."""
        records, size = [data], len(data)
        while size < _MUCH and (record := self._next_record()):
            records.append(record)
            size += len(record)
        return b"".join(records) if len(records) > 1 else data

    def _next_record(self) -> bytes:
        """Take a record without waiting for it; nothing where there is none, or one that the next read fails with."""
        try:
            return bytes(self._tls.read(_RECORD))
        except ssl.SSLError:
            return b""


def _ends(event: str, *names: str) -> bool:
    """Whether a step has one of these names, whatever kind of connection tells of it."""
    return event.partition(".")[2] in names
