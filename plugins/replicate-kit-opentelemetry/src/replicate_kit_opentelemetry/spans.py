"""Spans around requests, by OpenTelemetry's semantic conventions for HTTP clients."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from replicate_kit.messages import quoted, without_secrets

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from replicate_kit.transport import Request, Response, Transport
    from replicate_kit_opentelemetry.metrics import Metrics

__all__ = ["Traced"]

# Paths hold names and ids; a span's name must have few values, so they are replaced by what they stand for.
_ROUTES = tuple(
    (re.compile(rf"(?P<root>.*/v1)/{pattern}"), route)
    for pattern, route in (
        (
            r"(models|deployments)/[^/]+/[^/]+/versions/[^/]+(/trainings)?",
            r"\1/{owner}/{name}/versions/{id}\2",
        ),
        (r"(models|deployments)/[^/]+/[^/]+(/\w+)?", r"\1/{owner}/{name}\2"),
        (r"(predictions|trainings|files)/[^/]+(/\w+)?", r"\1/{id}\2"),
        (r"(collections)/[^/]+", r"\1/{slug}"),
        (r"([a-z]+(?:/default/secret)?)", r"\1"),
    )
)


class Traced:
    """A transport that opens a span for each attempt, and has what was refused counted.

    Nothing is made as long as nobody has set up a tracer provider.
    """

    def __init__(
        self, inner: Transport, provider: TracerProvider | None, metrics: Metrics, record_inputs: bool
    ) -> None:
        self._inner, self._provider, self._record_inputs = inner, provider, record_inputs
        self._tracer = trace.get_tracer("replicate_kit", tracer_provider=provider)
        self._metrics = metrics

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        """Send a request within a span; that of a stream ends when its head has come."""
        provider = self._provider or trace.get_tracer_provider()
        if type(provider).__module__.startswith("opentelemetry.trace"):  # the API's own, which keep nothing
            response = await self._inner.send(request, stream=stream)
            self._metrics.answered(request, response)
            return response
        return await self._within_span(request, stream)

    async def _within_span(self, request: Request, stream: bool) -> Response:
        """Send a request, and note in a span what came of it."""
        name = f"{request.method} {_route(request.url.path)}"
        with self._tracer.start_as_current_span(
            name, kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False
        ) as span:
            if span.is_recording():
                span.set_attributes(_of_request(request, self._record_inputs))
            try:
                response = await self._inner.send(request, stream=stream)
            except BaseException as error:
                # The error's kind only: its text may quote what was sent.
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(Status(StatusCode.ERROR))
                raise
            if span.is_recording():
                _note_response(span, response, read=not stream)
            self._metrics.answered(request, response)
            return response

    async def aclose(self) -> None:
        """Close the transport inside."""
        await self._inner.aclose()


def _route(path: str) -> str:
    """Name the operation that a path is of; files and streams on other paths have one name together."""
    for pattern, route in _ROUTES:
        if match := pattern.fullmatch(path):
            return "/v1/" + re.sub(r"\\(\d)", lambda number: match[int(number[1]) + 1] or "", route)
    return "file"


def _of_request(request: Request, record_inputs: bool) -> dict[str, Any]:
    """What is known before the answer. A URL's query may hold a signature, and is left out."""
    attributes: dict[str, Any] = {
        "http.request.method": request.method,
        "url.full": request.url.bare,
        "server.address": request.url.host,
    }
    if request.url.port:
        attributes["server.port"] = request.url.port
    if record_inputs and (sent := _json(request)) and "input" in sent:
        shown = quoted(without_secrets(sent["input"]))
        attributes["replicate.prediction.input"] = json.dumps(shown, ensure_ascii=False)
    return attributes


def _note_response(span: Span, response: Response, *, read: bool) -> None:
    """Note the answer, and which prediction it is about."""
    span.set_attribute("http.response.status_code", response.status_code)
    if response.status_code >= 400:
        span.set_attribute("error.type", str(response.status_code))
        span.set_status(Status(StatusCode.ERROR))
    about = _json(response) if read else None
    for key in ("id", "status", "model", "version"):
        if about and "input" in about and isinstance(about.get(key), str):
            span.set_attribute(f"replicate.prediction.{key}", about[key])


def _json(message: Request | Response) -> dict[str, Any] | None:
    """Decode a body that is a JSON object."""
    if not message.headers.get("content-type", "").startswith("application/json"):
        return None
    try:
        decoded = json.loads(message.content)
    except (ValueError, RuntimeError):  # not JSON after all, or a body that comes in chunks
        return None
    return decoded if isinstance(decoded, dict) else None
