"""Trainings: they end in a new version of a model."""

from __future__ import annotations

from typing import Any

from replicate_kit.simulator._api.exchange import Answer, Call, answer
from replicate_kit.simulator._api.operations.pages import page
from replicate_kit.simulator._api.operations.predictions import EVENTS, cancel_one, runnable, webhook_fields
from replicate_kit.simulator._api.routing import Operations
from replicate_kit.simulator._state.entities import Prediction
from replicate_kit.simulator._state.problems import invalid_input, refused

__all__ = ["operations"]

operations = Operations()

# Unlike a prediction's body, a training's may have more keys than these (OpenAPI: trainings.create).
_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["destination", "input"],
    "properties": {
        "destination": {"type": "string"},
        "input": {"type": "object"},
        "webhook": {"type": "string", "nullable": True},
        "webhook_events_filter": {
            "type": "array",
            "nullable": True,
            "items": {"type": "string", "enum": EVENTS},
        },
    },
}


@operations("trainings.create", "POST", "/models/{owner}/{name}/versions/{id}/trainings", creates=True)
async def create(call: Call) -> Answer:
    # Neither Prefer nor Cancel-After is read: this operation has none of them (OpenAPI: trainings.create).
    service, body = call.service, call.json(_REQUEST)
    with service.lock:
        model = service.store.model(call.params["owner"], call.params["name"], call.owners)
        version = runnable(model, call.params["id"], call.owners)
        if version.trainer is None:
            raise refused(422, "The specified version cannot be trained.", "Invalid version or not permitted")
        destination = service.store.named(body["destination"])
        if destination is None or destination.owner not in call.owners:
            # 404 where one would expect 422 (recorded traffic).
            raise refused(404, "The specified training destination does not exist")
        problems = version.trainer.check(body["input"])
        if problems:
            raise invalid_input(problems)
        service.credit.spend(model.price)
        training = Prediction(
            id=service.ids.prediction(),
            kind="training",
            model=model.full_name,
            version=version,
            version_id=version.id,
            input=dict(sorted(body["input"].items())),
            created=service.clock.stamp(),
            account=call.account,
            destination=destination.full_name,
            **webhook_fields(body),
        )
        service.admit(training)
        first = service.wire.created(training)
    service.launch(training, version)
    return answer(201, first, {"location": first["urls"]["get"]})


@operations("trainings.list", "GET", "/trainings")
async def list_all(call: Call) -> Answer:
    with call.service.lock:
        found = call.service.store.listed(call.account, "training")
        return answer(200, page(call, found, _created, lambda each: _written(call, each), size=100))


@operations("trainings.get", "GET", "/trainings/{id}")
async def get(call: Call) -> Answer:
    with call.service.lock:
        return answer(
            200, _written(call, call.service.store.prediction(call.params["id"], call.account, "training"))
        )


@operations("trainings.cancel", "POST", "/trainings/{id}/cancel")
async def cancel(call: Call) -> Answer:
    return answer(200, cancel_one(call, "training"))


def _written(call: Call, training: Prediction) -> dict[str, Any]:
    call.service.lifecycle.refresh(training)
    return call.service.wire.prediction(training)


def _created(training: Prediction) -> int:
    return training.created
