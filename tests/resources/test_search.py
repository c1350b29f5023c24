"""Search over models, collections and pages."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.errors import APIError
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]


def test_a_search_finds_models_that_can_be_run(client: Client, drive: Drive) -> None:
    found = drive(client.search.async_query("painter"))
    assert [str(model.reference) for model in found.models] == ["demo/painter"]
    assert found["models"][0]["metadata"]["score"] > 0
    assert repr(found) == "<SearchResults: painter>"
    assert found.models[0].predict(prompt="sea", width=16, height=16)


def test_a_search_finds_collections_and_pages(client: Client, drive: Drive) -> None:
    assert [each.slug for each in drive(client.search.async_query("demo")).collections] == ["demo"]
    assert [page.name for page in drive(client.search.async_query("webhooks")).pages] == ["Receive webhooks"]


def test_a_search_is_called_for_short(client: Client) -> None:
    assert client.search("painter") == client.search.query("painter")


def test_the_limit_goes_along(connect: Connect, drive: Drive) -> None:
    client, requests = connect({"query": "a b"})
    found = drive(client.search.async_query("a b", limit=3))
    assert dict(requests[0].url.params) == {"query": "a b", "limit": "3"}
    assert (found.models, found.collections, found.pages) == ([], [], [])


def test_an_empty_search_is_refused_by_the_api(client: Client, drive: Drive) -> None:
    with pytest.raises(APIError, match="required"):
        drive(client.search.async_query(""))
