"""Bodies that are read while the model works, and those of large files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

from replicate_kit.simulator._state.blobs import Blob
from replicate_kit.simulator._state.entities import Event, Prediction

if TYPE_CHECKING:
    from replicate_kit._runtime.runtimes import Runtime
    from replicate_kit.simulator._service.service import Service

__all__ = ["EventBody", "FileBody", "position_after"]

_CHUNK = 256 * 1024


class EventBody:
    """The events of a prediction as they come, from number `position` on."""

    def __init__(self, service: Service, prediction: Prediction, runtime: Runtime, position: int) -> None:
        self._service, self._prediction = service, prediction
        self._runtime, self._position = runtime, position
        self._greeted = self._over = False

    # An iterator and not a generator: one that is left early needs nobody to close it.
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._greeted:
            self._greeted = True
            # The API's streams open with this comment, so clients have to skip comments.
            return b": hi\n\n"
        while not self._over:
            # Asked for before the events are read: otherwise an event that comes in between would not end the wait.
            changed = self._service.lifecycle.changed(self._prediction)
            # And this as well: it may end in between, and its last events belong to the stream.
            done = self._prediction.done
            events = self._prediction.events[self._position :]
            if events:
                return self._take(events)
            self._over = done
            if not self._over and not await self._runtime.wait(changed, self._service.settings.stream_idle):
                # The API closes a silent stream like this, and clients come back with Last-Event-ID.
                self._over = True
                return b":408: 408 Request Timeout\n\n"
        raise StopAsyncIteration

    def _take(self, events: list[Event]) -> bytes:
        first, self._position = self._position, self._position + len(events)
        return b"".join(_write(event, number) for number, event in enumerate(events, first))


def _write(event: Event, number: int) -> bytes:
    """Write one event: a `data:` line for each line of its data."""
    # Python's client 1.0.7 needs `event` and `id`, and fails at the name of an event that it does not know.
    lines = [
        f"event: {event.name}",
        f"id: {event.time}:{number}",
        *(f"data: {line}" for line in _lines(event.data)),
    ]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def _lines(data: str) -> list[str]:
    """Split at what ends a line in an event stream, and nothing else."""
    return data.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def position_after(last_event_id: str | None) -> int:
    """Which event follows the one that a client has seen last; the first for an id that is not ours."""
    number = (last_event_id or "").rpartition(":")[2]
    return int(number) + 1 if number.isascii() and number.isdigit() and len(number) < 10 else 0


class FileBody:
    """A part of a file, chunk by chunk."""

    def __init__(self, blob: Blob, start: int, end: int, runtime: Runtime) -> None:
        self._blob, self._start, self._end, self._runtime = blob, start, end, runtime

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._start >= self._end:
            raise StopAsyncIteration
        begin, self._start = self._start, self._start + _CHUNK
        return await self._runtime.in_thread(partial(self._chunk, begin))

    def _chunk(self, begin: int) -> bytes:
        return self._blob.read(begin, min(begin + _CHUNK, self._end))
