"""What a client of the stand-in is made with, and how it fails."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from replicate_kit.compat.replicate import Client
from replicate_kit.compat.replicate._failing import chain
from replicate_kit.compat.replicate.exceptions import ReplicateError, ReplicateException
from replicate_kit.errors import ConfigError
from tests.wires import head, wire

from .conftest import PREDICTION, Answering

NOT_FOUND = httpx.Response(404, json={"title": "Not found", "detail": "gone", "status": 404, "type": "t"})


def test_an_error_of_the_api_has_its_attributes_and_text(answering: Answering) -> None:
    client, _ = answering(NOT_FOUND)
    with pytest.raises(ReplicateError) as caught:
        client.models.get("a/b")
    assert (
        str(caught.value) == "ReplicateError Details:\ntype: t\ntitle: Not found\nstatus: 404\ndetail: gone"
    )
    assert repr(caught.value).startswith(
        "ReplicateError(type='t', title='Not found', status=404, detail='gone'"
    )


@pytest.mark.parametrize("body", ["oops", "[1]"])
def test_an_error_that_is_no_problem_document_has_its_status(answering: Answering, body: str) -> None:
    client, _ = answering(httpx.Response(400, text=body))
    with pytest.raises(ReplicateError) as caught:
        client.models.get("a/b")
    assert caught.value.to_dict() == {"status": 400}
    assert ReplicateError.from_response(httpx.Response(400, text=body)).to_dict() == {"status": 400}


@pytest.mark.parametrize("error", [httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut")])
def test_a_create_that_failed_on_the_way_is_sent_once_and_fails_as_httpx_does(
    answering: Answering, error: httpx.HTTPError
) -> None:
    client, asked = answering(error)
    with pytest.raises(type(error)) as caught:
        client.predictions.create(model="a/b", input={})
    assert len(asked) == 1
    assert "It is unknown whether the API acted" in caught.value.__notes__[0]


@pytest.mark.parametrize("length", ["500", "abc"])
def test_a_create_whose_answer_is_cut_short_fails_as_httpx_does(length: str) -> None:
    begun = head(content_length=length, content_type="application/json") + b'{"id"'
    with wire(lambda _: [begun]) as server:
        client = Client(api_token="r8_test", base_url=server.url)
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            client.predictions.create(model="a/b", input={})
        client.close()
    assert len(server.heads) == 1
    assert "It is unknown whether the API acted" in caught.value.__notes__[0]


def test_a_chain_of_errors_that_leads_back_into_itself_ends() -> None:
    outer, inner = ValueError("outer"), ValueError("inner")
    outer.__cause__, inner.__cause__ = inner, outer
    assert list(chain(outer)) == [outer, inner]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_create_that_was_refused_is_sent_once(answering: Answering, status: int) -> None:
    client, asked = answering(httpx.Response(status, json={"detail": "no"}, headers={"Retry-After": "1"}))
    with pytest.raises(ReplicateError) as caught:
        client.predictions.create(model="a/b", input={})
    assert (caught.value.status, len(asked)) == (status, 1)


def test_an_answer_that_is_no_json_fails_as_the_decoder_does(answering: Answering) -> None:
    client, _ = answering(httpx.Response(200, text="<html>"))
    with pytest.raises(ValueError, match="Expecting value"):
        client.models.get("a/b")


def test_an_answer_that_is_no_prediction_is_an_error(answering: Answering) -> None:
    client, _ = answering({"odd": 1})
    with pytest.raises(ReplicateException, match="not a prediction"):
        client.predictions.create(model="a/b", input={})


@pytest.mark.parametrize(
    ("base_url", "root"),
    [
        ("https://gateway.example", "https://gateway.example/v1"),
        ("https://gateway.example/replicate/", "https://gateway.example/replicate/v1"),
        ("https://gateway.example/v1", "https://gateway.example/v1"),
        (None, "https://api.replicate.com/v1"),
    ],
)
def test_the_version_of_the_api_is_added_to_the_base_url(
    answering: Answering, base_url: str | None, root: str
) -> None:
    client, asked = answering(PREDICTION, base_url=base_url)
    client.predictions.get("p1")
    assert str(asked[0].url) == f"{root}/predictions/p1"


def test_the_base_url_may_come_from_the_environment(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_BASE_URL", "https://gateway.example")
    client, asked = answering(PREDICTION)
    client.predictions.get("p1")
    assert asked[0].url.host == "gateway.example"


def test_timeouts_are_whatever_httpx_takes(answering: Answering) -> None:
    client, asked = answering(PREDICTION, timeout=httpx.Timeout(5, read=7))
    client.predictions.get("p1")
    client.predictions.create(model="a/b", input={}, wait=10)
    assert [each.extensions["timeout"]["read"] for each in asked] == [7, 40]
    assert asked[0].extensions["timeout"]["connect"] == 5


def test_no_timeout_is_a_long_one(answering: Answering) -> None:
    client, asked = answering(PREDICTION, timeout=httpx.Timeout(None))
    client.predictions.get("p1")
    assert asked[0].extensions["timeout"]["read"] > 3600


def test_headers_are_sent_and_the_callers_stay_as_they_are(answering: Answering) -> None:
    headers = {"X-Mine": "1"}
    client, asked = answering(PREDICTION, headers=headers)
    client.predictions.get("p1")
    assert asked[0].headers["x-mine"] == "1"
    assert headers == {"X-Mine": "1"}


def test_links_of_pages_do_not_take_the_token_elsewhere(answering: Answering) -> None:
    page = {"results": [], "next": "https://evil.example/v1/predictions?cursor=abc", "previous": None}
    client, asked = answering(page)
    client.predictions.list(client.predictions.list().next)
    assert str(asked[1].url) == "https://api.replicate.com/v1/predictions?cursor=abc"


def test_the_poll_interval_can_be_written(client: Client) -> None:
    client.poll_interval = 0
    assert (client.poll_interval, client.session.config.poll_interval) == (0, 0)
    client.close()
    assert client.session.config.poll_interval == 0
    assert Client(backend="mock").poll_interval == 0.5


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), None, "1", True])
def test_a_poll_interval_that_is_none_is_refused_when_it_is_written(seconds: Any) -> None:
    client = Client()
    with pytest.raises(ConfigError, match=r"poll_interval=.* cannot be used\. Pass seconds, 0 or more"):
        client.poll_interval = seconds
    assert client.poll_interval == 0.5


def test_to_write_the_poll_interval_settles_nothing_else(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, asked = answering(PREDICTION)
    client.poll_interval = 0
    monkeypatch.setenv("REPLICATE_BASE_URL", "https://gateway.example")
    client.predictions.get("p1")
    assert asked[0].url.host == "gateway.example"


def test_without_a_pause_others_go_on(answering: Answering) -> None:
    """An event loop that waits for a prediction without any pause has time for its other tasks."""
    client, _ = answering({**PREDICTION, "status": "processing"})

    async def main() -> int:
        prediction = await client.predictions.async_get("p1")
        waiting, turns = asyncio.create_task(prediction.async_wait()), 0
        while turns < 50 and not waiting.done():
            await asyncio.sleep(0)
            turns += 1
        waiting.cancel()
        return turns

    assert asyncio.run(main()) == 50


def test_requests_that_have_no_method_can_be_sent(client: Client) -> None:
    assert client._request("GET", "/v1/account").json()["username"] == "local"
    response = asyncio.run(client._async_request("GET", "/v1/account"))
    assert response.status_code == 200


def test_closing_a_client_that_was_not_used() -> None:
    Client().close()
