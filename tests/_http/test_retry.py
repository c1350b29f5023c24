"""What is sent again, when, and what never is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit import Client
from replicate_kit._http.retry import Retrying, RetryPolicy, retry_after
from replicate_kit._runtime.blocking import run
from replicate_kit._runtime.runtimes import runtime
from replicate_kit.backends.http import HTTPBackend
from replicate_kit.errors import (
    APIError,
    ConnectFailed,
    ConnectionLost,
    RateLimited,
    RequestTimeout,
    ServerError,
    UncertainCreate,
)
from replicate_kit.testing.suites import Drive
from replicate_kit.transport import Once, Request, Response

Connect = Callable[..., tuple[Client, list[httpx.Request]]]

REFUSED = httpx.ConnectError("connection refused")
CUT = httpx.ReadError("connection reset")
SLOW = httpx.ReadTimeout("timed out")


def throttled(**headers: str) -> httpx.Response:
    return httpx.Response(429, headers=headers, json={"detail": "Request was throttled."})


def failing(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, json={"detail": "no"})


@pytest.mark.parametrize(
    "trouble",
    [REFUSED, CUT, SLOW, throttled(), failing(408), failing(500), failing(502), failing(503), failing(504)],
    ids=repr,
)
def test_a_read_is_sent_again(
    connect: Connect, clock: Any, drive: Drive, trouble: Any, prediction: Any
) -> None:
    client, requests = connect(trouble, trouble, prediction())
    assert drive(client.predictions.async_get("p1")).id == "p1"
    assert len(requests) == 3
    assert len(clock.slept) == 2


@pytest.mark.parametrize("trouble", [REFUSED, throttled(), failing(503, **{"Retry-After": "1"})], ids=repr)
def test_a_create_that_was_certainly_not_acted_on_is_sent_again(
    connect: Connect, clock: Any, drive: Drive, trouble: Any, prediction: Any
) -> None:
    client, requests = connect(trouble, prediction())
    assert drive(client.predictions.async_create("f" * 64, {})).id == "p1"
    assert len(requests) == 2
    assert requests[0].content == requests[1].content


@pytest.mark.parametrize(
    "trouble",
    [
        CUT,
        SLOW,
        *map(failing, (500, 502, 503, 504, 520, 599, 303, 408, 409, 418, 423, 424, 425, 444, 460, 499)),
    ],
    ids=repr,
)
def test_a_create_whose_fate_is_unknown_is_never_sent_again(
    connect: Connect, clock: Any, drive: Drive, trouble: Any
) -> None:
    client, requests = connect(trouble)
    with pytest.raises(UncertainCreate):
        drive(client.predictions.async_create("f" * 64, {}))
    assert len(requests) == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    "status", [300, 307, 400, 401, 402, 403, 404, 405, 410, 413, 415, 421, 422, 428, 451]
)
def test_a_create_that_was_refused_is_an_error_that_says_so(
    connect: Connect, clock: Any, drive: Drive, status: int
) -> None:
    client, requests = connect(httpx.Response(status, json={"detail": "no"}))
    with pytest.raises(APIError) as caught:
        drive(client.predictions.async_create("f" * 64, {}))
    assert caught.value.status == status
    assert len(requests) == 1


@pytest.mark.parametrize("status", [408, 409, 425, 499, 500, 503])
def test_a_create_is_sent_again_where_the_backend_declares_that_a_status_refuses(
    serve: Any, clock: Any, drive: Drive, prediction: Any, status: int
) -> None:
    class Busy(HTTPBackend):
        abilities = HTTPBackend.abilities._replace(refuses={status})

    answers = [(status, {}, b"{}"), (201, {}, json.dumps(prediction()).encode())]
    origin = serve(lambda _: answers.pop(0))
    with Client("r8_secret", backend=Busy(), base_url=origin.url) as client:
        assert drive(client.predictions.async_create("f" * 64, {})).id == "p1"
    assert answers == []


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("status", [408, 409, 425, 499])
def test_what_costs_no_money_has_the_error_that_the_api_gave(
    connect: Connect, clock: Any, drive: Drive, status: int, method: str
) -> None:
    client, _ = connect(httpx.Response(status, json={"detail": "A model of this name exists."}), retries=0)
    with pytest.raises(APIError, match="A model of this name exists"):
        drive(client.async_request(method, "models", json={"name": "a"}))


def test_a_cancel_is_sent_again(connect: Connect, clock: Any, drive: Drive, prediction: Any) -> None:
    client, requests = connect(CUT, failing(500), prediction(status="canceled"))
    assert drive(client.predictions.async_cancel("p1")).status == "canceled"
    assert len(requests) == 3


@pytest.mark.parametrize(
    ("trouble", "kind"), [(REFUSED, ConnectFailed), (CUT, ConnectionLost), (SLOW, RequestTimeout)]
)
def test_the_last_error_is_raised_in_the_end(
    connect: Connect, clock: Any, trouble: Any, kind: type[Exception]
) -> None:
    client, requests = connect(trouble, retries=2)
    with pytest.raises(kind):
        client.predictions.get("p1")
    assert len(requests) == 3


def test_the_last_answer_stands_in_the_end(connect: Connect, clock: Any) -> None:
    client, requests = connect(throttled(**{"Retry-After": "3"}), retries=1)
    with pytest.raises(RateLimited) as caught:
        client.predictions.get("p1")
    assert caught.value.retry_after == 3.0
    assert len(requests) == 2
    client, requests = connect(failing(502), retries=0)
    with pytest.raises(ServerError):
        client.predictions.get("p1")
    assert len(requests) == 1


def test_what_cannot_be_sent_is_not_sent_again(connect: Connect, clock: Any) -> None:
    client, requests = connect(httpx.UnsupportedProtocol("no such scheme"))
    with pytest.raises(Exception, match="the request cannot be sent"):
        client.predictions.get("p1")
    assert len(requests) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422])
def test_a_refusal_is_final(connect: Connect, clock: Any, status: int) -> None:
    client, requests = connect(failing(status))
    with pytest.raises(Exception, match=str(status)):
        client.predictions.get("p1")
    assert len(requests) == 1


def test_a_body_that_is_gone_once_it_was_read_is_not_sent_again(clock: Any) -> None:
    class Refusing:
        sent = 0

        async def send(self, request: Request, /, *, stream: bool = False) -> Response:
            self.sent += 1
            raise ConnectFailed("refused")

        async def aclose(self) -> None:
            """Hold nothing."""

    inner = Refusing()
    retrying = Retrying(inner, runtime(True))
    request = Request("PUT", "https://api.test/v1/x", body=Once([b"once"]))
    with pytest.raises(ConnectFailed):
        run(retrying.send(request))
    assert inner.sent == 1
    run(retrying.aclose())


# When.


def test_the_pause_is_what_the_server_asked_for_and_a_little(
    connect: Connect, clock: Any, prediction: Any
) -> None:
    client, _ = connect(throttled(**{"Retry-After": "7"}), prediction())
    client.predictions.get("p1")
    (slept,) = clock.slept
    assert 7 <= slept < 7.2


def test_a_pause_that_is_too_long_is_not_waited_for(connect: Connect, clock: Any) -> None:
    client, requests = connect(throttled(**{"Retry-After": "3600"}))
    with pytest.raises(RateLimited) as caught:
        client.predictions.create("f" * 64, {})
    assert caught.value.retry_after == 3600
    assert len(requests) == 1
    assert clock.slept == []


@given(st.integers(0, 20), st.floats(0, 1, exclude_max=True))
def test_back_off_is_between_nothing_and_a_limit_that_doubles(attempt: int, chance: float) -> None:
    policy = RetryPolicy(first_wait=0.5, longest_wait=60, jitter=lambda: chance)
    assert 0 <= policy.back_off(attempt) <= min(60, 0.5 * 2**attempt)


def asked(status: int = 429, body: str = "", **headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return retry_after(httpx.Response(status, headers=named, text=body))


@pytest.mark.parametrize(("header", "seconds"), [("0", 0), ("7", 7), (" 1.5 ", 1.5)])
def test_the_header_names_seconds(header: str, seconds: float) -> None:
    assert asked(retry_after=header) == seconds


def test_the_header_names_a_date_by_the_servers_clock() -> None:
    sent = datetime(2001, 1, 1, tzinfo=UTC)
    for at in (sent + timedelta(seconds=90), sent - timedelta(seconds=90)):
        seconds = asked(retry_after=format_datetime(at, usegmt=True), date=format_datetime(sent, usegmt=True))
        assert seconds == max(0.0, (at - sent).total_seconds())


def test_a_date_without_a_servers_clock_is_by_ours() -> None:
    assert asked(retry_after="Fri, 31 Dec 1999 23:59:59 -0000") == 0
    far = asked(retry_after="Fri, 31 Dec 2100 23:59:59 GMT")
    assert far is not None
    assert far > 10**9


@pytest.mark.parametrize("header", ["soon", "-5", "", "1e3", "Fri, 99 Dec 1999 23:59:59 GMT"])
def test_a_header_that_says_nothing_is_ignored(header: str) -> None:
    assert asked(retry_after=header) is None


@given(st.text(st.characters(codec="ascii", exclude_categories=("Cc",))))
def test_no_header_breaks_the_reading(header: str) -> None:
    seconds = asked(retry_after=header.strip())
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ('{"detail": "Your rate limit resets in ~30s.", "status": 429, "retry_after":12.5}', 12.5),
        ("Request was throttled. Your rate limit resets in ~30s.", 30),
        ("Request was throttled. Expected available in 1 second.", 1),
        ("Request was throttled.", None),
    ],
)
def test_the_body_names_the_time_too(body: str, seconds: float | None) -> None:
    assert asked(body=body) == seconds
    assert asked(status=400, body=body) is None


def test_the_body_is_heeded_where_there_is_no_header(connect: Connect, clock: Any, prediction: Any) -> None:
    limited = httpx.Response(429, json={"detail": "Your rate limit resets in ~30s.", "status": 429})
    client, requests = connect(limited, prediction())
    client.predictions.create("f" * 64, {})
    assert len(requests) == 2
    assert clock.slept[0] >= 30


def test_cancelling_ends_the_waiting(connect: Connect) -> None:
    client, requests = connect(throttled(**{"Retry-After": "50"}))

    async def main() -> None:
        async with asyncio.timeout(0.05):
            await client.predictions.async_get("p1")

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert len(requests) == 1


def test_a_stream_that_is_refused_is_asked_for_again(connect: Connect, clock: Any, drive: Drive) -> None:
    client, requests = connect(failing(503), httpx.Response(200, content=b"bytes"))

    async def read() -> bytes:
        response = await client.session.open("https://elsewhere.test/file")
        try:
            return await response.aread()
        finally:
            await response.aclose()

    assert drive(read()) == b"bytes"
    assert len(requests) == 2
