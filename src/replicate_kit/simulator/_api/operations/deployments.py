"""Deployments and their releases."""

from __future__ import annotations

from typing import Any

from replicate_kit.simulator._api.exchange import Answer, Call, answer
from replicate_kit.simulator._api.operations.models import check_hardware
from replicate_kit.simulator._api.operations.pages import page
from replicate_kit.simulator._api.operations.predictions import runnable
from replicate_kit.simulator._api.routing import Operations
from replicate_kit.simulator._state.entities import Deployment, Release
from replicate_kit.simulator._state.problems import not_found, refused

__all__ = ["operations"]

operations = Operations()

# The bounds and what a create requires are the API's (OpenAPI: deployments.create).
_CONFIGURATION: dict[str, Any] = {
    "hardware": {"type": "string"},
    "min_instances": {"type": "integer", "minimum": 0, "maximum": 5},
    "max_instances": {"type": "integer", "minimum": 0, "maximum": 20},
}
_UPDATE: dict[str, Any] = {
    "type": "object",
    "properties": {**_CONFIGURATION, "version": {"type": "string"}},
}
_CREATE: dict[str, Any] = {
    "type": "object",
    "required": ["name", "model", "version", "hardware", "min_instances", "max_instances"],
    "properties": {
        **_UPDATE["properties"],
        "name": {"type": "string", "pattern": r"^[a-z0-9][a-z0-9._-]*$"},
        "model": {"type": "string"},
    },
}
QUIET = 15 * 60 * 1_000_000  # a deployment has to have been unused for so long before it can be deleted


@operations("deployments.list", "GET", "/deployments")
async def list_all(call: Call) -> Answer:
    with call.service.lock:
        # Those of the account, and not of its organizations (OpenAPI: deployments.list).
        own = [each for each in call.service.store.deployments.values() if each.owner == call.account]
        return answer(200, page(call, own, _created, lambda each: _write(call, each)))


# The API answers this create with 200, not with 201.
@operations("deployments.create", "POST", "/deployments")
async def create(call: Call) -> Answer:
    body = call.json(_CREATE)
    check_hardware(call, body["hardware"])
    full_name, deployments = f"{call.account}/{body['name']}", call.service.store.deployments
    with call.service.lock:
        if full_name in deployments:
            raise refused(422, "A deployment with that name already exists", "Conflict")
        deployment = Deployment(call.account, body["name"], call.service.clock.stamp())
        # Before the deployment is kept: this may refuse the version, and must not leave one without a release.
        _release(call, deployment, body["model"], body, dict.fromkeys(_CONFIGURATION))
        deployments[full_name] = deployment
        return answer(200, _write(call, deployment))


@operations("deployments.get", "GET", "/deployments/{owner}/{name}")
async def get(call: Call) -> Answer:
    with call.service.lock:
        return answer(200, _write(call, _find(call)))


@operations("deployments.update", "PATCH", "/deployments/{owner}/{name}")
async def update(call: Call) -> Answer:
    body = call.json(_UPDATE)
    if "hardware" in body:
        check_hardware(call, body["hardware"])
    with call.service.lock:
        deployment = _find(call)
        current = deployment.current
        # Every update makes a release, whatever it changes (OpenAPI: deployments.update).
        _release(call, deployment, current.model, {"version": current.version, **body}, current.configuration)
        return answer(200, _write(call, deployment))


@operations("deployments.delete", "DELETE", "/deployments/{owner}/{name}")
async def delete(call: Call) -> Answer:
    with call.service.lock:
        deployment = _find(call)
        # The API also wants the deployment offline (OpenAPI: deployments.delete). Instances are mere numbers here: none
        # is ever online.
        if deployment.last_used and call.service.clock.stamp() - deployment.last_used < QUIET:
            raise refused(
                422, "You can only delete deployments that have been offline and unused for 15 minutes."
            )
        del call.service.store.deployments[f"{deployment.owner}/{deployment.name}"]
    return Answer(204)


def _find(call: Call) -> Deployment:
    found = call.service.store.deployments.get(f"{call.params['owner']}/{call.params['name']}")
    if found is None or found.owner not in call.owners:
        raise not_found()
    return found


def _release(
    call: Call, deployment: Deployment, model: str, body: dict[str, Any], before: dict[str, Any]
) -> None:
    """Add a release: what `body` says, and what was so before."""
    version = runnable(call.service.store.named(model), body["version"], call.owners)
    configuration = {key: body.get(key, before[key]) for key in _CONFIGURATION}
    if configuration["min_instances"] > configuration["max_instances"]:
        raise refused(422, "min_instances must not be greater than max_instances", "Invalid configuration")
    number = len(deployment.releases) + 1
    deployment.releases.append(
        Release(number, version.model.full_name, version.id, call.service.clock.stamp(), configuration)
    )


def _write(call: Call, deployment: Deployment) -> dict[str, Any]:
    return call.service.wire.deployment(deployment, call.service.accounts.describe(deployment.owner))


def _created(deployment: Deployment) -> int:
    return deployment.created
