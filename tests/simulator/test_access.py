from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from replicate_kit.simulator import Clock, RateLimits, Simulator

Send = Callable[..., httpx.Response]


def echo(text: str = "") -> str:
    return text


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_any_token_and_none_will_do_unless_told_otherwise(ask: Send) -> None:
    assert ask("GET", "/account").status_code == 200
    assert ask("GET", "/account", headers=bearing("anything")).status_code == 200


def test_a_required_token_may_be_any(ask_of: Callable[..., Send]) -> None:
    ask = ask_of(Simulator(require_token=True))
    response = ask("GET", "/account")
    assert response.status_code == 401
    assert response.json() == {
        "title": "Unauthenticated",
        "detail": "You did not pass an authentication token",
        "status": 401,
    }
    assert ask("GET", "/account", headers=bearing("anything")).status_code == 200


@pytest.mark.parametrize("header", ["Basic abc", "Bearer ", "Bearer", "nonsense"])
def test_what_is_no_token_is_none(ask_of: Callable[..., Send], header: str) -> None:
    response = ask_of(Simulator(require_token=True))("GET", "/account", headers={"Authorization": header})
    assert response.status_code == 401


def test_known_tokens_tell_accounts_apart(ask_of: Callable[..., Send]) -> None:
    ask = ask_of(Simulator(tokens={"a": "alice", "b": "bob"}))
    assert ask("GET", "/account", headers=bearing("b")).json()["username"] == "bob"
    assert ask("GET", "/account", headers={"Authorization": "Token a"}).json()["username"] == "alice"
    wrong = ask("GET", "/account", headers=bearing("c"))
    assert (wrong.status_code, wrong.json()["detail"]) == (
        401,
        "You did not pass a valid authentication token",
    )


def test_every_answer_has_the_date_of_the_simulators_clock(ask_of: Callable[..., Send]) -> None:
    clock = Clock(start=1_600_000_000.9, rate=0)
    ask = ask_of(Simulator(clock=clock))
    assert ask("GET", "/account").headers["date"] == "Sun, 13 Sep 2020 12:26:40 GMT"
    clock.advance(3600)
    assert ask("GET", "/predictions/none").headers.get_list("date") == ["Sun, 13 Sep 2020 13:26:40 GMT"]


def test_without_limits_the_headers_are_there_all_the_same(simulator: Simulator, ask: Send) -> None:
    create = ask("POST", "/models/acme/shout/predictions", json={"input": {"text": "a"}})
    assert (create.headers["ratelimit-remaining"], create.headers["ratelimit-reset"]) == ("599", "1")
    assert ask("GET", "/account").headers["ratelimit-remaining"] == "2999"


def limited(clock: Clock, **options: Any) -> Simulator:
    simulator = Simulator(clock=clock, **options)
    simulator.model("acme/echo", price=1.0)(echo)
    return simulator


def test_creates_and_others_are_limited_apart(ask_of: Callable[..., Send]) -> None:
    clock = Clock(rate=0)
    ask = ask_of(limited(clock, rate_limits=RateLimits(creates=3, others=5)))

    def creates() -> list[int]:
        return [
            ask("POST", "/models/acme/echo/predictions", json={"input": {}}).status_code for _ in range(4)
        ]

    assert creates() == [201, 201, 201, 429]
    assert [ask("GET", "/account").status_code for _ in range(6)] == [200] * 5 + [429]
    response = ask("POST", "/models/acme/echo/predictions", json={"input": {}})
    assert response.headers["retry-after"] == "20"
    assert response.json() == {
        "detail": "Request was throttled. Your rate limit resets in ~20s.",
        "status": 429,
        "retry_after": 20,
    }
    clock.advance(20)
    assert creates() == [201, 429, 429, 429]
    clock.advance(3600)
    assert creates() == [201, 201, 201, 429]


def test_a_throttled_create_creates_nothing(ask_of: Callable[..., Send]) -> None:
    simulator = limited(Clock(rate=0), rate_limits=RateLimits(creates=1))
    ask = ask_of(simulator)
    for _ in range(5):
        ask("POST", "/models/acme/echo/predictions", json={"input": {}})
    assert (simulator.created, simulator.calls["models.predictions.create"]) == (1, 5)


