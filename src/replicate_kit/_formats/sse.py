"""Server-sent events: bytes in any chunking -> events. No I/O.

Follows the WHATWG rules for event streams, https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass
from typing import Any

from replicate_kit.errors import InvalidResponse

__all__ = ["Decoder", "ServerSentEvent", "decode"]


@dataclass(frozen=True)
class ServerSentEvent:
    r"""One event of a stream. `str()` of an output event is its text, of any other event nothing.

    `event` is `output`, `logs`, `error` or `done` on Replicate, `id` is what to resume after, `retry` is in
    milliseconds.

    >>> str(ServerSentEvent(event="output", data="Hello"))
    'Hello'
    """

    event: str = "message"
    data: str = ""
    id: str = ""
    retry: int | None = None

    def json(self) -> Any:
        """Decode the data as JSON; raises `ValueError` if it is none."""
        return json.loads(self.data)

    def __str__(self) -> str:
        return self.data if self.event == "output" else ""


class Decoder:
    r"""Decodes a stream chunk by chunk, in time linear in its length whatever the chunks are.

    `most` is how many bytes an event may have, its line breaks and comments included; one that has more is an
    `InvalidResponse`.

    >>> Decoder().feed(b"event: output\ndata: a\ndata: b\n\n")
    [ServerSentEvent(event='output', data='a\nb', id='', retry=None)]
    """

    def __init__(self, most: int = 64 * 1024**2) -> None:
        self._most, self._taken = most, 0  # characters of the lines of the event that has not ended yet
        self._pending = bytearray()  # of the line that has not ended yet
        self._after_cr = False  # a line feed that follows belongs to the line that has just ended
        self._first = True
        self._event, self._id = "", ""
        self._data: list[str] = []
        self._retry: int | None = None

    def feed(self, chunk: bytes, /) -> list[ServerSentEvent]:
        """Take in bytes; give the events that they complete."""
        events = []
        for line in self._lines(chunk):
            self._taken += len(line) + 1
            if line.startswith("data: "):  # most lines
                self._data.append(line[6:])
            elif line:
                self._take(line)
            elif (event := self._dispatch()) is not None:
                events.append(event)
            if self._taken > self._most:
                raise self._too_large()
        return events

    @property
    def is_between(self) -> bool:
        """Whether no event has begun that has not ended; comments between events belong to none."""
        return not (self._pending or self._data or self._event)

    def _too_large(self) -> InvalidResponse:
        """Make the error of an event that is larger than any may be."""
        return InvalidResponse(f"an event of the stream has more than {self._most} bytes")

    def _lines(self, chunk: bytes) -> list[str]:
        """Split at LF, CR and CRLF only: `splitlines` on text would also split at characters that belong to
        the data.
        """
        if self._after_cr and chunk:
            chunk, self._after_cr = chunk.removeprefix(b"\n"), False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        ended, end, rest = chunk.rpartition(b"\n")
        if not end:
            self._pending += chunk
            self._check_pending()
            return []
        self._pending += ended
        text = self._pending.decode("utf-8", "replace")
        self._pending = bytearray(rest)
        self._check_pending()
        if self._first:
            self._first, text = False, text.removeprefix("\ufeff")  # the byte order mark
        return text.split("\n")

    def _check_pending(self) -> None:
        """Refuse a line that does not end."""
        if self._taken + len(self._pending) > self._most:
            raise self._too_large()

    def _take(self, line: str) -> None:
        """Take in one field; lines that begin with a colon are comments."""
        name, _, value = line.partition(":")
        if not name and not self._data and not self._event:
            self._taken = 0
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self._retry = int(value[:9])

    def _dispatch(self) -> ServerSentEvent | None:
        """Finish an event at a blank line; one without data or name is nothing."""
        event, data, retry = self._event, self._data, self._retry
        self._event, self._data, self._retry, self._taken = "", [], None, 0
        if not data and not event:
            return None
        return ServerSentEvent(event or "message", "\n".join(data), self._id, retry)


async def decode(chunks: AsyncIterable[bytes]) -> AsyncGenerator[ServerSentEvent]:
    """Decode a whole stream. An event that was not finished when the stream ended is dropped, as the rules
    say.
    """
    decoder = Decoder()
    async for chunk in chunks:
        for event in decoder.feed(chunk):
            yield event
