"""Models, their versions, examples and texts."""

from __future__ import annotations

import json
from typing import Any

from replicate_kit.schema import Problem
from replicate_kit.simulator._api.exchange import Answer, Call, answer
from replicate_kit.simulator._api.operations.pages import page
from replicate_kit.simulator._api.routing import Operations
from replicate_kit.simulator._state.entities import Model, Prediction, Version
from replicate_kit.simulator._state.problems import invalid_input, not_found, refused
from replicate_kit.simulator._state.search import ranked

__all__ = ["check_hardware", "operations"]

operations = Operations()

_LINKS = ("github_url", "license_url", "paper_url", "cover_image_url", "weights_url")
_TEXT = {"type": "string"}
# An address that everybody's parser takes; "" takes one away.
_URL = r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/([A-Za-z0-9_.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
_ADDRESS = {"type": "string", "pattern": rf"\A({_URL})?\Z"}
# The description asks for any text; clients' own tests send the name of a license, and of a picture.
_NAMED = {"type": "string", "pattern": rf"\A({_URL}|[A-Za-z0-9._-]+)?\Z"}
_MAY_BE_NAMED = ("license_url", "cover_image_url")
_NAME = {"type": "string", "pattern": r"^[a-z0-9][a-z0-9._-]*$"}
_CREATE: dict[str, Any] = {
    "type": "object",
    "required": ["owner", "name", "visibility", "hardware"],
    "properties": {
        **dict.fromkeys(("owner", "name"), _NAME),
        **dict.fromkeys(("description", "hardware"), _TEXT),
        **dict.fromkeys(_LINKS, _ADDRESS),
        **dict.fromkeys(_MAY_BE_NAMED, _NAMED),
        "visibility": {"type": "string", "enum": ["public", "private"]},
    },
}
_UPDATE: dict[str, Any] = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("description", "readme"), _TEXT),
        **dict.fromkeys(_LINKS, _ADDRESS),
        **dict.fromkeys(_MAY_BE_NAMED, _NAMED),
    },
}
# The API's limit for one account (OpenAPI: models.create).
MOST_MODELS = 1000


@operations("models.list", "GET", "/models")
async def list_all(call: Call) -> Answer:
    by = call.choice("sort_by", ("latest_version_created_at", "model_created_at"))
    # Cursors are times, and pages begin with the newest: mirrored times turn the order round.
    sign = 1 if call.choice("sort_direction", ("desc", "asc")) == "desc" else -1
    with call.service.lock:
        # The list has public models only, so that an owner does not see private ones either (OpenAPI: models.list).
        seen = [each for each in call.service.store.visible(call.owners) if each.visibility == "public"]

        def time(model: Model) -> int:
            latest = model.latest
            return sign * (latest.created if latest and by != "model_created_at" else model.created)

        return answer(200, page(call, sorted(seen, key=time), time, call.service.wire.model))


# QUERY is a method of its own, and its body is the text to search for (OpenAPI: models.search).
@operations("models.search", "QUERY", "/models")
async def search(call: Call) -> Answer:
    with call.service.lock:
        found = ranked(_query(call.body), call.service.store.visible(call.owners))
        return answer(200, page(call, found[::-1], _by_position(found), call.service.wire.model))


@operations("models.create", "POST", "/models")
async def create(call: Call) -> Answer:
    body = call.json(_CREATE)
    store = call.service.store
    check_hardware(call, body["hardware"])
    if body["owner"] not in call.owners:
        raise refused(
            422, f"You do not have permission to create models for {body['owner']}.", "Permission denied"
        )
    with call.service.lock:
        if f"{body['owner']}/{body['name']}" in store.models:
            raise refused(422, "A model with that name and owner already exists", "Conflict")
        if sum(each.owner == body["owner"] for each in store.models.values()) >= MOST_MODELS:
            raise refused(422, f"You cannot have more than {MOST_MODELS} models.", "Too many models")
        model = call.service.new_model(body["owner"], body["name"])
        model.visibility, model.hardware = body["visibility"], body["hardware"]
        _update(model, body)
        return answer(201, call.service.wire.model(model))


@operations("models.get", "GET", "/models/{owner}/{name}")
async def get(call: Call) -> Answer:
    with call.service.lock:
        return answer(200, call.service.wire.model(_model(call)))


