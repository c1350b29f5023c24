"""The events of a prediction's stream, over as many connections as it takes."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from replicate_kit._formats.sse import Decoder, ServerSentEvent
from replicate_kit.errors import (
    APIError,
    InvalidResponse,
    ModelError,
    NotFound,
    PredictionCanceled,
    ReplicateError,
    StreamError,
    TransportError,
)

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.resources._jobs.lifecycle import Job

__all__ = ["events_of", "output_as_events"]

log = logging.getLogger("replicate_kit")

_MOST_FAILURES = 5  # connections in a row that brought nothing
_MOST = 64 * 1024**2  # bytes of an event
_LONGEST = 3  # times the timeout: how long an event may take to come
_HEADERS = {"Accept": "text/event-stream", "Cache-Control": "no-store"}


Conclude: TypeAlias = Callable[["Job", ServerSentEvent], Awaitable[None]]


async def events_of(prediction: Job, conclude: Conclude | None = None) -> AsyncGenerator[ServerSentEvent]:
    """Give the events up to the last one, then raise what an end without success stands for.

    `conclude` decides otherwise what the final event means; one of an error is not among those given.
    """
    url, position = _url_of(prediction), _Position()
    while position.final is None:
        broken: ReplicateError | None = None
        try:
            async with aclosing(_read(prediction.session, url, position)) as events:
                async for event in events:
                    yield event
        except InvalidResponse as error:
            # What cannot be read now could not be read the next time either.
            raise _lost(prediction, str(error)) from error
        except TransportError as error:
            broken = error
        except APIError as error:
            if not (isinstance(error, NotFound) and prediction.is_new):
                raise _lost(prediction, str(error)) from error
            broken = error
        if position.final is None:
            position.failures += 1
            if position.failures > _MOST_FAILURES or not position.resumable:
                raise _lost(prediction, str(broken or "it ends before its model does")) from broken
            await prediction.session.sleep(min(0.1 * 2.0**position.failures, 5.0))
    await (conclude or _conclude)(prediction, position.final)


async def output_as_events(prediction: Job) -> AsyncGenerator[ServerSentEvent]:
    """Give the output of a prediction that has no stream once it has ended, as the events that a stream has.

    Which models stream is known only once a prediction is there: those that give files do as well as those that give
    chunks, whatever their schema says, and what the API starts to stream later must not be refused here. To raise an
    error then would leave the caller without an output that is paid for.
    """
    log.info("prediction %s has no stream: its output comes as a whole, at its end", prediction.id)
    try:
        await prediction.async_wait()
    except (APIError, TransportError) as error:
        raise _lost(prediction, str(error)) from error
    prediction.raise_for_status()
    output = prediction["output"]
    for each in output if isinstance(output, list) else [] if output is None else [output]:
        yield ServerSentEvent("output", each if isinstance(each, str) else json.dumps(each))
    yield ServerSentEvent("done", "{}")


class _Position:
    """Where we are in a stream."""

    def __init__(self) -> None:
        self.last_id, self.failures, self.resumable = "", 0, True
        self.final: ServerSentEvent | None = None

    def take(self, event: ServerSentEvent) -> None:
        """Note what came. Without ids the API could only begin again, and what was given would be given twice."""
        self.last_id, self.failures = event.id, 0
        self.resumable = bool(event.id)
        if event.event in ("error", "done"):
            self.final = event

    @property
    def headers(self) -> dict[str, str]:
        """Ask for what comes after the last event."""
        return {**_HEADERS, "Last-Event-ID": self.last_id} if self.last_id else _HEADERS


async def _read(session: Session, url: str, position: _Position) -> AsyncGenerator[ServerSentEvent]:
    """Read one connection to its end, so that it can be used again; nothing is given after the final event."""
    # An answer named the URL: `open` decides whether the token goes there.
    response = await session.open(url, headers=position.headers)
    try:
        async with aclosing(response), aclosing(_events(response.aiter_bytes(), session)) as events:
            async for event in events:
                if position.final is None:
                    position.take(event)
                    if event.event != "error":
                        yield event
    except TransportError:
        if position.final is None:
            raise


async def _events(chunks: AsyncIterator[bytes], session: Session) -> AsyncGenerator[ServerSentEvent]:
    """Decode a connection. It may be silent for long, but what has begun has to end: each event in its time."""
    decoder = Decoder(min(_MOST, session.config.max_answer_bytes))
    began: float | None = None
    async for chunk in chunks:
        complete = decoder.feed(chunk)
        for event in complete:
            yield event
        if decoder.is_between:
            began = None
            continue
        began = session.now() if complete or began is None else began
        if session.now() - began > _LONGEST * session.config.timeout:
            raise InvalidResponse(f"an event did not end in {_LONGEST * session.config.timeout:g} s")


async def _conclude(prediction: Job, final: ServerSentEvent) -> None:
    """Raise for a model that failed or was canceled, with the prediction as it is now."""
    said = _said(final)
    if final.event == "done" and not said.get("reason"):
        return
    # What the stream says is enough where the API cannot be asked.
    with suppress(APIError, TransportError):
        await prediction.async_reload()
    prediction.raise_for_status()
    if said.get("reason") == "canceled":
        raise PredictionCanceled(
            f"The prediction {prediction.id} was canceled while it ran, so its stream is not complete.",
            prediction=prediction,
        )
    reason = str(said.get("detail") or "The model failed and gave no reason.")
    raise ModelError(prediction.without_secrets(reason), prediction=prediction)


def _said(event: ServerSentEvent) -> dict[str, Any]:
    """What the data of a final event says."""
    try:
        said = event.json()
    except (ValueError, RecursionError):
        return {"detail": event.data}
    return said if isinstance(said, dict) else {"detail": event.data}


def _url_of(prediction: Job) -> str:
    """Where the events are."""
    url = prediction.urls.get("stream")
    if url:
        return url
    raise StreamError(
        f"The model {prediction.model or ''} of the prediction {prediction.id} gives no stream. Use run(), or "
        "wait() for this prediction.",
        prediction=prediction,
    )


def _lost(prediction: Job, why: str) -> StreamError:
    """Make the error of a stream that cannot be read to its end."""
    return StreamError(
        f"The stream of {prediction.id} broke off: {why}\nThe prediction runs on: wait() for it instead.",
        prediction=prediction,
    )
