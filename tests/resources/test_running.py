"""`run` and `stream`: what they give, what they cost, and what becomes of a run that is given up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from replicate_kit import Client, FileOutput, OutputIterator, Prediction, hookimpl
from replicate_kit import simulator as simulation
from replicate_kit.errors import (
    ConnectFailed,
    FileError,
    InputError,
    InvalidReference,
    ModelError,
    NotFound,
    PluginError,
    PredictionCanceled,
    PredictionTimeout,
    ServerError,
    StreamError,
)
from replicate_kit.schema import ConcatenateIterator
from replicate_kit.simulator import Simulator
from replicate_kit.testing.suites import Drive
from tests.layers import Between
from tests.waiting import interrupt_when

Connect = Callable[..., tuple[Client, list[httpx.Request]]]
SMALL = {"prompt": "sea", "width": 16, "height": 16}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulator with one model of each kind."""
    with simulation.install(Simulator()) as simulator:

        @simulator.model("acme/shout")
        def shout(text: str, times: int = 1) -> str:
            return text.upper() + "!" * times

        @simulator.model("acme/community", official=False)
        def community(text: str) -> dict[str, str]:
            return {"said": text}

        @simulator.model("acme/words")
        def words(count: int) -> ConcatenateIterator[str]:
            for number in range(count):
                yield f"{number} "

        @simulator.model("acme/numbers")
        def numbers(count: int) -> Iterator[int]:
            yield from range(count)

        @simulator.model("acme/breaks")
        def breaks(text: str) -> ConcatenateIterator[str]:
            yield text
            raise RuntimeError("out of memory")

        simulator.deployment("shouter", model="acme/shout")
        yield simulator


def status_of_the_last(client: Client) -> str:
    return str(client.predictions.list()[0].status)


# What it gives.


@pytest.mark.parametrize("wait", [True, 1, False])
@pytest.mark.parametrize("style", ["recorded", "terminal"])
def test_run_gives_the_output(drive: Drive, wait: bool | int, style: Any) -> None:
    with Simulator(wait_style=style) as simulator:
        simulator.model("acme/shout")(lambda text: text.upper())
        client = Client(backend=simulator, poll_interval=0.01)
        assert drive(client.async_run("acme/shout", {"text": "hi"}, wait=wait)) == "HI"
        assert simulator.created == 1


def test_run_takes_every_way_of_naming_a_model(client: Client, simulator: Simulator, drive: Drive) -> None:
    model = client.models.get("acme/community")
    assert model.latest_version is not None
    version = model.latest_version.id
    for ref in (
        "acme/community",
        f"acme/community:{version}",
        version,
        model,
        model.latest_version,
        model.reference,
    ):
        assert drive(client.async_run(ref, {"text": "hi"})) == {"said": "hi"}
    assert drive(client.async_run("deployments/local/shouter", {"text": "hi"})) == "HI!"


def test_files_are_told_by_the_models_schema(client: Client, drive: Drive) -> None:
    (picture,) = drive(client.async_run("demo/painter", SMALL))
    assert isinstance(picture, FileOutput)
    assert drive(picture.async_read()).startswith(b"\x89PNG")
    text = drive(client.async_run("acme/community", {"text": "https://files.replicate.test/x.png"}))["said"]
    assert type(text) is str


def test_a_file_of_one_model_is_the_input_of_the_next(
    client: Client, simulator: Simulator, drive: Drive
) -> None:
    simulator.model("acme/link")(lambda text: text)
    (picture,) = drive(client.async_run("demo/painter", SMALL))
    assert drive(client.async_run("acme/link", {"text": picture})) == str(picture)


def test_a_model_that_gives_pieces_gives_them_as_they_come(client: Client, drive: Drive) -> None:
    words = drive(client.async_run("acme/words", {"count": 3}))
    assert isinstance(words, OutputIterator)
    assert list(words) == list(words) == ["0 ", "1 ", "2 "]
    assert str(words) == "0 1 2 "
    assert words.prediction.id in repr(words)

    async def collect() -> list[Any]:
        return [number async for number in await client.async_run("acme/numbers", {"count": 3})]

    assert drive(collect()) == [0, 1, 2]


