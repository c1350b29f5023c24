"""Collections, and search over everything that is public."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replicate_kit.simulator._api.exchange import JSON, Answer, Call, answer
from replicate_kit.simulator._api.operations.pages import page
from replicate_kit.simulator._api.routing import Operations
from replicate_kit.simulator._state.entities import Model
from replicate_kit.simulator._state.problems import HTTPProblem, not_found
from replicate_kit.simulator._state.search import ranked, ranked_collections, score

__all__ = ["operations"]

operations = Operations()

_PAGES = (
    ("Create a prediction", "/docs/topics/predictions/create-a-prediction"),
    ("Receive webhooks", "/docs/topics/webhooks/receive-webhook"),
    ("Push your own model", "/docs/guides/push-a-model"),
    ("Rate limits", "/docs/topics/predictions/rate-limits"),
)


@operations("collections.list", "GET", "/collections")
async def list_collections(call: Call) -> Answer:
    with call.service.lock:
        found = sorted(call.service.store.collections.values(), key=_created)
        return answer(200, page(call, found, _created, _brief))


@operations("collections.get", "GET", "/collections/{slug}")
async def get_collection(call: Call) -> Answer:
    with call.service.lock:
        found = call.service.store.collections.get(call.params["slug"])
        if found is None:
            raise not_found()
        models = [call.service.wire.model(each) for each in _members(call, found)]
        return answer(200, {**_brief(found), "full_description": found["full_description"], "models": models})


# The only operation that needs no token (OpenAPI: search, security).
@operations("search", "GET", "/search", public=True)
async def search(call: Call) -> Answer:
    query, limit = call.query.get("query"), call.query.get("limit", "20")
    if not query:
        raise _unreadable('Query parameter "query" is required')
    if not (limit.isascii() and limit.isdigit() and len(limit) < 3 and 1 <= int(limit) <= 50):
        raise _unreadable('Query parameter "limit" must be from 1 to 50')
    with call.service.lock:
        public = [each for each in call.service.store.models.values() if each.visibility == "public"]
        models = ranked(query, public)[: int(limit)]
        collections = ranked_collections(query, call.service.store.collections.values())
        body = {
            "query": query,
            "models": [_found(call, query, each) for each in models],
            "collections": [{**_brief(each), "models": each["models"]} for each in collections[: int(limit)]],
            "pages": [{"name": name, "href": href} for name, href in _PAGES if score(query, name)],
        }
    return answer(200, body)


def _unreadable(detail: str) -> HTTPProblem:
    """400; this operation alone calls its problems plain JSON."""
    return HTTPProblem(400, {"detail": detail}, {"content-type": JSON})


def _found(call: Call, query: str, model: Model) -> dict[str, Any]:
    """A model that fits, and how well."""
    metadata: dict[str, Any] = {
        "generated_description": model.description,
        "score": float(score(query, model.full_name, model.description, model.readme)),
        "tags": [],
    }
    return {"model": call.service.wire.model(model), "metadata": metadata}


def _members(call: Call, collection: Mapping[str, Any]) -> list[Model]:
    """The models of a collection that still exist."""
    models = call.service.store.models
    return [models[name] for name in collection["models"] if name in models]


def _brief(collection: Mapping[str, Any]) -> dict[str, Any]:
    return {key: collection[key] for key in ("name", "slug", "description")}


def _created(collection: Mapping[str, Any]) -> int:
    return int(collection["created"])
