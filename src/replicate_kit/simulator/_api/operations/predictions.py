"""Create, read, list and cancel predictions."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from replicate_kit.errors import InvalidURL
from replicate_kit.schema import Problem
from replicate_kit.simulator._api.exchange import Answer, Call, answer
from replicate_kit.simulator._api.operations.pages import page
from replicate_kit.simulator._api.routing import Operations
from replicate_kit.simulator._state.entities import Model, Prediction, Version
from replicate_kit.simulator._state.problems import invalid_input, invalid_version, not_found, refused
from replicate_kit.transport import URL

__all__ = ["create", "operations", "runnable", "webhook_fields"]

operations = Operations()

EVENTS = ["start", "output", "logs", "completed"]
_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["input"],
    "properties": {
        "input": {"type": "object"},
        # Deprecated and without effect: a model that streams has a stream URL anyway (OpenAPI: predictions.create).
        "stream": {"type": "boolean", "nullable": True},
        "webhook": {"type": "string", "nullable": True},
        "webhook_events_filter": {
            "type": "array",
            "nullable": True,
            "items": {"type": "string", "enum": EVENTS},
        },
    },
    # A key that a client leaks into the body fails the request (OpenAPI: predictions.create).
    "additionalProperties": False,
}
_VERSION_REQUEST: dict[str, Any] = {
    **_REQUEST,
    "required": ["version", "input"],
    "properties": {**_REQUEST["properties"], "version": {"type": "string"}},
}


@operations("predictions.create", "POST", "/predictions", creates=True)
async def create_by_version(call: Call) -> Answer:
    body = call.json(_VERSION_REQUEST)
    # The lock is for the look-up alone: `create` may wait for a minute, and others would wait with it.
    with call.service.lock:
        version = _find_version(call, body["version"])
    return await create(call, version, body)


@operations("models.predictions.create", "POST", "/models/{owner}/{name}/predictions", creates=True)
async def create_by_model(call: Call) -> Answer:
    with call.service.lock:
        model = call.service.store.model(call.params["owner"], call.params["name"], call.owners)
        if not model.official or model.latest is None:
            raise not_found()  # only official models can be run without a version
    return await create(call, model.latest, call.json(_REQUEST))


@operations("deployments.predictions.create", "POST", "/deployments/{owner}/{name}/predictions", creates=True)
async def create_by_deployment(call: Call) -> Answer:
    store, full_name = call.service.store, f"{call.params['owner']}/{call.params['name']}"
    with call.service.lock:
        deployment = store.deployments.get(full_name)
        if deployment is None or deployment.owner not in call.owners:
            raise not_found()
        release = deployment.current
        if not release.configuration["max_instances"]:
            raise refused(
                422, "The deployment is disabled: it has no instances. Raise max_instances to run it."
            )
        deployment.last_used = call.service.clock.stamp()
        version = runnable(store.models.get(release.model), release.version, call.owners)
    return await create(call, version, call.json(_REQUEST), deployment=full_name)


@operations("predictions.get", "GET", "/predictions/{id}")
async def get(call: Call) -> Answer:
    return answer(200, _read(call, call.params["id"]))


@operations("predictions.cancel", "POST", "/predictions/{id}/cancel")
async def cancel(call: Call) -> Answer:
    return answer(200, cancel_one(call, None))


@operations("predictions.list", "GET", "/predictions")
async def list_all(call: Call) -> Answer:
    after, before = call.time("created_after"), call.time("created_before")
    source = call.query.get("source")
    # The API knows no other value (OpenAPI: predictions.list).
    if source not in (None, "web"):
        raise invalid_input([Problem("enum", "source", 'source must be one of the following: "web"')])
    with call.service.lock:
        found = call.service.store.listed(call.account, "prediction")
        if source is not None:
            found = [each for each in found if each.source == source]
        # What was created at that very moment counts as after it.
        bounds = (after or 0, before if before is not None else 2**63)
        return answer(200, page(call, found, _created, _written(call), size=100, bounds=bounds))


def cancel_one(call: Call, kind: str | None) -> dict[str, Any]:
    """Cancel a prediction or training; one that has ended stays as it is."""
    service = call.service
    with service.lock:
        prediction = service.store.prediction(call.params["id"], call.account, kind)
        # A deadline comes first: what has passed it before its start is aborted and not canceled.
        service.lifecycle.refresh(prediction)
    if service.lifecycle.cancel(prediction):
        with service.lock:
            return service.wire.canceled(prediction)
    with service.lock:
        return service.wire.prediction(prediction)


def _read(call: Call, id: str) -> dict[str, Any]:
    with call.service.lock:
        # Trainings can be read here, too: they are created with links below /predictions (recorded traffic).
        prediction = call.service.store.prediction(id, call.account)
        call.service.lifecycle.refresh(prediction)
        return call.service.wire.prediction(prediction)


def _written(call: Call) -> Any:
    """What writes a prediction of a list."""

    def write(prediction: Prediction) -> dict[str, Any]:
        call.service.lifecycle.refresh(prediction)
        return call.service.wire.prediction(prediction)

    return write


def _created(prediction: Prediction) -> int:
    return prediction.created


def _find_version(call: Call, reference: str) -> Version:
    """Read `owner/name`, `owner/name:id` or an id; what cannot be run is answered with 422."""
    store = call.service.store
    name, _, id = reference.rpartition(":")
    if re.fullmatch(r"[^/:]+/[^/:]+", reference):
        model = store.models.get(reference)
        if model is None or not model.official or model.latest is None:
            raise invalid_version()
        return runnable(model, model.latest.id, call.owners)
    known = [each for each in store.models.values() if any(version.id == id for version in each.versions)]
    fitting = [each for each in known if name in ("", each.full_name)]
    return runnable(fitting[0] if fitting else None, id, call.owners)


def runnable(model: Model | None, id: str, owners: Collection[str]) -> Version:
    """Find a version of a model by its id, or answer 422."""
    seen = model is not None and (model.visibility == "public" or model.owner in owners)
    for version in model.versions if model is not None and seen else ():
        if version.id == id:
            return version
    raise invalid_version()


def webhook_fields(body: dict[str, Any]) -> dict[str, Any]:
    """What a body says of webhooks."""
    webhook = body.get("webhook")
    if webhook is not None and not _is_web_address(webhook):
        raise invalid_input([Problem("format", "webhook", "Does not match format 'uri'")])
    return {"webhook": webhook, "events_filter": body.get("webhook_events_filter")}


def _is_web_address(text: str) -> bool:
    """Whether a request could be sent there."""
    try:
        url = URL(text)
    except InvalidURL:
        return False
    # The API wants HTTPS (OpenAPI: predictions.create, webhook). Receivers in tests mostly speak HTTP.
    return url.scheme in ("http", "https")


async def create(
    call: Call, version: Version, body: dict[str, Any], *, deployment: str | None = None
) -> Answer:
    """Create a prediction, hold the answer if that was asked for, and answer."""
    service, wait = call.service, call.wait()
    problems = version.function.check(body["input"])
    if problems:
        raise invalid_input(problems)
    with service.lock:
        # `_new` may refuse headers or the webhook, so it comes before the money is spent. Nothing is admitted that
        # cannot be paid for.
        prediction = _new(call, version, body, deployment)
        service.credit.spend(version.model.price)
        service.admit(prediction)
        version.model.run_count += 1
    # Written before the launch: a quick model could be done before a later line reads the prediction.
    first = None if wait else service.wire.created(prediction)
    service.launch(prediction, version)
    # Only the documentation mentions this header (replicate.com/docs); the description does not.
    headers = {"location": service.links.operation("predictions", prediction.id)}
    if wait is None:
        return answer(201, first, headers)
    await call.hold(service.lifecycle.ended(prediction), wait[1])
    return _after_wait(call, prediction, {**headers, "preference-applied": wait[0]})


def _new(call: Call, version: Version, body: dict[str, Any], deployment: str | None) -> Prediction:
    """Make a prediction; its input comes back sorted by name."""
    service, created, limit = call.service, call.service.clock.stamp(), call.cancel_after()
    return Prediction(
        id=service.ids.prediction(),
        model=version.model.full_name,
        version=version,
        # Official models do not tell their version (OpenAPI: predictions.get, version).
        version_id="hidden" if version.model.official else version.id,
        input=dict(sorted(body["input"].items())),
        created=created,
        account=call.account,
        # Counted from the creation, so the time in the queue is part of it (OpenAPI: header Cancel-After).
        deadline=None if limit is None else created + limit * 1_000_000,
        deployment=deployment,
        **webhook_fields(body),
    )


def _after_wait(call: Call, prediction: Prediction, headers: dict[str, str]) -> Answer:
    """Answer a create that was held until its end, or for as long as was asked."""
    service = call.service
    with service.lock:
        if prediction.status == "succeeded" and service.settings.wait_style == "recorded":
            # Recorded answers say "processing" beside the output, so clients take all but "starting" for done.
            return answer(201, service.wire.after_wait(prediction), headers)
        # 202 is only in the description (OpenAPI: predictions.create); all recorded answers have 201.
        return answer(201 if prediction.done else 202, service.wire.created(prediction), headers)
