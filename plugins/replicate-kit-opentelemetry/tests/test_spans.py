"""Spans of what the client asks."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from replicate_kit import Client
from replicate_kit.errors import NotFound, ReplicateError, UncertainCreate
from replicate_kit_opentelemetry import OpenTelemetry
from replicate_kit_opentelemetry.spans import _route


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def traced(exporter: InMemorySpanExporter, *, record_inputs: bool = False, **options) -> Client:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    options = options or {"backend": "mock"}
    return Client("r8_secret", plugins=[OpenTelemetry(provider, record_inputs=record_inputs)], **options)


def everything_in(exporter: InMemorySpanExporter) -> str:
    return "".join(span.to_json() for span in exporter.get_finished_spans())


def test_a_run_is_seen_with_its_prediction(exporter):
    client = traced(exporter)
    client.run("demo/painter", {"prompt": "a quiet wombat"})
    spans = {span.name: span for span in exporter.get_finished_spans()}
    create = (
        spans["POST /v1/predictions"]
        if "POST /v1/predictions" in spans
        else spans["POST /v1/models/{owner}/{name}/predictions"]
    )
    assert create.attributes["http.response.status_code"] == 201
    assert create.attributes["replicate.prediction.model"] == "demo/painter"
    assert len(create.attributes["replicate.prediction.id"]) == 26


def test_neither_token_nor_inputs_nor_outputs_are_in_spans(exporter):
    traced(exporter).run("demo/painter", {"prompt": "a quiet wombat"})
    assert "r8_secret" not in everything_in(exporter)
    assert "wombat" not in everything_in(exporter)
    assert "files.replicate.test" not in everything_in(exporter)


def test_inputs_are_recorded_where_that_was_asked_for(exporter):
    traced(exporter, record_inputs=True).run("demo/painter", {"prompt": "a quiet wombat"})
    assert "a quiet wombat" in everything_in(exporter)
    assert "r8_secret" not in everything_in(exporter)


@pytest.mark.parametrize("operation", ["run", "map"])
def test_secret_inputs_are_not_recorded(exporter, operation):
    properties = {"pin": {"type": "string", "format": "password"}}
    schema = {"components": {"schemas": {"Input": {"type": "object", "properties": properties}}}}
    model = {"owner": "acme", "name": "safe", "latest_version": {"id": "a" * 64, "openapi_schema": schema}}

    def answer(request):
        if request.method == "POST":
            return httpx.Response(422, json={})
        return httpx.Response(200, json=model if "models" in request.url.path else {"results": []})

    options = {"transport": httpx.MockTransport(answer), "base_url": "https://api.test"}
    client = traced(exporter, record_inputs=True, **options)
    row = {"prompt": "a wombat", "pin": "hunter2-declared", "api_key": "hunter2-named"}
    with contextlib.suppress(ReplicateError):
        client.run("acme/safe", row) if operation == "run" else list(client.map("acme/safe", [row]))
    assert "a wombat" in everything_in(exporter)
    assert "hunter2" not in everything_in(exporter)


def test_an_error_of_the_api_is_an_error_of_the_span(exporter):
    with pytest.raises(NotFound):
        traced(exporter).predictions.get("nowhere")
    (span,) = exporter.get_finished_spans()
    assert span.name == "GET /v1/predictions/{id}"
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "404")


def test_a_broken_connection_is_seen_by_its_kind_only(exporter):
    def cut(request):
        raise httpx.ReadError("the words a quiet wombat were on the wire")

    client = traced(exporter, transport=httpx.MockTransport(cut), base_url="http://gateway.test")
    with pytest.raises(UncertainCreate):
        client.predictions.create("v" * 4 + "/m:1", {"prompt": "a quiet wombat"})
    (span,) = exporter.get_finished_spans()
    assert span.attributes["error.type"] == "ConnectionLost"
    assert "wombat" not in span.to_json()


def test_each_attempt_has_a_span(exporter):
    answers = iter(
        [
            httpx.Response(503, headers={"Retry-After": "0"}),
            httpx.Response(200, json={"id": "p", "input": {}}),
        ]
    )
    client = traced(
        exporter, transport=httpx.MockTransport(lambda request: next(answers)), base_url="http://gateway.test"
    )
    asyncio.run(client.predictions.async_get("p"))
    assert [span.attributes["http.response.status_code"] for span in exporter.get_finished_spans()] == [
        503,
        200,
    ]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/predictions", "/v1/predictions"),
        ("/v1/predictions/abc/cancel", "/v1/predictions/{id}/cancel"),
        ("/v1/models/acme/shout", "/v1/models/{owner}/{name}"),
        ("/v1/models/acme/shout/predictions", "/v1/models/{owner}/{name}/predictions"),
        ("/v1/models/acme/shout/versions/abc/trainings", "/v1/models/{owner}/{name}/versions/{id}/trainings"),
        ("/gateway/v1/collections/best", "/v1/collections/{slug}"),
        ("/v1/webhooks/default/secret", "/v1/webhooks/default/secret"),
        ("/xezq/abc/out-0.png", "file"),
    ],
)
def test_names_and_ids_do_not_multiply_the_names_of_spans(path, route):
    assert _route(path) == route


def test_spans_are_made_once_somebody_keeps_them(exporter, monkeypatch):
    monkeypatch.setenv("REPLICATE_KIT_DISABLE_PLUGINS", "opentelemetry")  # which would trace as well
    client = Client("r8_secret", plugins=[OpenTelemetry()], backend="mock")
    with monkeypatch.context() as before:
        before.setattr("opentelemetry.trace.ProxyTracer.start_as_current_span", None)  # it would be called
        client.models.get("demo/painter")
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", provider)
    client.models.get("demo/painter")
    assert [span.name for span in exporter.get_finished_spans()] == ["GET /v1/models/{owner}/{name}"]