def test_pieces_of_a_text_are_joined_where_the_whole_is_asked_for(client: Client, drive: Drive) -> None:
    assert drive(client.async_run("acme/words", {"count": 3}, timeout=60)) == "0 1 2 "
    assert drive(client.async_run("acme/numbers", {"count": 3}, timeout=60)) == [0, 1, 2]


def test_a_failing_model_raises_its_error_after_its_pieces(client: Client) -> None:
    given: list[str] = []
    with pytest.raises(ModelError, match="out of memory") as caught:
        given.extend(client.run("acme/breaks", {"text": "some"}))
    assert given == ["some"]
    assert caught.value.prediction.status == "failed"


def test_progress_is_told(client: Client, drive: Drive) -> None:
    seen: list[str] = []
    drive(
        client.async_run(
            "demo/slow", {"seconds": 0.1}, wait=False, progress=lambda each: seen.append(each.status)
        )
    )
    assert seen[-1] == "succeeded"


def test_a_held_answer_with_its_output_is_looked_at_once_and_at_once(
    connect: Connect, clock: Any, prediction: Any, drive: Drive
) -> None:
    client, requests = connect(
        {"owner": "acme", "name": "shout", "is_official": True},
        prediction(status="processing", output="HI"),
        prediction(status="succeeded", output="HI"),
    )
    assert drive(client.async_run("acme/shout", {"text": "hi"})) == "HI"
    assert clock.slept == []
    assert len(requests) == 3


def test_a_held_answer_without_output_is_not_done(connect: Connect, clock: Any, prediction: Any) -> None:
    client, _ = connect(
        {"owner": "acme", "name": "shout", "is_official": True},
        prediction(status="processing"),
        prediction(status="processing"),
        prediction(status="succeeded", output="HI"),
    )
    assert client.run("acme/shout", {"text": "hi"}) == "HI"
    assert len(clock.slept) == 2


# Before anything is spent.


