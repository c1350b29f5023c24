"""Versions and models as the steps of a pipeline, and deleting a version."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable

import httpx
import pytest

from replicate_kit import Client, FileOutput
from replicate_kit.errors import InputError, NotFound
from replicate_kit.simulator import Simulator
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]
SMALL = {"width": 16, "height": 16}


@pytest.fixture
def simulator(simulator: Simulator) -> Simulator:
    """A simulator with a model that takes a picture."""

    @simulator.model("acme/measure", official=False)
    def measure(image: str, prompt: str = "") -> str:
        return f"{prompt}{image[-4:]}"

    return simulator


@pytest.mark.parametrize("name", ["demo/painter", "acme/measure"])
def test_the_latest_version_is_among_the_versions(client: Client, drive: Drive, name: str) -> None:
    model = client.models.get(name)
    version = model.latest_version
    assert version is not None
    assert drive(model.versions.async_get(version.id)) == version
    assert version.reference.model == name


def test_versions_are_the_steps_of_a_pipeline(client: Client, drive: Drive) -> None:
    painter, measure = (client.models.get(name).latest_version for name in ("demo/painter", "acme/measure"))
    assert painter is not None
    assert measure is not None
    (picture,) = drive(painter.async_predict(prompt="sea", **SMALL))
    assert isinstance(picture, FileOutput)
    assert drive(measure.async_predict(image=picture, prompt="a ")) == "a .png"


def test_models_are_the_steps_of_a_pipeline(client: Client, drive: Drive) -> None:
    (picture,) = drive(client.models.get("demo/painter").async_predict(prompt="sea", **SMALL))
    assert drive(client.models.get("acme/measure").async_predict(image=picture)) == ".png"


def test_an_input_that_the_version_does_not_take_is_refused(client: Client, drive: Drive) -> None:
    version = client.models.get("acme/measure").latest_version
    assert version is not None
    with pytest.raises(InputError, match="image is required"):
        drive(version.async_predict(prompt="sea"))
    assert len(client.predictions.list()) == 0


def test_predictions_of_a_version_name_it(client: Client, drive: Drive) -> None:
    version = client.models.get("acme/measure").latest_version
    assert version is not None
    assert drive(version.predictions.async_create({"image": "a.png"})).version == version.id


def test_a_version_is_deleted(connect: Connect, drive: Drive) -> None:
    client, requests = connect(httpx.Response(202))
    assert drive(client.models.versions("acme/mine").async_delete("v1")) is None
    assert (requests[0].method, requests[0].url.path) == ("DELETE", "/v1/models/acme/mine/versions/v1")


def test_an_unknown_version_is_not_found(client: Client, drive: Drive) -> None:
    with pytest.raises(NotFound):
        drive(client.models.versions("demo/painter").async_get("f" * 64))


def test_a_version_that_travelled_still_knows_its_model(client: Client) -> None:
    version = client.models.get("acme/measure").latest_version
    assert version is not None
    again = pickle.loads(pickle.dumps(version))
    assert again == version
    assert again.reference == version.reference
    assert json.dumps(dict(again)) == json.dumps(dict(version))
