"""Which model a request is about, whatever it is addressed to."""

from __future__ import annotations

import json
from urllib.parse import unquote

from replicate_kit.simulator._api.exchange import Call

__all__ = ["model_of"]


def model_of(call: Call) -> str | None:
    """Give `owner/name`, or None if the request is about no model, or one that cannot be told."""
    path = unquote(call.request.url.path)
    with call.service.lock:
        if "/models/" in path:
            return f"{call.params.get('owner')}/{call.params.get('name')}"
        if "/deployments/" in path:
            deployment = call.service.store.deployments.get(
                f"{call.params.get('owner')}/{call.params.get('name')}"
            )
            return deployment.current.model if deployment else None
        id = call.params.get("id") or call.service.links.streamed(_token(call)) or ""
        if id in call.service.store.predictions:
            return call.service.store.predictions[id].model
        file = call.service.store.outputs.get("/".join(call.params.values()))
        made_by = call.service.store.predictions.get(file.prediction) if file else None
        return made_by.model if made_by else _named(call)


def _token(call: Call) -> str:
    return call.params.get("stream") or call.params.get("file_stream") or ""


def _named(call: Call) -> str | None:
    """The model that the body of a create names, directly or by a version's id."""
    try:
        reference = json.loads(call.body)["version"]
        name, _, id = str(reference).rpartition(":")
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    for model in call.service.store.models.values():
        if model.full_name in (name, reference) or any(version.id == id for version in model.versions):
            return model.full_name
    return None
