"""Bodies that are read while the model works, and those of large files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

import httpx

from replicate_kit.simulator.blobs import Blob
from replicate_kit.simulator.entities import Event, Prediction

if TYPE_CHECKING:
    from replicate_kit.simulator.world import World
    from replicate_kit.transport import Runtime

__all__ = ["EventBody", "FileBody", "position_after"]

_PIECE = 256 * 1024


class EventBody(httpx.AsyncByteStream):
    """The events of a prediction as they come, from number `position` on."""

    def __init__(self, world: World, prediction: Prediction, runtime: Runtime, position: int) -> None:
        self._world, self._prediction = world, prediction
        self._runtime, self._position = runtime, position

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b": hi\n\n"
        while True:
            changed = self._world.lifecycle.changed(self._prediction)
            events = self._prediction.events[self._position :]
            if events:
                yield b"".join(_write(event, self._position + index) for index, event in enumerate(events))
                self._position += len(events)
            if self._prediction.done and self._position >= len(self._prediction.events):
                return
            if not await self._runtime.wait(changed, self._world.settings.stream_idle):
                yield b":408: 408 Request Timeout\n\n"
                return


def _write(event: Event, number: int) -> bytes:
    """Write one event: a `data:` line for each line of its data."""
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


class FileBody(httpx.AsyncByteStream):
    """A part of a file, piece by piece."""

    def __init__(self, blob: Blob, start: int, end: int, runtime: Runtime) -> None:
        self._blob, self._start, self._end, self._runtime = blob, start, end, runtime

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for begin in range(self._start, self._end, _PIECE):
            yield await self._runtime.in_thread(partial(self._piece, begin))

    def _piece(self, begin: int) -> bytes:
        return self._blob.read(begin, min(begin + _PIECE, self._end))
