"""Predictions."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar, NotRequired, TypedDict

import httpx

from replicate_kit._formats import sse
from replicate_kit._runtime.blocking import blocking
from replicate_kit.compat.replicate._failing import as_theirs
from replicate_kit.compat.replicate.exceptions import ModelError, ReplicateError
from replicate_kit.compat.replicate.file import FileEncodingStrategy
from replicate_kit.compat.replicate.helpers import async_encode_json, encode_json
from replicate_kit.compat.replicate.identifier import path_of
from replicate_kit.compat.replicate.pagination import Page
from replicate_kit.compat.replicate.resource import Namespace, Resource
from replicate_kit.compat.replicate.stream import EventSource, ServerSentEvent, event_of
from replicate_kit.compat.replicate.version import Version
from replicate_kit.records import Field
from replicate_kit.resources import predictions
from replicate_kit.resources._jobs.streaming import events_of
from replicate_kit.resources._resource import present

__all__ = ["CreatePredictionRequestParams", "EventSource", "Prediction", "Predictions", "encode_json"]

log = logging.getLogger("replicate_kit")


class Prediction(Resource, predictions.Prediction):
    """A run of a model. Its values are as the API sends them: times and files are texts."""

    id: Field[Any] = Field()
    model: Field[Any] = Field()
    version: Field[Any] = Field()
    status: Field[Any] = Field()
    input: Field[Any] = Field()
    output: Field[Any] = Field()  # pyright: ignore[reportIncompatibleMethodOverride]
    logs: Field[Any] = Field()
    error: Field[Any] = Field()
    metrics: Field[Any] = Field()
    created_at: Field[Any] = Field()
    started_at: Field[Any] = Field()
    completed_at: Field[Any] = Field()
    urls: Field[Any] = Field()

    _waited_too_long = False
    """Whether the API answered (202) before the prediction had ended, although it was asked to wait."""

    @dataclass
    class Progress:
        """How far a prediction is, from the last progress bar in its logs."""

        percentage: float
        current: int
        total: int

        _pattern: ClassVar[re.Pattern[str]] = re.compile(r"\s*(\d+)%\s*\|.+?\|\s*(\d+)/(\d+)")

        @classmethod
        def parse(cls, logs: str) -> Prediction.Progress | None:
            """Read the last progress bar; None if there is none."""
            for line in reversed(logs.split("\n")):
                if match := cls._pattern.match(line):
                    percentage, current, total = map(int, match.groups())
                    return cls(percentage / 100, current, total)
            return None

    @property
    def progress(self) -> Any:
        """How far it is; None if its logs do not tell."""
        return Prediction.Progress.parse(self.logs) if self.logs else None

    def raise_for_status(self) -> None:
        """Raise `ModelError` if it failed or was aborted. A canceled one has the output that it had so far."""
        if self.status in ("failed", "aborted"):
            raise ModelError(self)

    async def async_stream(  # type: ignore[override]
        self, use_file_output: bool | None = None
    ) -> AsyncGenerator[ServerSentEvent]:
        """Give the events of its stream as they come."""
        if not (self.urls or {}).get("stream"):
            raise ReplicateError("Model does not support streaming")
        with as_theirs():
            async with aclosing(events_of(self, _conclude)) as events:
                async for event in events:
                    yield event_of(event, self._client, use_file_output is not False)

    stream = blocking(async_stream)  # type: ignore[assignment]


async def _conclude(prediction: object, final: sse.ServerSentEvent) -> None:
    """Raise for a model that failed; 1.x asks the API nothing more."""
    if final.event == "error":
        raise RuntimeError(final.data)


class Predictions(Namespace):
    """Operations on predictions."""

    class CreatePredictionParams(TypedDict, total=False):
        """The options of creating a prediction; `wait` is in seconds, True for as many as the API allows."""

        webhook: str
        webhook_completed: str
        webhook_events_filter: list[str]
        stream: bool
        wait: int | bool
        file_encoding_strategy: FileEncodingStrategy

    async def async_list(self, cursor: Any = ...) -> Page[Prediction]:
        """List predictions, newest first: the first page, or the one that `cursor` leads to."""
        return await self._page(Prediction, "predictions", cursor)

    async def async_get(self, id: str) -> Prediction:
        """Fetch a prediction by its id."""
        return await self._fetch(Prediction, "GET", f"predictions/{path_of(id)}")

    async def async_create(
        self,
        /,
        *args: Any,
        model: Any = None,
        version: Any = None,
        deployment: Any = None,
        input: Any = None,
        **params: Any,
    ) -> Prediction:
        """Start a prediction of a version (the first positional argument), a model or a deployment."""
        if args:
            version, input = args[0], args[1] if len(args) > 1 else input
        if sum(map(bool, (model, version, deployment))) != 1:
            raise ValueError("Exactly one of 'model', 'version', or 'deployment' must be specified.")
        if model is not None:
            return await self._client.models.predictions.async_create(model, input or {}, **params)
        if deployment is not None:
            return await self._client.deployments.predictions.async_create(deployment, input or {}, **params)
        id = version.id if isinstance(version, Version) else version
        return await create(self._client, "predictions", input, version=id, **params)

    async def async_cancel(self, id: str) -> Prediction:
        """Stop the prediction with this id."""
        path = f"predictions/{path_of(id)}/cancel"
        return await self._fetch(Prediction, "POST", path, repeatable=True)

    list = blocking(async_list)
    get = blocking(async_get)
    create = blocking(async_create)
    cancel = blocking(async_cancel)


class CreatePredictionRequestParams(TypedDict):
    """What the request of a create has besides its body."""

    headers: NotRequired[dict[str, Any] | None]
    timeout: NotRequired[httpx.Timeout | None]


async def create(
    client: Any,
    path: str,
    input: Any,
    *,
    version: str | None = None,
    wait: bool | int | None = None,
    file_encoding_strategy: FileEncodingStrategy | None = None,
    webhook: str | None = None,
    webhook_completed: str | None = None,
    webhook_events_filter: Any = None,
    stream: bool | None = None,
    **unknown: Any,
) -> Prediction:
    """Start a prediction at the path of whatever is to be run."""
    if unknown:
        log.warning("replicate: these parameters do nothing: %s. Check their spelling.", ", ".join(unknown))
    body = {
        "version": version,
        "input": await async_encode_json(input, client, file_encoding_strategy),
        "webhook": webhook,
        "webhook_completed": webhook_completed,
        "webhook_events_filter": webhook_events_filter,
        "stream": stream,
    }
    response = await client.session.request("POST", path, json=present(body), **_wait_header(wait))
    with as_theirs():
        prediction = Prediction(Prediction.checked(response.json()))._on(client)
    client.session.links.learn(prediction._json)
    prediction._waited_too_long = response.status_code == 202
    client.session.hooks.prediction_created(prediction)
    return prediction


def _wait_header(wait: bool | int | None) -> dict[str, Any]:
    """Ask the API to hold its answer, and be patient for a little longer than that."""
    if not wait:
        return {}
    patience = (60.0 if isinstance(wait, bool) else wait) + 30.0
    prefer = "wait" if isinstance(wait, bool) else f"wait={wait}" if isinstance(wait, int) else None
    return {"headers": present({"Prefer": prefer}), "timeout": patience}
