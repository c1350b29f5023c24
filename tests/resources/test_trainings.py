"""Trainings: every way of naming what is trained, and what becomes of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from replicate_kit import Client, Model, Version
from replicate_kit._formats.references import Reference
from replicate_kit.errors import InputError, InvalidReference, InvalidResponse, NotFound, PredictionCanceled
from replicate_kit.resources.trainings import Training
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]
ID = "f" * 64
FULL = f"acme/base:{ID}"
BASE = Model({"owner": "acme", "name": "base"})
MINE = Model({"owner": "me", "name": "mine"})
VERSION = Version({"id": ID})
INPUT = {"data": "https://example.com/a.zip"}
NAMED = {"input": INPUT, "destination": "me/mine"}


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((FULL, INPUT, "me/mine"), {}),
        ((FULL, INPUT), {"destination": "me/mine"}),
        ((FULL,), NAMED),
        ((), {"version": FULL, **NAMED}),
        ((), {"model": "acme/base", "version": ID, **NAMED}),
        ((), {"model": ("acme", "base"), "version": VERSION, **NAMED}),
        ((), {"model": BASE, "version": VERSION, **NAMED}),
        ((), {"model": "acme/base", "version": FULL, **NAMED}),
        (("acme/base", ID, INPUT, "me/mine"), {}),
        ((VERSION.of(Reference("acme", "base")),), NAMED),
        ((FULL, INPUT, ("me", "mine")), {}),
        ((FULL, INPUT), {"destination": MINE}),
    ],
)
def test_what_is_trained_is_named_in_any_of_the_official_forms(
    connect: Connect, drive: Drive, args: Any, kwargs: Any
) -> None:
    client, requests = connect({"id": "t1", "status": "starting"})
    assert drive(client.trainings.async_create(*args, **kwargs)) == Training(
        {"id": "t1", "status": "starting"}
    )
    assert (requests[0].method, requests[0].url.path) == (
        "POST",
        f"/v1/models/acme/base/versions/{ID}/trainings",
    )
    assert json.loads(requests[0].content) == {"destination": "me/mine", "input": INPUT}


def test_webhooks_go_along(connect: Connect) -> None:
    client, requests = connect({"id": "t1"})
    client.trainings.create(
        FULL, INPUT, "me/mine", webhook="https://example.com/hook", webhook_events_filter=("completed",)
    )
    sent = json.loads(requests[0].content)
    assert (sent["webhook"], sent["webhook_events_filter"]) == ("https://example.com/hook", ["completed"])


@pytest.mark.parametrize(
    ("kwargs", "kind", "text"),
    [
        ({"model": "acme/base", "version": ID, "input": INPUT}, InputError, "needs a destination"),
        ({"model": "acme/base", **NAMED}, InvalidReference, "needs a version of a model"),
        ({"version": ID, **NAMED}, InvalidReference, "needs a version of a model"),
        (NAMED, InvalidReference, "does not name a model"),
        ({"model": "acme/base", "version": f"other/base:{ID}", **NAMED}, InvalidReference, "name two models"),
        ({"version": FULL, "input": {"a": object()}, "destination": "a/b"}, InputError, "cannot be sent"),
    ],
)
def test_what_is_not_complete_is_refused_before_it_is_sent(
    connect: Connect, drive: Drive, kwargs: Any, kind: type[Exception], text: str
) -> None:
    client, requests = connect({})
    with pytest.raises(kind, match=text):
        drive(client.trainings.async_create(**kwargs))
    assert requests == []


@pytest.fixture
def begin(client: Client) -> Callable[[], Any]:
    client.models.create("local", "mine", visibility="private", hardware="cpu")
    version = client.models.get("demo/painter").latest_version
    return lambda: client.trainings.async_create(version, input={"prompt": "sea"}, destination="local/mine")


def test_a_training_makes_a_version(client: Client, begin: Any, drive: Drive) -> None:
    training = drive(begin())
    drive(training.async_wait())
    training.raise_for_status()
    assert set(training.output) == {"version", "weights"}
    assert drive(client.trainings.async_get(training.id)) == training
    assert [each.id for each in drive(client.trainings.async_list())] == [training.id]
    assert [each.id for each in client.trainings.list_all()] == [training.id]
    assert repr(training) == f"<Training: {training.id}>"
    assert client.models.get("local/mine").latest_version is not None


def test_a_training_is_reloaded_at_its_own_path(connect: Connect, drive: Drive) -> None:
    client, requests = connect({"id": "t1", "status": "succeeded"})
    urls = {"get": "https://api.test/v1/predictions/t1"}  # what the API itself answers a create with
    training = Training({"id": "t1", "urls": urls}, client.session)
    drive(training.async_reload())
    assert requests[0].url.path == "/v1/trainings/t1"


def test_cancel_changes_it_in_place(client: Client, connect: Connect, drive: Drive) -> None:
    client, requests = connect({"id": "t1", "status": "canceled"})
    training = drive(client.trainings.async_cancel("t1"))
    assert (requests[0].method, requests[0].url.path) == ("POST", "/v1/trainings/t1/cancel")
    with pytest.raises(PredictionCanceled, match="The training t1 was canceled"):
        training.raise_for_status()


def test_an_unknown_training_or_destination_is_not_found(client: Client, begin: Any, drive: Drive) -> None:
    with pytest.raises(NotFound):
        drive(client.trainings.async_get("nothing"))
    version = client.models.get("demo/painter").latest_version
    with pytest.raises(NotFound, match="destination does not exist"):
        drive(client.trainings.async_create(version, input={"prompt": "sea"}, destination="local/nothing"))


def test_what_is_no_training_is_refused(connect: Connect, drive: Drive) -> None:
    client, _ = connect([])
    with pytest.raises(InvalidResponse, match="not a training"):
        drive(client.trainings.async_get("t1"))
