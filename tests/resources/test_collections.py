"""Collections, and the models in them."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.errors import NotFound
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]


def test_collections_are_listed_without_their_models(client: Client, drive: Drive) -> None:
    listed = {each.slug: each for each in drive(client.collections.async_list())}
    assert set(listed) == {"demo", "text-to-image"}
    collection = listed["demo"]
    assert collection.description == "Real things, offline."
    assert collection.models is None
    assert repr(collection) == "<Collection: demo>"


def test_models_of_a_collection_can_be_run(client: Client, drive: Drive) -> None:
    models = drive(client.collections.async_get("demo")).models
    assert {model.name for model in models} == {"painter", "poet", "musician"}
    painter = next(model for model in models if model.name == "painter")
    assert drive(painter.async_predict(prompt="sea", width=16, height=16))[0].media_type == "image/png"


def test_all_pages_are_listed(connect: Connect) -> None:
    client, requests = connect(
        {"results": [{"slug": "a"}], "next": "/v1/collections?cursor=b"}, {"results": []}
    )
    assert [each.slug for each in client.collections.list_all()] == ["a"]
    assert len(requests) == 2


def test_an_unknown_collection_is_not_found(client: Client, drive: Drive) -> None:
    with pytest.raises(NotFound):
        drive(client.collections.async_get("nothing"))


def test_a_slug_names_no_other_path(connect: Connect, drive: Drive) -> None:
    client, requests = connect({"slug": "x"})
    drive(client.collections.async_get("../account"))
    assert requests[0].url.raw_path == b"/v1/collections/..%2Faccount"
