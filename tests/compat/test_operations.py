"""Every operation of 1.x, in all the forms that it takes, and asynchronously as well."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit.compat.replicate import Client, async_paginate, paginate
from replicate_kit.compat.replicate.exceptions import ReplicateError
from replicate_kit.compat.replicate.identifier import ModelVersionIdentifier
from replicate_kit.compat.replicate.prediction import Prediction
from replicate_kit.compat.replicate.version import Versions
from replicate_kit.compat.replicate.webhook import (
    InvalidSecretKeyError,
    InvalidSignatureError,
    InvalidTimestampError,
    MissingWebhookBodyError,
    MissingWebhookHeaderError,
    Webhooks,
    WebhookSigningSecret,
)
from replicate_kit.simulator import Simulator

from .conftest import Answering

NAMESPACES = [
    "accounts",
    "collections",
    "deployments",
    "files",
    "hardware",
    "models",
    "predictions",
    "trainings",
    "webhooks",
]


@pytest.mark.parametrize("name", NAMESPACES)
def test_each_asynchronous_operation_has_its_twin(client: Client, name: str) -> None:
    namespace = getattr(client, name)
    operations = [each for each in dir(namespace) if each.startswith("async_")]
    assert operations or name == "webhooks"
    assert not [each for each in operations if not callable(getattr(namespace, each.removeprefix("async_")))]


def test_predictions_are_created_in_all_forms(client: Client, simulator: Simulator) -> None:
    given, version = {"text": "x"}, simulator.version("acme/shout")
    model, deployment = client.models.get("acme/shout"), client.deployments.get("local/shouting")
    made = [
        client.predictions.create(version, given),
        client.predictions.create(version, input=given),
        client.predictions.create(version=model.latest_version, input=given),
        client.predictions.create(model="acme/shout", input=given),
        client.predictions.create(model=("acme", "shout"), input=given),
        client.predictions.create(model=model, input=given),
        client.predictions.create(deployment="local/shouting", input=given),
        client.models.predictions.create(model, given),
        client.deployments.predictions.create(("local", "shouting"), given),
        deployment.predictions.create(given, wait=5),
    ]
    for prediction in made:
        prediction.wait()
    assert [each.output for each in made] == ["X"] * 10


@pytest.mark.parametrize(
    "wrong",
    [{}, {"model": "a/b", "version": "c"}, {"model": "a/b:c"}, {"model": 42}, {"deployment": "nonsense"}],
)
def test_predictions_of_nothing_certain_are_refused(client: Client, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Exactly one|Expected model|must be a|not enough values"):
        client.predictions.create(input={}, **wrong)


def test_predictions_are_fetched_listed_and_canceled(client: Client) -> None:
    made = client.predictions.create(model="acme/shout", input={"text": "x", "seconds": 30})
    assert client.predictions.get(made.id).id == client.predictions.list()[0].id == made.id
    assert client.predictions.cancel(made.id).status == "canceled"
    made.reload()
    assert made.status == "canceled"
    assert isinstance(made, Prediction)


def test_none_is_not_a_cursor(client: Client) -> None:
    with pytest.raises(ValueError, match="cursor cannot be None"):
        client.predictions.list(None)


def test_ids_are_escaped(answering: Answering) -> None:
    client, asked = answering(httpx.Response(404, json={}))
    with pytest.raises(ReplicateError):
        client.predictions.get("../account")
    assert asked[0].url.raw_path == b"/v1/predictions/..%2Faccount"


def test_pages_are_walked(answering: Answering) -> None:
    first = {"results": [{"id": "1"}], "next": "https://api.replicate.com/v1/predictions?cursor=2"}
    client, _ = answering(first, {"results": [{"id": "2"}], "next": None})
    assert [each.id for page in paginate(client.predictions.list) for each in page] == ["1", "2"]

    async def main() -> list[str]:
        pages = async_paginate(client.predictions.async_list)
        return [each.id async for page in pages for each in page]

    client, _ = answering(first, {"results": [{"id": "2"}], "next": None})
    assert asyncio.run(main()) == ["1", "2"]


def test_models(client: Client) -> None:
    made = client.models.create("local", "mine", visibility="private", hardware="cpu", description="d")
    assert (made.id, made.description) == ("local/mine", "d")
    assert client.models.get("local", "mine") == client.models.get(owner="local", name="mine") == made
    assert client.models.get(key="local/mine").versions.list().results == []
    assert "acme/shout" in [each.id for each in client.models.list()]
    assert [each.id for each in client.models.search("painter")] == ["demo/painter"]
    assert client.models.delete("local/mine") is True


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ((), {}),
        (("a",), {"name": "b"}),
        (("a", "b", "c"), {}),
        ((), {"key": "a/b", "owner": "a"}),
        ((), {"owner": "a"}),
    ],
)
def test_models_are_named_in_one_way(client: Client, args: tuple[str, ...], named: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"owner|arguments"):
        client.models.get(*args, **named)


def test_versions(client: Client, simulator: Simulator) -> None:
    id = simulator.version("acme/shout")
    versions = Versions(client, "acme/shout")
    assert versions.get(id) == versions.list()[0]
    assert asyncio.run(versions.get(id).async_predict(text="x")) == "X"
    with pytest.raises(ReplicateError):
        versions.delete(id)


def test_collections(client: Client) -> None:
    assert "loud" in [each.slug for each in client.collections.list()]
    assert client.collections.get("loud")[0].id == "acme/shout"


def test_deployments(client: Client, simulator: Simulator) -> None:
    settings = {"version": simulator.version("acme/shout"), "hardware": "cpu", "min_instances": 0}
    made = client.deployments.create(name="local/other", model="acme/shout", max_instances=1, **settings)
    assert (made.id, made.current_release.configuration.max_instances) == ("local/other", 1)
    changed = client.deployments.update("local", "other", max_instances=2)
    assert (changed.current_release.number, changed.current_release.created_by.username) == (2, "local")
    assert "local/other" in [each.id for each in client.deployments.list()]
    with pytest.deprecated_call():
        assert made.username == "local"
    assert client.deployments.delete("local", "other") is True


def test_files(client: Client, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    by_path = client.files.create(str(tmp_path / "a.txt"))
    assert (by_path.name, by_path.size, by_path.content_type) == ("a.txt", 5, "text/plain")
    by_handle = client.files.create(io.BytesIO(b"x"), filename="b.bin", metadata={"a": 1})
    assert (by_handle.name, by_handle.metadata) == ("b.bin", {"a": 1})
    assert by_path in client.files.list()
    assert client.files.get(by_path.id) == by_path
    assert client.files.delete(by_path.id) is True
    with pytest.raises(FileNotFoundError):
        client.files.create(tmp_path / "missing")
    with pytest.raises(ValueError, match="Unsupported file type"):
        client.files.create(42)  # type: ignore[arg-type]


def test_hardware_and_accounts(client: Client) -> None:
    assert "cpu" in [each.sku for each in client.hardware.list()]
    assert client.accounts.current().username == "local"


def test_trainings_are_created_in_all_forms(client: Client, simulator: Simulator) -> None:
    client.models.create("local", "trained", visibility="private", hardware="cpu")
    id, given = simulator.version("demo/painter"), {"prompt": "x", "steps": 1}
    version = client.models.get("demo/painter").latest_version
    made = [
        client.trainings.create(f"demo/painter:{id}", given, "local/trained"),
        client.trainings.create(version=f"demo/painter:{id}", input=given, destination="local/trained"),
        client.trainings.create(
            model="demo/painter", version=version, input=given, destination=("local", "trained")
        ),
        asyncio.run(client.trainings.async_create(f"demo/painter:{id}", given, "local/trained")),
    ]
    for training in made:
        training.wait()
    assert {(each.status, each.destination) for each in made} == {("succeeded", "local/trained")}
    assert client.trainings.get(made[0].id).destination == "local/trained"
    assert made[0].id in [each.id for each in client.trainings.list()]
    assert client.trainings.cancel(made[0].id).status == "succeeded"


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "a/b", "destination": "c/d"},
        {"version": "abc", "destination": "c/d"},
        {"version": "a/b:c"},
    ],
)
def test_trainings_of_nothing_certain_are_refused(client: Client, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be specified|Expected format|A destination must be provided"):
        client.trainings.create(input={}, **wrong)


def test_references_are_read_as_1_x_reads_them() -> None:
    assert ModelVersionIdentifier.parse("a/b:c") == ("a", "b", "c")
    assert ModelVersionIdentifier.parse("a/b").version is None
    with pytest.raises(ValueError, match="Invalid reference to model version: deployments/a/b"):
        ModelVersionIdentifier.parse("deployments/a/b")


HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "Webhook-Timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
BODY = '{"test": 2432232314}'
KEY = WebhookSigningSecret(key="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


def test_a_webhook_that_is_true(client: Client) -> None:
    assert client.webhooks.default.secret().key.startswith("whsec_")
    request = httpx.Request("POST", "https://x.example", headers=HEADERS, content=BODY)
    Webhooks.validate(request, secret=KEY)
    client.webhooks.validate(headers=HEADERS, body=BODY, secret=KEY)
    client.webhooks.validate(headers=HEADERS, body=BODY.encode(), secret=KEY)


@pytest.mark.parametrize(
    ("error", "changed"),
    [
        (MissingWebhookHeaderError, {"headers": None}),
        (MissingWebhookHeaderError, {"headers": {**HEADERS, "webhook-id": ""}}),
        (MissingWebhookBodyError, {"body": ""}),
        (InvalidSignatureError, {"body": "{}"}),
        (InvalidSecretKeyError, {"secret": WebhookSigningSecret(key="nothing")}),
        (InvalidTimestampError, {"tolerance": 300}),
        (InvalidSignatureError, {"headers": {**HEADERS, "Webhook-Timestamp": "soon"}}),
        (InvalidSignatureError, {"headers": {**HEADERS, "webhook-signature": "v1"}}),
        (ValueError, {"secret": None}),
        (ValueError, {"request": httpx.Request("POST", "https://x.example")}),
    ],
)
def test_a_webhook_that_is_not_true(error: type[ValueError], changed: dict[str, Any]) -> None:
    with pytest.raises(error):
        Webhooks.validate(**{"headers": HEADERS, "body": BODY, "secret": KEY, **changed})
