"""Streams of events."""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import httpx

from replicate_kit._formats import sse
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit._runtime.blocking import iterate
from replicate_kit.compat.replicate import identifier
from replicate_kit.compat.replicate.exceptions import ReplicateError
from replicate_kit.compat.replicate.helpers import transform_output
from replicate_kit.compat.replicate.resource import Resource
from replicate_kit.records import Field

if TYPE_CHECKING:
    from replicate_kit.compat.replicate.client import Client

__all__ = ["ReplicateError", "ServerSentEvent", "identifier"]


class EventType(enum.Enum):
    """What an event tells of; names that the API adds are members too."""

    OUTPUT = "output"
    LOGS = "logs"
    ERROR = "error"
    DONE = "done"

    @classmethod
    def _missing_(cls, value: object) -> EventType:
        member = object.__new__(cls)
        member._name_, member._value_ = str(value).upper(), str(value)
        return member

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EventType) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


@with_safe_repr
class ServerSentEvent(Resource):
    """One event of a stream. `str()` of an output event is its text, of any other event nothing."""

    EventType = EventType

    event: Field[Any] = Field(EventType)
    data: Field[Any] = Field()
    id: Field[str] = Field()
    retry: Field[int | None] = Field()

    def __str__(self) -> str:
        return str(self.data) if self.event == EventType.OUTPUT else ""


def event_of(event: sse.ServerSentEvent, client: Client, use_file_output: bool = True) -> ServerSentEvent:
    """Make an event of 1.x of one of ours; the data of an output is a file where it looks like one."""
    data: Any = event.data
    if use_file_output and event.event == "output":
        data = transform_output(data, client)
    return ServerSentEvent({"event": event.event, "data": data, "id": event.id, "retry": event.retry})


class EventSource:
    """The events of an HTTP response, to be iterated either way."""

    def __init__(
        self, client: Client, response: httpx.Response, *, use_file_output: bool | None = True
    ) -> None:
        kind = response.headers["content-type"].partition(";")[0]
        if kind != "text/event-stream":
            raise ValueError(f"Expected response Content-Type to be 'text/event-stream', got {kind!r}")
        self.client, self.response = client, response
        self.use_file_output = use_file_output is not False

    class Decoder:
        """Decodes a stream line by line."""

        def __init__(self) -> None:
            self._decoder = sse.Decoder()

        def decode(self, line: str) -> ServerSentEvent | None:
            """Take in a line without its end; give the event that it completes."""
            for event in self._decoder.feed(f"{line}\n".encode()):
                return event_of(event, None, use_file_output=False)  # type: ignore[arg-type]
            return None

    def __iter__(self) -> Iterator[ServerSentEvent]:
        decoder = sse.Decoder()
        for chunk in self.response.iter_bytes():
            yield from map(self._checked, decoder.feed(chunk))

    async def __aiter__(self) -> AsyncIterator[ServerSentEvent]:
        async for event in sse.decode(self.response.aiter_bytes()):
            yield self._checked(event)

    def _checked(self, event: sse.ServerSentEvent) -> ServerSentEvent:
        """Raise what an error event stands for."""
        if event.event == "error":
            raise RuntimeError(event.data)
        return event_of(event, self.client, self.use_file_output)


async def async_stream(
    client: Client, ref: Any, input: Any = None, *, use_file_output: bool | None = True, **params: Any
) -> AsyncGenerator[ServerSentEvent]:
    """Run a model and give the events of its stream as they come."""
    version, owner, name, id = identifier.runnable(ref)
    params["stream"] = True
    if id is not None:
        prediction = await client.predictions.async_create(version or id, input or {}, **params)
    else:
        prediction = await client.models.predictions.async_create((owner, name), input or {}, **params)
    async for event in prediction.async_stream(use_file_output):
        yield event


def stream(
    client: Client, ref: Any, input: Any = None, *, use_file_output: bool | None = True, **params: Any
) -> Iterator[ServerSentEvent]:
    """Run a model and give the events of its stream as they come."""
    return iterate(async_stream(client, ref, input, use_file_output=use_file_output, **params))
