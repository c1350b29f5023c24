"""Records: made, read, written and shown as the models of 1.x are."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime

import pytest

from replicate_kit.compat.replicate import Client
from replicate_kit.compat.replicate.account import Account
from replicate_kit.compat.replicate.collection import Collection
from replicate_kit.compat.replicate.exceptions import ModelError, ReplicateError
from replicate_kit.compat.replicate.hardware import Hardware
from replicate_kit.compat.replicate.model import Model
from replicate_kit.compat.replicate.pagination import Page
from replicate_kit.compat.replicate.prediction import Prediction
from replicate_kit.compat.replicate.schema import version_has_no_array_type
from replicate_kit.compat.replicate.stream import ServerSentEvent
from replicate_kit.compat.replicate.version import Version

from .conftest import PREDICTION

FIELDS = [
    "id",
    "model",
    "version",
    "status",
    "input",
    "output",
    "logs",
    "error",
    "metrics",
    "created_at",
    "started_at",
    "completed_at",
    "urls",
]


def test_a_prediction_has_the_fields_of_1_x_in_their_order() -> None:
    prediction = Prediction(**PREDICTION, novel=1)
    assert list(prediction.dict()) == list(dict(prediction)) == [name for name, _ in prediction] == FIELDS
    assert prediction.novel == 1
    assert prediction["id"] == "p1"


def test_a_record_is_shown_with_its_fields() -> None:
    account = Account(type="user", username="w", name="W")
    assert repr(account) == "Account(type='user', username='w', name='W', github_url=None)"
    assert str(account) == "type='user' username='w' name='W' github_url=None"


def test_a_record_can_be_written_to_and_copied() -> None:
    prediction = Prediction.parse_obj(dict(PREDICTION))
    copied = prediction.copy(update={"status": "failed"})
    copied.error = "by hand"
    assert (copied.status, copied.error, prediction.status) == ("failed", "by hand", "starting")
    assert copied != prediction
    assert prediction != 1


def test_fields_can_be_chosen() -> None:
    prediction = Prediction(**PREDICTION)
    assert prediction.dict(include={"id", "error"}, exclude_none=True) == {"id": "p1"}
    assert "id" not in json.loads(prediction.json(exclude={"id"}, indent=1))


def test_json_writes_times_and_events_as_pydantic_does() -> None:
    version = Version(id="v", created_at="2024-01-02T03:04:05.678Z")
    assert version.created_at == datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    assert json.loads(version.json())["created_at"] == "2024-01-02T03:04:05.678000+00:00"
    assert json.loads(ServerSentEvent(event="output", data="x", id="1").json())["event"] == "output"
    assert json.loads(Account(name={1}).json())["name"] == "{1}"


def test_nested_records_are_records_of_the_same_client(client: Client) -> None:
    model = client.models.get("acme/shout")
    assert isinstance(model.latest_version, Version)
    assert model.latest_version.predict(text="x") == "X"
    assert model.dict()["latest_version"]["id"] == model.latest_version.id
    model.reload()
    assert isinstance(model.latest_version, Version)
    assert Model(owner="a", name="b", default_example=PREDICTION).default_example.id == "p1"


def test_collections_are_sequences_of_their_models() -> None:
    model = {"owner": "a", "name": "b"}
    collection = Collection(slug="s", name="S", description="d", models=[model])
    assert [each.id for each in collection] == ["a/b"] == [collection[0].id]
    assert (len(collection), collection["slug"]) == (1, "s")
    empty = Collection(slug="s")
    assert (list(empty), len(empty), empty[0]) == ([], 0, None)


def test_deprecated_names_warn() -> None:
    for record, name, value in (
        (Hardware(sku="cpu"), "id", "cpu"),
        (Collection(slug="s"), "id", "s"),
        (Model(owner="a"), "username", "a"),
    ):
        with pytest.deprecated_call():
            assert getattr(record, name) == value


def test_progress_is_read_from_the_logs() -> None:
    prediction = Prediction(**{**PREDICTION, "logs": "start\n 50%|##  | 2/4 [00:01<00:01]\nother"})
    assert prediction.progress == Prediction.Progress(0.5, 2, 4)
    assert Prediction(**PREDICTION).progress is None
    assert Prediction.Progress.parse("nothing") is None


def test_pages_are_sequences() -> None:
    page = Page(results=[Account(name="x")], next="n")
    assert (len(page), page[0].name, bool(page), bool(Page(results=[]))) == (1, "x", True, False)
    assert page.dict()["results"][0]["name"] == "x"
    assert page == Page(results=[Account(name="x")], next="n")
    assert repr(Page(results=[1])) == "Page(previous=None, next=None, results=[1])"
    assert Page(results=[1]).dict()["results"] == [1]


def test_errors_travel() -> None:
    error = pickle.loads(pickle.dumps(ModelError(Prediction(**{**PREDICTION, "error": "no"}))))
    assert (str(error), error.prediction.id) == ("no", "p1")
    api = pickle.loads(pickle.dumps(ReplicateError(status=404, detail="gone")))
    assert (api.status, api.to_dict()) == (404, {"status": 404, "detail": "gone"})


@pytest.mark.parametrize(
    ("version", "old"), [("0.3.8", True), ("0.3.9", False), ("v0.2", True), ("dev", None)]
)
def test_versions_of_cog_are_compared(version: str, old: bool | None) -> None:
    assert version_has_no_array_type(version) is old
