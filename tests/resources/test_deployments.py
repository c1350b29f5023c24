"""Deployments: made, changed, run and deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from replicate_kit import Client, Reference
from replicate_kit.errors import APIError, InputError, InvalidReference, NotFound
from replicate_kit.resources.accounts import Account
from replicate_kit.resources.hardware import Hardware
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]


@pytest.fixture
def create(client: Client) -> Callable[..., Any]:
    """Makes a deployment of the demo poet."""
    model = client.models.get("demo/poet")
    machines = {"hardware": Hardware({"sku": "cpu"}), "min_instances": 0, "max_instances": 1}
    return lambda **changes: client.deployments.async_create(
        "poets", model=model, version=model.latest_version, **{**machines, **changes}
    )


def test_a_deployment_is_made_changed_run_and_deleted(client: Client, create: Any, drive: Drive) -> None:
    made = drive(create())
    assert repr(made) == "<Deployment: local/poets>"
    assert made.reference == Reference("local", "poets", deployment=True)
    changed = drive(client.deployments.async_update("local/poets", max_instances=3))
    release = changed.current_release
    assert (release.number, release.configuration["max_instances"]) == (2, 3)
    assert isinstance(release.created_by, Account)
    assert release.created_at.tzinfo is not None
    assert drive(client.deployments.async_get("deployments/local/poets")) == changed
    assert [each.name for each in drive(client.deployments.async_list())] == ["poets"]
    assert [each.name for each in client.deployments.list_all()] == ["poets"]
    drive(client.deployments.async_delete("local/poets"))
    with pytest.raises(NotFound):
        drive(client.deployments.async_get("local/poets"))


def test_a_deployment_is_run_by_object_and_by_its_predictions(
    client: Client, create: Any, drive: Drive
) -> None:
    deployment = drive(create())
    prediction = drive(deployment.predictions.async_create({"prompt": "sea"}))
    assert prediction["deployment"] == prediction.deployment == "local/poets"
    drive(prediction.async_wait())
    assert "".join(prediction.output) == "".join(
        drive_all(drive, drive(client.async_run(deployment, {"prompt": "sea"})))
    )
    with pytest.raises(APIError, match="unused for 15 minutes"):
        drive(client.deployments.async_delete("local/poets"))


def drive_all(drive: Drive, chunks: Any) -> list[str]:
    async def collect() -> list[str]:
        return [chunk async for chunk in chunks]

    return drive(collect())  # type: ignore[no-any-return]


def test_only_what_changes_is_sent(connect: Connect, drive: Drive) -> None:
    client, requests = connect({"owner": "acme", "name": "d"})
    drive(client.deployments.async_update("acme/d", min_instances=0))
    assert (requests[0].method, requests[0].url.path) == ("PATCH", "/v1/deployments/acme/d")
    assert json.loads(requests[0].content) == {"min_instances": 0}


def test_bad_numbers_of_machines_are_refused(create: Any, drive: Drive) -> None:
    with pytest.raises(InputError, match=r"max_instances=21 .* from 0 to 20"):
        drive(create(max_instances=21))


@pytest.mark.parametrize("name", ["poets", "a/b/c", ""])
def test_what_names_no_deployment_is_refused(client: Client, name: str) -> None:
    with pytest.raises(InvalidReference, match=rf"'{name}' does not name a deployment\. Use 'owner/name'"):
        client.deployments.get(name)