def test_accounts_do_not_share_their_limits(ask_of: Callable[..., Send]) -> None:
    simulator = limited(Clock(rate=0), rate_limits=RateLimits(others=1), tokens={"a": "alice", "b": "bob"})
    ask = ask_of(simulator)
    assert [ask("GET", "/account", headers=bearing(token)).status_code for token in "aabb"] == [
        200,
        429,
        200,
        429,
    ]


def test_little_credit_slows_down_and_none_stops(ask_of: Callable[..., Send]) -> None:
    clock = Clock(rate=0)
    ask = ask_of(limited(clock, rate_limits=RateLimits(), credit=6.0))

    def create() -> httpx.Response:
        return ask("POST", "/models/acme/echo/predictions", json={"input": {}})

    assert [create().status_code for _ in range(4)] == [201, 201, 201, 429]
    slow = create().json()
    assert slow["detail"] == (
        "Request was throttled. Your rate limit for creating predictions is reduced to 6 requests per minute with a "
        "burst of 1 requests while you have less than $5.0 in credit. Your rate limit resets in ~10s."
    )
    for _ in range(3):
        clock.advance(10)
        assert create().status_code == 201
    clock.advance(10)
    refused = create()
    assert refused.status_code == 402
    assert refused.json()["title"] == "Insufficient credit"
    assert refused.json()["detail"].startswith("You have insufficient credit to run this model.")


def test_what_is_not_there_is_not_found_and_what_is_not_allowed_is_said(send: Send) -> None:
    assert send("GET", "/nothing").status_code == 404
    assert send("GET", "https://api.replicate.test/").status_code == 404
    assert send("GET", "/predictions/%2e%2e/account").status_code == 404
    response = send("DELETE", "/predictions")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert response.json() == {"detail": 'Method "DELETE" not allowed.', "status": 405}


def test_ids_are_one_segment_whatever_is_in_them(ask: Send) -> None:
    for id in ("..%2faccount", "%2F", "a%00b", "%C3%A9", "%FF", "a%20b", "{id}"):
        response = ask("GET", f"/predictions/{id}")
        assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


def test_requests_are_remembered(simulator: Simulator, ask: Send) -> None:
    ask("GET", "/account", headers=bearing("t"))
    ask("GET", "/nothing")
    seen = list(simulator.requests)
    assert [(each.operation, each.status, each.authorized) for each in seen] == [
        ("account.get", 200, True),
        ("", 404, False),
    ]
    assert seen[0].url == "https://api.replicate.test/v1/account"


def test_links_are_those_of_the_simulator(ask_of: Callable[..., Send]) -> None:
    root = "http://127.0.0.1:8000"
    simulator = Simulator(base_url=f"{root}/v1/", files_url=root, streams_url=root)
    simulator.model("acme/file")(file_of)
    ask = ask_of(simulator)
    body = ask("POST", "/models/acme/file/predictions", json={"input": {}}, headers={"Prefer": "wait"}).json()
    assert body["urls"]["get"] == f"{root}/v1/predictions/{body['id']}"
    assert body["output"].startswith(f"{root}/xezq/")
    assert ask("GET", body["output"]).content == b"content"
    assert ask("GET", body["urls"]["stream"]).text.startswith(": hi")
    assert ask("GET", body["output"].replace("127.0.0.1", "localhost")).content == b"content"


def file_of() -> bytes:
    return b"content"


def test_paths_of_the_api_are_not_taken_for_files_where_both_are_on_one_host(
    ask_of: Callable[..., Send],
) -> None:
    root = "http://127.0.0.1:8000"
    simulator = Simulator(base_url=f"{root}/v1", files_url=root, streams_url=root)
    simulator.model("acme/file")(file_of)
    simulator.collection("files", models=["acme/file"])
    ask = ask_of(simulator)
    assert ask("GET", "/collections/files").json()["slug"] == "files"
    assert ask("GET", "/predictions/nothing").json()["detail"] == "The requested resource could not be found."
