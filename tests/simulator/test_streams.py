from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from replicate_kit._formats.sse import Decoder, ServerSentEvent
from replicate_kit._runtime.blocking import run
from replicate_kit._runtime.runtimes import runtime
from replicate_kit.schema import ConcatenateIterator
from replicate_kit.simulator import Simulator, log, sleep
from replicate_kit.simulator._api.streaming import EventBody
from replicate_kit.simulator._service.lifecycle import Lifecycle
from replicate_kit.transport import Request

Send = Callable[..., httpx.Response]


def start(send: Send, model: str, **input: Any) -> dict[str, Any]:
    return dict(send("POST", f"/models/{model}/predictions", json={"input": input}).json())


def events(response: Any) -> list[ServerSentEvent]:
    return list(Decoder().feed(response.content))


def letters(text: str) -> ConcatenateIterator[str]:
    yield from text


def test_pieces_come_as_output_events(simulator: Simulator, send: Send) -> None:
    simulator.model("acme/letters")(letters)
    created = start(send, "acme/letters", text="ab\nc")
    response = send("GET", created["urls"]["stream"])
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.content.startswith(b": hi\n\n")
    found = events(response)
    assert [(each.event, each.data) for each in found] == [
        *[("output", letter) for letter in "ab\nc"],
        ("done", "{}"),
    ]
    times, numbers = zip(*(each.id.split(":") for each in found), strict=True)
    assert [int(number) for number in numbers] == [0, 1, 2, 3, 4]
    assert all(time.isdigit() for time in times)


def test_lines_of_data_stay_lines(simulator: Simulator, ask: Send) -> None:
    simulator.model("acme/letters")(letters)

    @simulator.model("acme/lines")
    def lines() -> Iterator[str]:
        yield "a\r\nb\rc\u2028d"

    assert events(ask("GET", start(ask, "acme/lines")["urls"]["stream"]))[0].data == "a\nb\nc\u2028d"


def test_events_come_while_the_model_works(simulator: Simulator, drive: Any, ask: Send) -> None:
    go = threading.Event()

    @simulator.model("acme/slow")
    def slow() -> Iterator[str]:
        yield "first"
        go.wait(10)
        yield "second"

    created = start(ask, "acme/slow")

    async def operation(runtime: Any) -> bytes:
        response = await simulator.handle(Request("GET", created["urls"]["stream"]), runtime)
        seen = b""
        async for chunk in response.aiter_bytes():
            seen += chunk
            if b"first" in chunk:
                assert b"second" not in seen
                go.set()
        return seen

    assert b"data: second" in drive(operation)


def test_logs_errors_and_ends_are_told(simulator: Simulator, ask: Send) -> None:
    @simulator.model("acme/breaks")
    def breaks() -> Iterator[str]:
        log("Loading")
        yield "a"
        raise ValueError("out of paper")

    found = events(ask("GET", start(ask, "acme/breaks")["urls"]["stream"]))
    assert [each.event for each in found] == ["logs", "output", "logs", "error", "done"]
    assert found[0].data == "Loading\n"
    assert json.loads(found[3].data) == {"detail": "out of paper"}
    assert json.loads(found[4].data) == {"reason": "error"}


def test_a_cancel_ends_the_stream(simulator: Simulator, ask: Send) -> None:
    started = threading.Event()

    @simulator.model("acme/patient")
    def patient() -> Iterator[str]:
        yield "a"
        started.set()
        sleep(60)

    created = start(ask, "acme/patient")
    assert started.wait(10)
    ask("POST", f"/predictions/{created['id']}/cancel")
    assert json.loads(events(ask("GET", created["urls"]["stream"]))[-1].data) == {"reason": "canceled"}


def test_a_stream_is_taken_up_after_the_last_event(simulator: Simulator, send: Send) -> None:
    simulator.model("acme/letters")(letters)
    url = start(send, "acme/letters", text="abcd")["urls"]["stream"]
    whole = events(send("GET", url))
    rest = events(send("GET", url, headers={"Last-Event-ID": whole[1].id}))
    assert rest == whole[2:]
    assert events(send("GET", url, headers={"Last-Event-ID": whole[-1].id})) == []
    for strange in ("x", "1:", "1:²", "", "1:99999999999"):
        assert events(send("GET", url, headers={"Last-Event-ID": strange.encode()})) == whole


