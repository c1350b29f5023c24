"""The parts of a Cog model's OpenAPI document that are the same for all models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["document"]

_STATUSES = ["starting", "processing", "succeeded", "canceled", "failed"]
_EVENTS = ["start", "output", "logs", "completed"]


def document(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Wrap a model's own `Input`, `Output` and enumerations in the document that Cog serves."""
    everything = {**schemas, **_common()}
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {
            "/": {"get": _operation("Root", "Start of the API", {})},
            "/health-check": {"get": _operation("Healthcheck", "Whether the model is ready", {})},
            "/predictions": {"post": _operation("Predict", "Run a prediction", _ref("PredictionResponse"))},
        },
        "components": {"schemas": dict(sorted(everything.items()))},
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _operation(name: str, summary: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Describe an endpoint that answers with JSON."""
    answer = {"description": "Successful Response", "content": {"application/json": {"schema": schema}}}
    return {
        "summary": name,
        "description": summary,
        "operationId": name.lower(),
        "responses": {"200": answer},
    }


def _enumeration(title: str, values: list[str]) -> dict[str, Any]:
    return {"title": title, "type": "string", "enum": values, "description": "An enumeration."}


def _common() -> dict[str, Any]:
    """The components that every model has."""
    time = {"type": "string", "format": "date-time"}
    shared = {
        "input": _ref("Input"),
        "id": {"title": "Id", "type": "string"},
        "created_at": {"title": "Created At", **time},
    }
    request = {
        "webhook": {"title": "Webhook", "type": "string", "format": "uri"},
        "webhook_events_filter": {"type": "array", "items": _ref("WebhookEvent")},
    }
    response = {
        "output": _ref("Output"),
        "version": {"title": "Version", "type": "string"},
        "started_at": {"title": "Started At", **time},
        "completed_at": {"title": "Completed At", **time},
        "logs": {"title": "Logs", "type": "string", "default": ""},
        "error": {"title": "Error", "type": "string"},
        "status": _ref("Status"),
        "metrics": {"title": "Metrics", "type": "object"},
    }
    return {
        "Status": _enumeration("Status", _STATUSES),
        "WebhookEvent": _enumeration("WebhookEvent", _EVENTS),
        "PredictionRequest": {
            "title": "PredictionRequest",
            "type": "object",
            "properties": {**shared, **request},
        },
        "PredictionResponse": {
            "title": "PredictionResponse",
            "type": "object",
            "properties": {**shared, **response},
        },
    }
