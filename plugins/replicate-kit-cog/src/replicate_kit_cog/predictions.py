"""Predictions as this process keeps them, since a Cog server forgets each with its answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["ENDS", "Prediction", "interrupted", "timestamp"]

ENDS = frozenset({"succeeded", "failed", "canceled"})
_LARGE = 64 * 1024  # bytes of input and output; a list shows no more of a prediction
_INTERRUPTED = "Prediction interrupted"
"""With these words Replicate says that another try may work, and a batch tries again (`retries=`)."""


def timestamp(time: datetime | None = None) -> str:
    """Write a time, or now, as the API does."""
    return (time or datetime.now(UTC)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def interrupted(why: str) -> str:
    """Word the error of a prediction that came to nothing, of which neither its input nor its model is the cause."""
    return f"{_INTERRUPTED}: {why}"


class Prediction:
    """One prediction: what was asked for, what has become of it, and the events of its stream. Of the loop's thread."""

    def __init__(
        self, id: str, model: str | None, version: str, input: Mapping[str, Any], root: str, size: int
    ) -> None:
        self.id, self.model, self.version, self.input, self.size = id, model, version, input, size
        self.status, self.logs = "starting", ""
        self.output: Any = None
        self.error: str | None = None
        self.metrics: dict[str, Any] = {}
        self.created = datetime.now(UTC)
        self.started: datetime | None = None
        self.completed: datetime | None = None
        self.deadline: datetime | None = None
        self.data_removed = False
        self.attempts = 0
        self.events: list[tuple[str, str]] = []
        self._url = f"{root}/predictions/{id}"
        self._changed = asyncio.Event()

    @property
    def done(self) -> bool:
        """Whether it has come to its end."""
        return self.status in ENDS

    @property
    def name(self) -> str:
        """The id under which the server is asked for it: each attempt has its own."""
        return self.id if self.attempts == 0 else f"{self.id}-{self.attempts}"

    async def change(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()

    async def end(self) -> None:
        """Wait for its end."""
        while not self.done:
            await self.change()

    def start(self) -> None:
        """A server works on it."""
        if self.status == "starting":
            self.status, self.started = "processing", datetime.now(UTC)
            self._tell()

    def emit(self, chunk: Any) -> None:
        """Take one more chunk of an output that grows."""
        if not self.done:
            self.start()
            if not isinstance(self.output, list):
                self.output = []
            self.output.append(chunk)
            self._event("output", chunk if isinstance(chunk, str) else json.dumps(chunk, ensure_ascii=False))

    def write(self, text: str) -> None:
        """Take more logs."""
        if text and not self.done:
            self.logs += text
            self._event("logs", text)

    def finish(
        self,
        status: str,
        *,
        output: Any = None,
        error: str | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        """End it; what comes later is too late."""
        if self.done:
            return
        if status == "succeeded":
            self._stream_whole(output)
            self.output = output
        if error is not None:
            self.events.append(("error", json.dumps({"detail": error}, ensure_ascii=False)))
        reason = {"succeeded": {}, "failed": {"reason": "error"}}.get(status, {"reason": "canceled"})
        self.error, self.completed = error, datetime.now(UTC)
        self.metrics = {**(metrics or {}), "total_time": (self.completed - self.created).total_seconds()}
        self.status = status
        self._event("done", json.dumps(reason))

    def forget(self) -> None:
        """Let go of its data, as Replicate does an hour after the end."""
        self.data_removed, self.output, self.input, self.logs, self.events = True, None, {}, "", []
        self.size = 0

    def json(self, *, listed: bool = False) -> dict[str, Any]:
        """Write it as the API does; a list leaves out data that is large, which a GET still has."""
        hidden = listed and self.size > _LARGE
        body: dict[str, Any] = {
            "id": self.id,
            "model": self.model,
            "version": self.version,
            "input": {} if hidden else self.input,
            "logs": self.logs,
            "output": None if hidden else self.output,
            "data_removed": self.data_removed,
            "error": self.error,
            "source": "api",
            "status": self.status,
            "created_at": timestamp(self.created),
        }
        times = {"started_at": self.started, "completed_at": self.completed, "deadline": self.deadline}
        body |= {name: timestamp(time) for name, time in times.items() if time is not None}
        if self.metrics:
            body["metrics"] = self.metrics
        links = {"get": "", "cancel": "/cancel", "stream": "/stream"}
        return {**body, "urls": {name: self._url + path for name, path in links.items()}}

    def _stream_whole(self, output: Any) -> None:
        """Stream an output that did not come in chunks."""
        if output is not None and self.output is None:
            for chunk in output if isinstance(output, list) else [output]:
                text = chunk if isinstance(chunk, str) else json.dumps(chunk, ensure_ascii=False)
                self.events.append(("output", text))

    def _event(self, name: str, data: str) -> None:
        self.events.append((name, data))
        self._tell()

    def _tell(self) -> None:
        """Wake who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()
