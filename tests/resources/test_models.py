"""Models, their versions, and from a reference to what is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from replicate_kit import Client, Model, Reference, Version
from replicate_kit.errors import InputError, InvalidReference, InvalidResponse, NotFound
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]
VERSION = "f" * 64
OF_B = f"models/a/b/versions/{VERSION}"
SCHEMA = {"components": {"schemas": {"Output": {"type": "string"}}}}
LATEST = {"id": VERSION, "openapi_schema": SCHEMA}


def test_a_model_is_fetched_by_its_name(client: Client, drive: Drive) -> None:
    for named in (("demo/painter",), ("demo", "painter"), ("https://replicate.com/demo/painter",)):
        model = drive(client.models.async_get(*named))
        assert (model.owner, model.name) == ("demo", "painter")
        assert repr(model) == "<Model: demo/painter>"
        assert model.id == "demo/painter"
    assert model.reference == Reference("demo", "painter")
    assert model.latest_version is not None
    assert "prompt" in str(model.latest_version.openapi_schema)


def test_an_unknown_model_is_not_found(client: Client, drive: Drive) -> None:
    with pytest.raises(NotFound, match="Check the spelling"):
        drive(client.models.async_get("demo/nothing"))


@pytest.mark.parametrize("name", ["deployments/acme/shouter", "painter"])
def test_what_names_no_model_is_refused(client: Client, name: str) -> None:
    with pytest.raises(InvalidReference):
        client.models.get(name)


def test_models_are_listed_and_searched(client: Client, drive: Drive) -> None:
    names = {model.name for model in drive(client.models.async_list())}
    assert {"painter", "poet", "musician"} <= names
    assert {model.name for model in client.models.list_all()} == names
    assert drive(client.models.async_search("painter"))[0].name == "painter"


def test_the_versions_of_a_model_are_listed_and_fetched(client: Client, drive: Drive) -> None:
    versions = client.models.get("demo/painter").versions
    (version,) = drive(versions.async_list())
    assert drive(versions.async_get(version.id)) == version
    assert [each.id for each in versions.list_all()] == [version.id]
    with pytest.raises(NotFound):
        drive(versions.async_get(VERSION))


def test_a_model_describes_itself(client: Client, drive: Drive) -> None:
    assert "Paints landscapes" in drive(client.models.async_readme("demo/painter"))
    assert list(drive(client.models.async_examples("demo/painter"))) == []


def test_a_model_of_ones_own_is_made_changed_and_deleted(client: Client, drive: Drive) -> None:
    made = drive(client.models.async_create("local", "mine", visibility="private", hardware="cpu"))
    assert made.visibility == "private"
    changed = drive(client.models.async_update("local/mine", description="mine alone"))
    assert changed.description == "mine alone"
    drive(client.models.async_delete("local/mine"))
    with pytest.raises(NotFound):
        drive(client.models.async_get("local/mine"))


@pytest.mark.parametrize("ref", [f"local/mine:{VERSION}", VERSION, "a Version"])
@pytest.mark.parametrize("how", ["delete", "update"])
def test_who_names_a_version_does_not_change_the_model(
    client: Client, drive: Drive, how: str, ref: str
) -> None:
    client.models.create("local", "mine", visibility="private", hardware="cpu", description="as it was")
    named: Any = Version({"id": VERSION}, client.session) if ref == "a Version" else ref
    change = client.models.async_delete(named) if how == "delete" else client.models.async_update(named)
    with pytest.raises(InvalidReference, match=r"names a version.*nothing was changed"):
        drive(change)
    assert client.models.get("local/mine").description == "as it was"


def test_a_model_predicts(client: Client, drive: Drive) -> None:
    model = client.models.get("demo/flaky")
    assert drive(model.async_predict(prompt="sea", failure_rate=0)) == "After some hesitation: sea"
    assert drive(model.predictions.async_create({"prompt": "sea"})).model == "demo/flaky"
    with pytest.raises(InputError):
        drive(model.async_predict(prompt=7))
    drive(model.async_reload())
    assert model.name == "flaky"


def test_a_version_that_was_never_pushed_is_none() -> None:
    assert Model({"owner": "acme", "name": "empty", "latest_version": None}).latest_version is None
    assert Version({"id": VERSION}).reference == Reference(version=VERSION)


@pytest.mark.parametrize("answer", [[], "text", 7])
def test_what_is_no_model_is_refused(connect: Connect, answer: Any) -> None:
    client, _ = connect(answer)
    with pytest.raises(InvalidResponse, match="is not a model"):
        client.models.get("acme/shout")


def test_a_model_that_has_more_or_less_than_known_is_read(connect: Connect) -> None:
    odd = {"owner": "acme", "name": "odd", "latest_version": "soon", "run_count": None, "novel": {"a": 1}}
    client, _ = connect({"results": [odd, {}]})
    model, empty = client.models.list()
    assert (model.latest_version, model.run_count, model.novel) == (None, 0, {"a": 1})
    assert (empty.owner, empty.is_official) == ("", False)


# From a reference to what is run.


@pytest.mark.parametrize(
    ("ref", "answers", "reference", "official", "known", "asked"),
    [
        ("a/b", [{"is_official": True, "latest_version": LATEST}], "a/b", True, True, ["models/a/b"]),
        ("a/b", [{"is_official": True}], "a/b", True, False, ["models/a/b"]),
        ("a/b", [{"latest_version": LATEST}], f"a/b:{VERSION}", False, True, ["models/a/b"]),
        ("a/b", [{"latest_version": None}], "a/b", False, False, ["models/a/b"]),
        ("a/b", [[]], "a/b", False, False, ["models/a/b"]),
        (f"a/b:{VERSION}", [{"openapi_schema": SCHEMA}], f"a/b:{VERSION}", False, True, [OF_B]),
        (f"a/b:{VERSION}", [404], f"a/b:{VERSION}", False, False, [OF_B]),
        (VERSION, [], VERSION, False, False, []),
        (
            "deployments/a/d",
            [{"current_release": {"model": "a/b", "version": VERSION}}, {"openapi_schema": SCHEMA}],
            "deployments/a/d",
            False,
            True,
            ["deployments/a/d", f"models/a/b/versions/{VERSION}"],
        ),
        ("deployments/a/d", [{"current_release": None}], "deployments/a/d", False, False, ["deployments/a/d"]),
    ],
)  # fmt: skip
def test_a_reference_leads_to_what_is_run(
    connect: Connect,
    drive: Drive,
    ref: str,
    answers: Any,
    reference: str,
    official: bool,
    known: bool,
    asked: Any,
) -> None:
    responses = [
        httpx.Response(each, json={}) if isinstance(each, int) else httpx.Response(200, json=each)
        for each in answers
    ]
    client, requests = connect(*responses, {}) if responses else connect({})
    found = drive(client.models.async_resolve(Reference.parse(ref)))
    assert (str(found.reference), found.official, found.schema is not None) == (reference, official, known)
    assert [request.url.path for request in requests] == [f"/v1/{path}" for path in asked]


def test_what_was_found_is_remembered_for_five_minutes(connect: Connect, clock: Any) -> None:
    client, requests = connect({"is_official": True})
    reference = Reference("acme", "shout")
    for wait in (0, 299, 2):
        clock.time += wait
        client.models.resolve(reference)
    assert len(requests) == 2


def test_an_unknown_model_says_where_to_look(connect: Connect, drive: Drive) -> None:
    client, _ = connect(httpx.Response(404, json={"detail": "The requested resource could not be found."}))
    for ref, kind in (("acme/nothing", "model"), ("deployments/acme/nothing", "deployment")):
        with pytest.raises(
            NotFound, match=rf"There is no {kind} .*nothing was created.*replicate\.com/explore"
        ):
            drive(client.models.async_resolve(Reference.parse(ref)))


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("The requested resource could not be found.", "Check the spelling"),
        ("Nothing here", "Check the spelling"),
        (None, "Check the spelling"),
        ("The requested resource could not be found. There is acme/shout.", "There is acme/shout."),
    ],
)
def test_what_a_server_adds_about_an_unknown_model_is_said(
    detail: str | None, said: str, connect: Connect, drive: Drive
) -> None:
    client, _ = connect(httpx.Response(404, json={"detail": detail}))
    with pytest.raises(NotFound) as caught:
        drive(client.models.async_resolve(Reference.parse("acme/nothing")))
    assert str(caught.value).partition("nothing was created. ")[2].startswith(said)


def test_a_search_is_sent_as_text(connect: Connect) -> None:
    client, requests = connect({"results": []})
    client.models.search("a llama")
    (request,) = requests
    assert (request.method, request.content, request.headers["content-type"]) == (
        "QUERY",
        b"a llama",
        "text/plain",
    )


def test_a_creation_is_sent_as_the_api_takes_it(connect: Connect) -> None:
    client, requests = connect({"owner": "me", "name": "mine"})
    client.models.create("me", "mine", visibility="public", hardware="cpu", description="d")
    assert json.loads(requests[0].content) == {
        "owner": "me",
        "name": "mine",
        "visibility": "public",
        "hardware": "cpu",
        "description": "d",
    }
