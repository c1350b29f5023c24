"""Server-sent events: bytes in any chunking -> events. No I/O.

Follows the WHATWG rules for event streams, https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from replicate_kit._formats.patterns import pattern
from replicate_kit.errors import InvalidResponse

__all__ = ["Decoder", "ServerSentEvent", "decode"]


class EventType(StrEnum):
    """The kinds of events that Replicate's streams have; each is equal to its text."""

    OUTPUT = "output"
    LOGS = "logs"
    ERROR = "error"
    DONE = "done"


@dataclass(frozen=True)
class ServerSentEvent:
    r"""One event of a stream. `str()` of an output event is its text, of any other event nothing.

    `event` is `output`, `logs`, `error` or `done` on Replicate, `id` is what to resume after, `retry` is in
    milliseconds.

    >>> str(ServerSentEvent(event="output", data="Hello"))
    'Hello'
    """

    EventType: ClassVar[type[EventType]] = EventType

    event: str = "message"
    data: str = ""
    id: str = ""
    retry: int | None = None

    def __init__(
        self, event: str = "message", data: str = "", id: str = "", retry: int | None = None
    ) -> None:
        # The usual `__init__` of what is frozen asks `object` for each field: a quarter of the time of a stream.
        fields = self.__dict__
        fields["event"], fields["data"], fields["id"], fields["retry"] = event, data, id, retry

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
        is_near = self._taken + len(self._pending) + len(chunk) > self._most
        text = self._whole_lines(chunk)
        events: list[ServerSentEvent] = []
        if text and not is_near:
            events = self._read(text)
        elif text:  # an event may be too large: each line is counted before the next one is read
            for line in text[:-1].split("\n"):
                events += self._take([line])
        if self._taken + len(self._pending) > self._most:  # a line that does not end
            raise self._too_large()
        return events

    def _read(self, text: str) -> list[ServerSentEvent]:
        """Take in whole lines that cannot make an event too large; give the events that they complete."""
        events: list[ServerSentEvent] = []
        if self._taken or self._retry is not None:  # of an event that has begun not all is in this text
            # A long text is for the most part a line that began before: to look for its end would be to read it twice.
            begun = _end_of_event(text) if len(text) < _LONG else len(text)
            events, text = self._take(text[: begun - 1].split("\n")), text[begun:]
        # Quicker than line by line, for events as Replicate writes them.
        for event, id, data, other in _EVENTS.findall(text):
            if other:
                events += self._take(other[:-1].split("\n"))
                continue
            self._id = id
            lines = data.replace("\ndata: ", "\n") if "\n" in data else data
            events.append(ServerSentEvent(event or "message", lines, id))
        return events

    def _take(self, lines: list[str]) -> list[ServerSentEvent]:
        """Take in whole lines; give the events that they complete."""
        events: list[ServerSentEvent] = []
        event, data, id, retry = self._event, self._data, self._id, self._retry  # quicker than attributes
        counted = 0  # lines that are of no event that has not ended
        for number, line in enumerate(lines, 1):
            if not line:
                if data or event:  # without either it is nothing
                    events.append(ServerSentEvent(event or "message", "\n".join(data), id, retry))
                event, data, retry, counted = "", [], None, number
                continue
            name, _, value = line.partition(": ")
            if name not in _FIELDS:
                name, value = _field(line)
            if name == "data":
                data.append(value)
            elif name == "event":
                event = value
            elif name == "id":
                id = id if "\0" in value else value
            elif name == "retry":
                retry = int(value[:9]) if value.isascii() and value.isdigit() else retry
            elif not (name or data or event):  # a comment between events
                counted = number
        self._event, self._data, self._id, self._retry = event, data, id, retry
        self._count(lines[counted:], goes_on=not counted)
        return events

    def _count(self, lines: list[str], *, goes_on: bool) -> None:
        """Count the lines of an event that has not ended, and refuse it where it is too large."""
        self._taken = (self._taken if goes_on else 0) + sum(map(len, lines)) + len(lines)
        if self._taken > self._most:
            raise self._too_large()

    @property
    def is_between(self) -> bool:
        """Whether no event has begun that has not ended; comments between events belong to none."""
        return not (self._pending or self._data or self._event)

    def _too_large(self) -> InvalidResponse:
        """Make the error of an event that is larger than any may be."""
        return InvalidResponse(f"an event of the stream has more than {self._most} bytes")

    def _whole_lines(self, chunk: bytes) -> str:
        """Give the lines that have ended, each with a line feed: LF, CR and CRLF end one, and no other character."""
        if self._after_cr and chunk:
            chunk, self._after_cr = chunk.removeprefix(b"\n"), False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._pending += chunk
            return ""
        self._pending += chunk[:end]
        text = self._pending.decode("utf-8", "replace")
        self._pending = bytearray(chunk[end:])
        if self._first:
            self._first, text = False, text.removeprefix("\ufeff")  # the byte order mark
        return text


# An event with a name, an id and data, in this order; or all lines up to where the next such event may begin. Each
# quantifier keeps what it took, so that a text is gone through but once.
_EVENTS = pattern(
    r"event: (.*+)\nid: ([^\n\0]++)\ndata: (.*+(?:\ndata: .*+)*+)\n\n"
    r"|(.*+\n(?:(?:(?<!\n\n)|(?!event: .*+\nid: )).*+\n)*+)"
)
_LONG = 128 * 1024  # characters; what comes at once is shorter


def _end_of_event(text: str) -> int:
    """Where the first empty line of whole lines ends; the end of them all if there is none."""
    if text.startswith("\n"):
        return 1
    found = text.find("\n\n")
    return len(text) if found < 0 else found + 2


_FIELDS = frozenset({"data", "event", "id", "retry"})


def _field(line: str) -> tuple[str, str]:
    """Read a line without a space after its first colon, a comment, or one that says nothing to us."""
    name, _, value = line.partition(":")
    return name, value.removeprefix(" ")


async def decode(chunks: AsyncIterable[bytes]) -> AsyncGenerator[ServerSentEvent]:
    """Decode a whole stream. An event that was not finished when the stream ended is dropped, as the rules
    say.
    """
    decoder = Decoder()
    async for chunk in chunks:
        for event in decoder.feed(chunk):
            yield event
