"""Pages, walking over them, options of one call, and responses as they came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from replicate_kit import Client, Page, async_paginate, paginate
from replicate_kit.errors import InvalidResponse, NotFound
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]
FIRST = {"results": [{"id": "a"}, {"id": "b"}], "next": "https://api.test/v1/predictions?cursor=2"}
SECOND = {"results": [{"id": "c"}], "next": None, "previous": "https://api.test/v1/predictions?cursor=1"}


def ids(things: Any) -> list[str]:
    return [each.id for each in things]


def test_a_page_is_a_sequence_of_its_own_results(connect: Connect, drive: Drive) -> None:
    client, _ = connect(FIRST)
    page = drive(client.predictions.async_list())
    assert (ids(page), len(page), page[1].id, ids(page[:1])) == (["a", "b"], 2, "b", ["a"])
    assert page.results == list(page)
    assert (page.next, page.previous) == (FIRST["next"], None)
    assert repr(page) == "[<Prediction: a>, <Prediction: b>]"
    assert bool(Page([])) is True


def test_pages_are_walked_with_the_filters_of_the_first(connect: Connect, drive: Drive) -> None:
    client, requests = connect(FIRST, SECOND)

    async def walk() -> list[list[str]]:
        return [ids(page) async for page in async_paginate(client.predictions.async_list, source="web")]

    assert drive(walk()) == [["a", "b"], ["c"]]
    assert [request.url.query for request in requests] == [b"source=web", b"cursor=2"]


def test_pages_are_walked_in_a_plain_loop(connect: Connect) -> None:
    client, requests = connect(FIRST, SECOND)
    assert [each.id for page in paginate(client.predictions.list) for each in page] == ["a", "b", "c"]
    client, requests = connect(SECOND)
    assert [ids(page) for page in paginate(client.predictions.list, FIRST["next"])] == [["c"]]
    assert requests[0].url.query == b"cursor=2"


def test_a_page_is_fetched_when_it_is_asked_for(connect: Connect) -> None:
    client, requests = connect(FIRST, SECOND)
    pages = paginate(client.predictions.list)
    next(pages)
    assert len(requests) == 1
    assert ids(next(pages)) == ["c"]
    with pytest.raises(StopIteration):
        next(pages)


def test_all_items_are_walked_over(connect: Connect, drive: Drive) -> None:
    client, requests = connect(FIRST, SECOND)

    async def walk() -> list[str]:
        return [
            each.id async for each in client.predictions.async_list_all(created_after="2026-01-01T00:00:00Z")
        ]

    assert drive(walk()) == ["a", "b", "c"]
    assert requests[0].url.params["created_after"] == "2026-01-01T00:00:00Z"


def test_what_is_no_page_is_refused(connect: Connect, drive: Drive) -> None:
    client, _ = connect({"results": {}})
    with pytest.raises(InvalidResponse, match="not a page"):
        drive(client.predictions.async_list())


# Options of one call.


def test_options_hold_for_the_calls_made_with_them(connect: Connect, drive: Drive, prediction: Any) -> None:
    client, requests = connect(prediction(), headers={"X-Team": "surf"}, params={"a": "1"})
    other = client.with_options(
        api_token="r8_other", headers={"X-Trace": "7"}, params={"b": "2"}, timeout=3, retries=0
    )
    drive(other.predictions.async_get("p1"))
    drive(client.predictions.async_get("p1"))
    changed, plain = requests
    assert changed.headers["authorization"] == "Bearer r8_other"
    assert (changed.headers["x-team"], changed.headers["x-trace"]) == ("surf", "7")
    assert dict(changed.url.params) == {"a": "1", "b": "2"}
    assert changed.extensions["timeout"]["read"] == 3
    assert plain.headers["authorization"] == "Bearer r8_secret"
    assert "x-trace" not in plain.headers
    assert dict(plain.url.params) == {"a": "1"}


def test_retries_of_one_call(connect: Connect, clock: Any) -> None:
    client, requests = connect(httpx.Response(404))
    with pytest.raises(NotFound):
        client.with_options(retries=0).predictions.get("p1")
    assert len(requests) == 1


# Responses as they came.


def test_any_request_gives_its_response(connect: Connect, drive: Drive) -> None:
    client, requests = connect(httpx.Response(200, headers={"RateLimit-Remaining": "9"}, json={"a": 1}))
    response = drive(
        client.async_request(
            "PUT", "novel/operation", json={"b": 2}, headers={"X-Trace": "7"}, params={"c": "3"}
        )
    )
    assert (response.status_code, response.headers["ratelimit-remaining"], response.json()) == (
        200,
        "9",
        {"a": 1},
    )
    (request,) = requests
    assert (request.method, str(request.url)) == ("PUT", "https://api.test/v1/novel/operation?c=3")
    assert (request.content, request.headers["x-trace"]) == (b'{"b":2}', "7")


def test_a_response_that_is_an_error_is_raised(connect: Connect, drive: Drive) -> None:
    client, _ = connect(httpx.Response(404, json={"detail": "nothing there"}))
    with pytest.raises(NotFound, match="nothing there"):
        drive(client.async_request("GET", "novel"))
