"""`wait(timeout=…)` ends in time, whatever the API does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from replicate_kit import Client, Prediction
from replicate_kit.errors import (
    NotFound,
    PredictionTimeout,
    RateLimited,
    RequestTimeout,
    ServerError,
    TransportError,
)
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]


@pytest.fixture
def hanging(serve: Any) -> Iterator[Client]:
    """A client of an API that takes requests and does not answer them."""
    released = threading.Event()

    def hang(_: Any) -> Any:
        released.wait()
        return 503, {}, (b"late" for _ in range(1))

    with Client("r8_secret", base_url=serve(hang).url, poll_interval=0.01) as client:
        yield client
        released.set()


def test_an_api_that_does_not_answer_is_not_waited_for(hanging: Client, drive: Drive) -> None:
    prediction = Prediction({"id": "p1", "status": "processing"}, hanging.session)
    with pytest.raises(PredictionTimeout, match=r"still 'processing' after 0\.2 s") as caught:
        drive(prediction.async_wait(0.2))
    assert isinstance(caught.value.__cause__, TransportError)
    assert caught.value.prediction is prediction


def test_a_request_gets_no_more_time_than_is_left(connect: Connect, clock: Any, prediction: Any) -> None:
    client, requests = connect(prediction(status="processing"))
    with pytest.raises(PredictionTimeout):
        Prediction(prediction(), client.session).wait(5)
    assert [request.extensions["timeout"]["read"] <= 5 for request in requests] == [True] * len(requests)


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (httpx.Response(502), ServerError),
        (httpx.Response(429, headers={"Retry-After": "40"}), RateLimited),
        (httpx.ReadTimeout("slow"), RequestTimeout),
    ],
    ids=["bad gateway", "throttled", "silence"],
)
def test_trouble_that_lasts_is_the_cause_of_the_timeout(
    connect: Connect, clock: Any, prediction: Any, drive: Drive, trouble: Any, kind: type[Exception]
) -> None:
    client, _ = connect(trouble, retries=50)
    began = clock.time
    with pytest.raises(PredictionTimeout) as caught:
        drive(Prediction(prediction(), client.session).async_wait(30))
    assert isinstance(caught.value.__cause__, kind)
    assert clock.time - began == pytest.approx(30)


def test_trouble_that_passes_is_no_trouble(
    connect: Connect, clock: Any, prediction: Any, drive: Drive
) -> None:
    client, _ = connect(httpx.Response(502), httpx.ConnectError("refused"), prediction(status="succeeded"))
    waited_for = Prediction(prediction(), client.session)
    drive(waited_for.async_wait(60))
    assert waited_for.status == "succeeded"


def test_an_error_that_waiting_cannot_cure_is_raised_at_once(
    connect: Connect, clock: Any, prediction: Any, drive: Drive
) -> None:
    client, requests = connect(httpx.Response(404))
    with pytest.raises(NotFound):
        drive(Prediction(prediction(), client.session).async_wait(60))
    assert len(requests) == 1


def test_an_output_that_is_there_is_taken_however_little_time_is_left(
    connect: Connect, clock: Any, prediction: Any, drive: Drive
) -> None:
    client, requests = connect(prediction(status="succeeded", output="HI"))
    held = Prediction(prediction(status="processing", output="HI"), client.session)
    drive(held.async_wait(0))
    assert held.status == "succeeded"
    assert requests[0].extensions["timeout"]["read"] == 10
