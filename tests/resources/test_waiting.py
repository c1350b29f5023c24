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
from replicate_kit.resources._jobs import lifecycle
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


LATE = httpx.Response(404, json={"detail": "not found"})


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("step", ["async_wait", "async_reload", "async_cancel"])
@pytest.mark.parametrize("kind", ["predictions", "trainings"])
def test_one_that_was_just_created_may_not_be_found_for_a_while(
    connect: Connect, clock: Any, prediction: Any, drive: Drive, kind: str, step: str, times: int
) -> None:
    client, requests = connect(prediction(), *[LATE] * times, prediction(status="succeeded"))
    created = drive(create(client, kind))
    drive(getattr(created, step)())
    assert created.status == "succeeded"
    assert len(requests) == times + 2


@pytest.mark.parametrize("step", ["async_wait", "async_reload", "async_cancel"])
@pytest.mark.parametrize("kind", ["predictions", "trainings"])
def test_one_that_is_not_found_for_long_is_an_error_that_carries_it(
    connect: Connect, clock: Any, prediction: Any, drive: Drive, kind: str, step: str
) -> None:
    client, _ = connect(prediction(), LATE)
    created, began = drive(create(client, kind)), clock.time
    with pytest.raises(NotFound) as caught:
        drive(getattr(created, step)())
    assert caught.value.prediction is created
    assert 5 < clock.time - began <= lifecycle.APPEARS_WITHIN


def test_a_run_waits_for_its_prediction_to_be_found(
    connect: Connect, clock: Any, prediction: Any, drive: Drive
) -> None:
    done = prediction(status="succeeded", output="HI")
    client, _ = connect({"latest_version": None}, prediction(), LATE, LATE, done)
    assert drive(client.async_run("acme/shout", {"text": "hi"}, check_input=False)) == "HI"


def test_a_deadline_comes_before_one_that_is_late(
    connect: Connect, clock: Any, prediction: Any, drive: Drive
) -> None:
    client, _ = connect(prediction(), LATE)
    created, began = drive(create(client, "predictions")), clock.time
    with pytest.raises(PredictionTimeout) as caught:
        drive(created.async_wait(3))
    assert isinstance(caught.value.__cause__, NotFound)
    assert clock.time - began == pytest.approx(3)


@pytest.mark.parametrize("times", [1, 2])
def test_a_stream_that_is_late_is_read_from_its_begin(
    connect: Connect, clock: Any, prediction: Any, drive: Drive, times: int
) -> None:
    urls = {"urls": {"stream": "https://stream.test/1"}}
    events = b"event: output\nid: 1\ndata: hi\n\nevent: done\nid: 2\ndata: {}\n\n"
    headers = {"content-type": "text/event-stream"}
    client, _ = connect(
        prediction(**urls), *[LATE] * times, httpx.Response(200, headers=headers, content=events)
    )

    async def read() -> list[str]:
        created = await create(client, "predictions")
        return [str(event) async for event in created.async_stream() if event.event == "output"]

    assert drive(read()) == ["hi"]


def create(client: Client, kind: str) -> Any:
    """Create one of a kind."""
    if kind == "predictions":
        return client.predictions.async_create("f" * 64, {})
    return client.trainings.async_create(f"acme/shout:{'f' * 64}", {}, "acme/mine")
