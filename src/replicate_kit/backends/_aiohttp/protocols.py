"""What the library makes of the bytes of a connection: an answer's head may be as long as it may be for httpx."""

from __future__ import annotations

import asyncio
import inspect
import select
from collections.abc import Callable, Hashable
from typing import Any

from aiohttp.client_proto import ResponseHandler

__all__ = ["LONGEST_HEAD", "HeadTooLong", "Protocol"]

LONGEST_HEAD = 100 * 1024  # bytes; httpx takes as many, in however many headers

# `Protocol` counts the bytes of all headers. Of the library's versions the later ones count headers, too.
_LONG_HEADS: dict[str, Any] = dict.fromkeys(("max_line_size", "max_field_size"), LONGEST_HEAD)
if "max_headers" in inspect.signature(ResponseHandler.set_response_params).parameters:
    _LONG_HEADS["max_headers"] = LONGEST_HEAD


class HeadTooLong(Exception):
    """The head of an answer is longer than any may be."""


class Protocol(ResponseHandler):
    """A connection. It counts the bytes of a head: the library counts headers, or the bytes of each.

    `route` is to where it leads, and how.
    """

    _read: int | None = None  # bytes of the head so far; None while none is waited for
    is_idle = False
    """Whether no request has the connection. One on which more comes then is not used any more."""
    on_part_of_head: Callable[[], None] | None = None
    """What is called where a part of a head has come, and not all of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, route: Hashable) -> None:
        super().__init__(loop)
        self.loop, self.route = loop, route
        self._is_paused = False
        self._looking: Any = None

    def expect(self, method: str) -> None:
        """Wait for the answer to a request."""
        self._read = 0
        self.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            **_LONG_HEADS,
        )

    def write(self, data: bytes) -> None:
        """Write without a wait. Raises `ConnectionResetError` where the other side has closed the connection."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the other side has closed it")
        self.transport.write(data)

    def has_news(self) -> bool:
        """Whether something has come that nobody has read yet: its end, in nearly all cases where nobody uses it.

        A request on such a one would end with nobody knowing whether it was acted on; or it would get an answer that
        was meant for nobody.
        """
        assert self.transport is not None
        try:
            if not hasattr(select, "poll"):
                return bool(select.select([self.transport.get_extra_info("socket")], [], [], 0)[0])
            if self._looking is None:
                self._looking = select.poll()
                self._looking.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
            return bool(self._looking.poll(0))
        except (OSError, ValueError):  # it was closed meanwhile
            return True

    def pause_reading(self) -> None:
        """Take nothing more for now."""
        self._is_paused = True
        super().pause_reading()

    def resume_reading(self, *how: Any, **named: Any) -> None:  # its versions have different parameters
        """Take more. The library asks for it after each read, and runs its parser for it."""
        if self._is_paused:
            self._is_paused = False
            super().resume_reading(*how, **named)

    def drop(self) -> None:
        """Close the connection, whatever waits to be written there."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what comes."""
        if self.is_idle:
            self.force_close()
        if self._read is None:
            super().data_received(data)
            return
        self._read += len(data)
        super().data_received(data)
        if self._read is not None:
            if self._read > LONGEST_HEAD:
                self._refuse()
            elif self.on_part_of_head is not None:
                self.on_part_of_head()

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take the head of an answer, which is the last one or the news that it is to come."""
        message, _ = data
        if (self._read or 0) > LONGEST_HEAD and _size(message.raw_headers) > LONGEST_HEAD:
            self._refuse()
            return
        self._read = 0 if message.code < 200 else None
        super().feed_data(data, size)

    def _refuse(self) -> None:
        """Give the answer up."""
        self._read = None
        if self.transport is not None:
            self.transport.close()
        self.set_exception(HeadTooLong(f"the head of the answer has more than {LONGEST_HEAD} bytes"))


def _size(headers: Any) -> int:
    """How many bytes headers take."""
    return sum(len(name) + len(value) + 4 for name, value in headers)