@pytest.mark.parametrize(
    ("ref", "input", "kind", "text"),
    [
        ("acme/nothing", {}, NotFound, "There is no model 'acme/nothing'"),
        ("deployments/local/nothing", {}, NotFound, "There is no deployment 'deployments/local/nothing'"),
        ("shout", {}, InvalidReference, "does not name a model"),
        (object(), {}, InvalidReference, "does not name what to run"),
        (
            "acme/shout",
            {"text": "hi", "times": "often"},
            InputError,
            r"input.times: Invalid type.*\n.*Its inputs are: text, times",
        ),
        ("acme/shout", {}, InputError, "text is required"),
        ("acme/shout", "hi", InputError, "input is 'hi', not a mapping"),
    ],
)
def test_what_would_be_refused_costs_nothing(
    client: Client, simulator: Simulator, drive: Drive, ref: Any, input: Any, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        drive(client.async_run(ref, input))
    assert simulator.created == 0


def test_an_option_that_does_not_exist_is_refused(client: Client, simulator: Simulator) -> None:
    with pytest.raises(TypeError, match="There is no option 'webook'"):
        client.run("acme/shout", {"text": "hi"}, webook="https://example.com")  # type: ignore[call-arg]
    with pytest.raises(InputError, match="progress=True is no function"):
        client.run("acme/shout", {"text": "hi"}, progress=True)  # type: ignore[arg-type]
    assert simulator.created == 0


def test_the_check_can_be_left_to_the_api(client: Client, simulator: Simulator) -> None:
    with pytest.raises(Exception, match="422"):
        client.run("acme/shout", {"text": 7}, check_input=False)
    assert simulator.created == 0


def test_a_path_as_text_is_refused_with_how_to_pass_a_file(client: Client, simulator: Simulator) -> None:
    @simulator.model("acme/size")
    def size(image: Path) -> int:
        return image.stat().st_size

    with pytest.raises(InputError, match=r"format 'uri'.*\n.*A local file is passed as pathlib\.Path"):
        client.run("acme/size", {"image": "sea.png"})
    with pytest.raises(InputError) as caught:
        client.run("acme/size", {})
    assert "pathlib" not in str(caught.value)


def test_a_model_is_looked_up_once(client: Client, simulator: Simulator, drive: Drive) -> None:
    for number in range(3):
        drive(client.async_run("acme/shout", {"text": str(number)}))
    assert simulator.calls["models.get"] == 1


# Giving up.


def test_a_timeout_cancels_and_tells(client: Client, drive: Drive) -> None:
    with pytest.raises(PredictionTimeout, match=r"is still '(processing|starting)'") as caught:
        drive(client.async_run("demo/slow", {"seconds": 60}, timeout=0.05))
    assert caught.value.prediction.status == "canceled"
    assert f"The prediction {caught.value.prediction.id} is now 'canceled'." in caught.value.__notes__
    assert status_of_the_last(client) == "canceled"


@pytest.mark.parametrize("timeout", [0.05, 0.25, pytest.param(1.5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("wait", [True, False])
def test_a_timeout_tells_the_time_that_was_given_and_what_becomes_of_it(
    client: Client, drive: Drive, timeout: float, wait: bool
) -> None:
    for options, said in (({}, "So it is being canceled"), ({"cancel_on_exit": False}, "It runs on")):
        with pytest.raises(PredictionTimeout, match=f" after {timeout:g} s") as caught:
            drive(client.async_run("demo/slow", {"seconds": 60}, timeout=timeout, wait=wait, **options))
        assert said in str(caught.value)
        assert ("It runs on" in str(caught.value)) is bool(options)
        running = client.predictions.get(caught.value.prediction.id)
        assert (running.status == "canceled") is not bool(options)
        running.cancel()


def test_a_timeout_bounds_how_long_the_answer_is_held(connect: Connect, clock: Any, prediction: Any) -> None:
    model = {"owner": "acme", "name": "shout", "is_official": True}
    for timeout, header in ((7.9, "wait=7"), (0.5, None), (500, "wait=60")):
        client, requests = connect(model, prediction(status="succeeded", output="HI"))
        client.run("acme/shout", {"text": "hi"}, timeout=timeout)
        assert requests[1].headers.get("prefer") == header


def test_a_run_may_be_left_running(client: Client, drive: Drive) -> None:
    with pytest.raises(PredictionTimeout) as caught:
        drive(client.async_run("demo/slow", {"seconds": 60}, timeout=0.05, cancel_on_exit=False))
    assert client.predictions.get(caught.value.prediction.id).status == "processing"
    client.predictions.cancel(caught.value.prediction.id)


@pytest.mark.parametrize("library", ["asyncio", "trio"])
@pytest.mark.parametrize("wait", [True, False], ids=["held", "polled"])
def test_a_cancelled_task_cancels_its_prediction(client: Client, library: str, wait: bool) -> None:
    async def main() -> None:
        with anyio.move_on_after(0.1):
            await client.async_run("demo/slow", {"seconds": 60}, wait=wait)
        assert (await client.predictions.async_list())[0].status == "canceled"

    anyio.run(main, backend=library)


def test_a_task_that_is_cancelled_twice_still_cancels_its_prediction(client: Client) -> None:
    async def main() -> None:
        task = asyncio.create_task(client.async_run("demo/slow", {"seconds": 60}, wait=False))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert status_of_the_last(client) == "canceled"


def test_a_misspelt_input_is_told_which_one_was_meant(client: Client, drive: Drive) -> None:
    with pytest.raises(InputError, match="Did you mean 'prompt'") as caught:
        drive(client.async_run("demo/painter", {"promt": "sea"}))
    assert "prompt is required" in str(caught.value)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("wait", [True, False], ids=["held", "polled"])
def test_ctrl_c_cancels_the_prediction(client: Client, wait: bool) -> None:
    interrupt_when(lambda: len(client.predictions.list()))
    with pytest.raises(KeyboardInterrupt) as caught:
        client.run("demo/slow", {"seconds": 60}, wait=wait)
    assert status_of_the_last(client) == "canceled"
    assert "is now 'canceled'" in caught.value.__notes__[0]


class Interrupting(Between):
    """A layer that is interrupted while a create is held, as Ctrl-C does."""

    def __init__(self, then: Any = None) -> None:
        self.then = then

    async def send(self, request: Any, /, *, stream: bool = False) -> Any:
        if request.method == "GET" and request.url.path.endswith("/predictions") and self.then is not None:
            raise self.then
        request.headers.pop("prefer", None)  # it is we who hold the answer
        response = await self.inner.send(request, stream=stream)
        if request.method == "POST" and request.url.path.endswith("/predictions"):
            raise KeyboardInterrupt
        return response  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Hold nothing."""


@pytest.fixture
def interrupted(simulator: Simulator) -> Callable[..., Client]:
    return lambda **options: Client(
        backend=simulator, poll_interval=0.01, plugins=[Interrupting(**options)], retries=0
    )


def test_a_create_that_was_interrupted_is_found_and_canceled(
    interrupted: Callable[..., Client], client: Client, drive: Drive
) -> None:
    other = client.predictions.create("demo/slow", {"seconds": 60})  # not the same input
    with pytest.raises(KeyboardInterrupt) as caught:
        drive(interrupted().async_run("demo/slow", {"seconds": 61}))
    assert "is now 'canceled'" in caught.value.__notes__[0]
    assert [each.status for each in client.predictions.list()] == ["canceled", "processing"]
    other.cancel()


def test_where_it_might_be_another_one_nothing_is_canceled(
    interrupted: Callable[..., Client], client: Client, drive: Drive
) -> None:
    client.predictions.create("demo/slow", {"seconds": 60})
    with pytest.raises(KeyboardInterrupt) as caught:
        drive(interrupted().async_run("demo/slow", {"seconds": 60}))
    listed = client.predictions.list()
    assert all(each.id in caught.value.__notes__[0] for each in listed)
    assert "may have been created and run on" in caught.value.__notes__[0]
    for each in listed:
        assert each.status in ("starting", "processing")
        each.cancel()


def test_where_it_cannot_be_looked_for_the_way_to_look_is_named(interrupted: Callable[..., Client]) -> None:
    client = interrupted(then=ConnectFailed("gone"))
    with pytest.raises(KeyboardInterrupt) as caught:
        client.run("demo/slow", {"seconds": 60})
    assert "client.predictions.list() shows it if so" in caught.value.__notes__[0]


def test_a_version_is_looked_for_by_its_id(interrupted: Callable[..., Client], client: Client) -> None:
    version = client.models.get("acme/community").latest_version
    assert version is not None
    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted().run(version.id, {"text": "hi"})
    assert "A prediction of" in caught.value.__notes__[0] or "is now" in caught.value.__notes__[0]


def test_a_prediction_that_cannot_be_canceled_is_named(connect: Connect, clock: Any, prediction: Any) -> None:
    def api(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/cancel"):
            return httpx.Response(500)
        if request.method == "POST":
            return httpx.Response(201, json=prediction())
        if request.url.path.endswith("/p1"):
            return httpx.Response(200, json=prediction(status="processing"))
        return httpx.Response(200, json={"owner": "acme", "name": "shout", "is_official": True})

    client, requests = connect(api)
    with pytest.raises(PredictionTimeout) as caught:
        client.run("acme/shout", {}, timeout=1)
    assert "p1 could not be canceled and may still run" in caught.value.__notes__[0]
    cancels = [request for request in requests if request.url.path.endswith("/cancel")]
    assert len(cancels) == 2
    assert cancels[0].extensions["timeout"]["read"] == 10


def test_an_error_on_the_way_carries_the_prediction(
    connect: Connect, clock: Any, prediction: Any, drive: Drive
) -> None:
    def api(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(201, json=prediction())
        if request.url.path.endswith("/p1"):
            return httpx.Response(500)
        return httpx.Response(200, json={"owner": "acme", "name": "shout", "is_official": True})

    client, _ = connect(api)
    with pytest.raises(ServerError) as caught:
        drive(client.async_run("acme/shout", {}))
    assert caught.value.prediction is not None
    assert caught.value.prediction.id == "p1"
    assert "was created and runs on: client.predictions.get('p1')" in caught.value.__notes__[0]


@pytest.mark.parametrize("error", [RuntimeError("broken plugin"), FileError("no space")])
def test_an_error_after_the_success_names_the_prediction(
    simulator: Simulator, error: Exception, drive: Drive
) -> None:
    class Plugin:
        @hookimpl
        def replicate_decode_output(self, value: Any, prediction: Prediction) -> Any:
            raise error

    client = Client(backend=simulator, poll_interval=0.01, plugins=[Plugin()])
    with pytest.raises(FileError if isinstance(error, FileError) else PluginError) as caught:
        drive(client.async_run("acme/shout", {"text": "hi"}))
    assert any("was created and succeeded" in each for each in caught.value.__notes__)
    assert caught.value.prediction is not None
    assert caught.value.prediction.status == "succeeded"


@pytest.mark.parametrize("wait", [False, True])
def test_a_prediction_that_somebody_cancels_is_an_error(client: Client, wait: bool) -> None:
    def cancel() -> None:
        while not (listed := client.predictions.list().results):
            time.sleep(0.01)
        client.predictions.cancel(listed[0].id)

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(PredictionCanceled):
        client.run("demo/slow", {"seconds": 60}, wait=wait)
    thread.join()


# Streams.


def collected(client: Client, ref: Any, input: Any) -> Any:
    async def main() -> list[str]:
        return [str(event) async for event in client.async_stream(ref, input)]

    return main()


def test_stream_gives_events_as_they_come(client: Client, drive: Drive) -> None:
    assert "".join(drive(collected(client, "acme/words", {"count": 3}))) == "0 1 2 "
    events = list(client.stream("acme/words", {"count": 2}))
    assert [event.event for event in events] == ["output", "output", "done"]


def test_a_model_that_fails_while_it_streams_raises(client: Client) -> None:
    given: list[str] = []
    with pytest.raises(ModelError, match="out of memory") as caught:
        given.extend(str(event) for event in client.stream("acme/breaks", {"text": "some"}))
    assert "".join(given) == "some"
    assert caught.value.prediction.status == "failed"


def test_a_stream_that_somebody_cancels_is_an_error(client: Client) -> None:
    def read() -> None:
        for event in client.stream("demo/poet", {"prompt": "sea", "delay": 0.05, "lines": 64}):
            if event.event == "output":
                client.predictions.cancel(client.predictions.list()[0].id)

    with pytest.raises(PredictionCanceled):
        read()


def test_a_stream_may_be_left_early(client: Client) -> None:
    async def first() -> str:
        async with aclosing(client.async_stream("acme/words", {"count": 100})) as events:
            async for event in events:
                return str(event)
        return ""

    assert asyncio.run(first()) == "0 "
    assert str(next(client.stream("acme/words", {"count": 100}))) == "0 "


@pytest.mark.parametrize(
    ("output", "texts"),
    [
        ("HELLO", ["HELLO"]),
        (["a ", "b"], ["a ", "b"]),
        ({"mood": "glad"}, ['{"mood": "glad"}']),
        ([0.5, None], ["0.5", "null"]),
        (7, ["7"]),
        (None, []),
        ("", [""]),
    ],
)
def test_a_model_without_a_stream_gives_its_output_at_the_end(
    connect: Connect, prediction: Any, drive: Drive, output: Any, texts: list[str]
) -> None:
    client, requests = connect(
        {"owner": "acme", "name": "shout", "is_official": True},
        prediction(urls={}),
        prediction(urls={}, status="processing"),
        prediction(urls={}, status="succeeded", output=output),
    )
    assert drive(collected(client, "acme/shout", {})) == [*texts, ""]  # the last one is done
    assert [each.method for each in requests].count("POST") == 1


def test_a_model_without_a_stream_that_fails_says_so_with_its_prediction(
    client: Client, simulator: Simulator
) -> None:
    @simulator.model("acme/broken")
    def broken() -> str:
        raise ValueError("no paint left")

    with pytest.raises(ModelError, match="no paint left") as caught:
        list(client.stream("acme/broken", {}))
    assert caught.value.prediction is not None


def test_what_keeps_a_model_without_a_stream_from_being_waited_for_names_the_prediction(
    connect: Connect, prediction: Any, drive: Drive
) -> None:
    client, _ = connect(
        {"owner": "acme", "name": "shout", "is_official": True},
        prediction(urls={}),
        httpx.Response(403, json={"detail": "not yours"}),
    )
    with pytest.raises(StreamError, match=r"p1 broke off.*not yours[\s\S]*runs on") as caught:
        drive(collected(client, "acme/shout", {}))
    assert caught.value.prediction is not None


def test_a_refused_input_lists_all_that_is_wrong(client: Client) -> None:
    with pytest.raises(InputError) as caught:
        client.run("demo/painter", {"width": 1, "num_outputs": 99})
    assert str(caught.value).count("\n- ") == 3