@operations("models.update", "PATCH", "/models/{owner}/{name}")
async def update(call: Call) -> Answer:
    body = call.json(_UPDATE)
    with call.service.lock:
        model = _own(call)
        _update(model, body)
        return answer(200, call.service.wire.model(model))


@operations("models.delete", "DELETE", "/models/{owner}/{name}")
async def delete(call: Call) -> Answer:
    with call.service.lock:
        model = _own(call)
        # The conditions are the API's: own, private and without versions (OpenAPI: models.delete).
        if model.visibility != "private":
            raise refused(422, "You can only delete private models.", "Permission denied")
        if model.versions:
            raise refused(
                422, "You can only delete models without versions. Delete them first.", "Permission denied"
            )
        del call.service.store.models[model.full_name]
    return Answer(204)


@operations("models.examples.list", "GET", "/models/{owner}/{name}/examples")
async def list_examples(call: Call) -> Answer:
    with call.service.lock:
        examples = sorted(_model(call).examples, key=_created)
        return answer(200, page(call, examples, _created, call.service.wire.prediction))


@operations("models.readme.get", "GET", "/models/{owner}/{name}/readme")
async def get_readme(call: Call) -> Answer:
    with call.service.lock:
        readme = _model(call).readme
    if readme is None:
        raise not_found()
    return Answer(
        200, content=readme.encode("utf-8", "replace"), headers={"content-type": "text/plain; charset=utf-8"}
    )


@operations("models.versions.list", "GET", "/models/{owner}/{name}/versions")
async def list_versions(call: Call) -> Answer:
    with call.service.lock:
        versions = sorted(_model(call).versions, key=_created)
        return answer(200, page(call, versions, _created, call.service.wire.version))


@operations("models.versions.get", "GET", "/models/{owner}/{name}/versions/{id}")
async def get_version(call: Call) -> Answer:
    with call.service.lock:
        return answer(200, call.service.wire.version(_version(call, _model(call))))


@operations("models.versions.delete", "DELETE", "/models/{owner}/{name}/versions/{id}")
async def delete_version(call: Call) -> Answer:
    with call.service.lock:
        model = _own(call)
        version = _version(call, model)
        if model.visibility != "private":
            raise refused(422, "You can only delete versions of private models.", "Permission denied")
        # The API also refuses if others have run the version, or if a training or another version needs it
        # (OpenAPI: models.versions.delete). Here only deployments are looked at.
        if any(each.current.version == version.id for each in call.service.store.deployments.values()):
            raise refused(
                422, "The version is used by a deployment. Change or delete that first.", "Conflict"
            )
        model.versions.remove(version)
    # 202 and not 204: the API may take minutes to delete a version (OpenAPI: models.versions.delete).
    return Answer(202)


def _model(call: Call) -> Model:
    return call.service.store.model(call.params["owner"], call.params["name"], call.owners)


def _own(call: Call) -> Model:
    """Find a model that the account may change."""
    model = _model(call)
    if model.owner not in call.owners:
        raise refused(422, "You do not have permission to change this model.", "Permission denied")
    return model


def _version(call: Call, model: Model) -> Version:
    for version in model.versions:
        if version.id == call.params["id"]:
            return version
    raise not_found()


def _created(item: Version | Prediction) -> int:
    return item.created


def _update(model: Model, body: dict[str, Any]) -> None:
    model.description = body.get("description", model.description)
    model.readme = body.get("readme", model.readme)
    model.links.update({key: body[key] or None for key in _LINKS if key in body})


def check_hardware(call: Call, sku: str) -> None:
    """Refuse hardware that there is not."""
    known = call.service.store.hardware
    if sku not in known:
        allowed = ", ".join(json.dumps(each) for each in known)
        raise invalid_input(
            [Problem("enum", "hardware", f"hardware must be one of the following: {allowed}")]
        )


def _query(body: bytes) -> str:
    """Read what to search for: text, or the same text quoted as JSON, as some clients send it."""
    # Python's client 1.0.7 sends the bare text; JavaScript's 1.4 and Python's 2.0 beta send it quoted.
    text = body.decode("utf-8", "replace").strip()
    try:
        quoted = json.loads(text) if text.startswith('"') else text
    except ValueError:
        return text
    return quoted if isinstance(quoted, str) else text


def _by_position(found: list[Model]) -> Any:
    """The order of a ranking as times, which cursors are made of."""
    ranks = {id(model): len(found) - position for position, model in enumerate(found)}
    return lambda model: ranks[id(model)]