def test_files_stream_as_urls_from_a_path_that_clients_know(simulator: Simulator, ask: Send) -> None:
    @simulator.model("acme/frames")
    def frames() -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    @simulator.model("acme/file")
    def file() -> bytes:
        return b"whole"

    created = start(ask, "acme/frames")
    assert created["urls"]["stream"].startswith("https://stream.replicate.test/v1/files/")
    urls = [each.data for each in events(ask("GET", created["urls"]["stream"])) if each.event == "output"]
    assert [ask("GET", url).content for url in urls] == [b"one", b"two"]
    single = events(ask("GET", start(ask, "acme/file")["urls"]["stream"]))
    assert ask("GET", single[0].data).content == b"whole"


def test_what_does_not_stream_has_no_stream(ask: Send) -> None:
    assert "stream" not in start(ask, "acme/shout", text="a")["urls"]


def test_streams_need_no_token_but_the_url(ask_of: Callable[..., Send]) -> None:
    simulator = Simulator(tokens=["t"])
    simulator.model("acme/letters")(letters)
    ask = ask_of(simulator)
    body = {"json": {"input": {"text": "a"}}, "headers": {"Authorization": "Bearer t"}}
    created = ask("POST", "/models/acme/letters/predictions", **body).json()
    assert len(events(ask("GET", created["urls"]["stream"]))) == 2
    guess = created["urls"]["stream"].replace(created["urls"]["stream"][-52:-26], "0" * 26)
    assert ask("GET", guess).status_code == 404
    assert ask("GET", "https://stream.replicate.test/v1/account").status_code == 404


def test_a_silent_stream_is_closed_with_a_comment(drive: Any, ask_of: Callable[..., Send]) -> None:
    simulator, release = Simulator(stream_idle=0.01), threading.Event()

    @simulator.model("acme/silent")
    def silent() -> Iterator[str]:
        release.wait(10)
        yield "a"

    ask = ask_of(simulator)
    created = start(ask, "acme/silent")
    assert ask("GET", created["urls"]["stream"]).content == b": hi\n\n:408: 408 Request Timeout\n\n"
    release.set()


def test_leaving_a_stream_early_harms_nobody(simulator: Simulator, drive: Any, ask: Send) -> None:
    simulator.model("acme/letters")(letters)
    created = start(ask, "acme/letters", text="abc")

    async def operation(runtime: Any) -> bytes:
        response = await simulator.handle(Request("GET", created["urls"]["stream"]), runtime)
        return await anext(response.aiter_bytes())

    assert drive(operation) == b": hi\n\n"


def test_several_may_listen_to_one_stream(simulator: Simulator, ask: Send) -> None:
    go, found = threading.Event(), []

    @simulator.model("acme/slow")
    def slow() -> Iterator[str]:
        go.wait(10)
        yield "now"

    created = start(ask, "acme/slow")

    def listen() -> None:
        response = run(simulator.handle(Request("GET", created["urls"]["stream"]), runtime(True)))
        run(response.aread())
        found.append(events(response)[0].data)

    listeners = [threading.Thread(target=listen) for _ in range(5)]
    for each in listeners:
        each.start()
    go.set()
    for each in listeners:
        each.join()
    assert found == ["now"] * 5


class Looked:
    """A prediction to which something happens when somebody looks at an attribute of it for the first time."""

    def __init__(self, prediction: Any, name: str, happens: Callable[[], object]) -> None:
        vars(self).update(_prediction=prediction, _name=name, _happens=happens)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._prediction, name, value)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._prediction, name)
        if name == self._name:
            vars(self)["_name"] = ""
            found = list(found) if isinstance(found, list) else found  # as it was before
            self._happens()
        return found


@pytest.mark.parametrize("looked_at", ["done", "events"])
@pytest.mark.parametrize(
    ("ending", "names"),
    [
        (lambda lifecycle, prediction: lifecycle.succeed(prediction, "all"), ["output", "done"]),
        (lambda lifecycle, prediction: lifecycle.fail(prediction, "out of paper"), ["error", "done"]),
        (lambda lifecycle, prediction: lifecycle.cancel(prediction), ["done"]),
    ],
    ids=["succeeds", "fails", "is canceled"],
)
def test_the_last_events_are_streamed_whenever_the_end_comes(
    simulator: Simulator,
    drive: Any,
    ask: Send,
    ending: Callable[[Lifecycle, Any], object],
    names: list[str],
    looked_at: str,
) -> None:
    @simulator.model("acme/patient")
    def patient() -> Iterator[str]:
        sleep(60)
        yield "late"

    service = simulator._service
    prediction = service.store.predictions[start(ask, "acme/patient")["id"]]
    looked: Any = Looked(prediction, looked_at, lambda: ending(service.lifecycle, prediction))

    async def read(runtime: Any) -> list[ServerSentEvent]:
        body = EventBody(service, looked, runtime, 0)
        return list(Decoder().feed(b"".join([chunk async for chunk in body])))

    assert [each.event for each in drive(read)] == names
