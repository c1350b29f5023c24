"""Predictions: creating, waiting, reading pieces, and streams over as many connections as it takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from replicate_kit import Client, Prediction, Reference
from replicate_kit.errors import (
    InputError,
    InvalidReference,
    InvalidResponse,
    ModelError,
    NotFound,
    PredictionAborted,
    PredictionCanceled,
    PredictionTimeout,
    StreamError,
)
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]
VERSION = "f" * 64


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


# Creating.


@pytest.mark.parametrize(
    ("named", "path", "version"),
    [
        ({"version": VERSION}, "/v1/predictions", VERSION),
        ({"version": f"acme/shout:{VERSION}"}, "/v1/predictions", VERSION),
        ({"version": "acme/shout"}, "/v1/models/acme/shout/predictions", None),
        ({"model": "acme/shout"}, "/v1/models/acme/shout/predictions", None),
        ({"model": Reference("acme", "shout")}, "/v1/models/acme/shout/predictions", None),
        ({"deployment": "acme/shouter"}, "/v1/deployments/acme/shouter/predictions", None),
        ({"deployment": "deployments/acme/shouter"}, "/v1/deployments/acme/shouter/predictions", None),
    ],
    ids=repr,
)
def test_a_prediction_is_created_where_its_kind_is(
    connect: Connect, prediction: Any, drive: Drive, named: Any, path: str, version: str | None
) -> None:
    client, requests = connect(prediction())
    created = drive(client.predictions.async_create(**named, input={"text": "hi"}))
    assert created.id == "p1"
    (request,) = requests
    assert (request.method, request.url.path) == ("POST", path)
    assert body_of(request) == {"input": {"text": "hi"}} | ({"version": version} if version else {})


def test_options_are_sent_as_the_api_takes_them(connect: Connect, prediction: Any, drive: Drive) -> None:
    client, requests = connect(prediction())
    options: dict[str, Any] = {
        "webhook": "https://example.com/hook",
        "webhook_events_filter": ("start", "completed"),
    }
    drive(client.predictions.async_create(VERSION, {}, wait=5, cancel_after=90, stream=True, **options))
    drive(client.predictions.async_create(VERSION, {}, wait=True, cancel_after="1m30s"))
    drive(client.predictions.async_create(VERSION))
    first, second, third = requests
    assert body_of(first) == {
        "version": VERSION,
        "input": {},
        "stream": True,
        "webhook": "https://example.com/hook",
        "webhook_events_filter": ["start", "completed"],
    }
    assert (first.headers["prefer"], first.headers["cancel-after"]) == ("wait=5", "90s")
    assert (second.headers["prefer"], second.headers["cancel-after"]) == ("wait", "1m30s")
    assert "prefer" not in third.headers
    assert "cancel-after" not in third.headers


@pytest.mark.parametrize("wait", [0, 61, 600, 1.5, "yes", -1])
def test_a_wait_that_means_nothing_is_refused(connect: Connect, wait: Any) -> None:
    client, requests = connect({})
    with pytest.raises(InputError, match="not True, False or a whole number of seconds from 1 to 60"):
        client.predictions.create(VERSION, {}, wait=wait)
    assert requests == []


def test_a_deadline_that_is_too_short_is_refused(connect: Connect) -> None:
    client, requests = connect({})
    with pytest.raises(InputError, match="Pass seconds, 5 or more"):
        client.predictions.create(VERSION, {}, cancel_after=4)
    assert requests == []


@pytest.mark.parametrize(
    "named", [{}, {"version": VERSION, "model": "acme/shout"}, {"model": "a/b", "deployment": "a/b"}]
)
def test_exactly_one_thing_is_run(connect: Connect, named: Any) -> None:
    client, requests = connect({})
    with pytest.raises(InputError, match="Pass exactly one of version, model and deployment"):
        client.predictions.create(**named, input={})
    assert requests == []


@pytest.mark.parametrize("thing", [7, {"id": "x"}, Prediction({"id": "p1"})])
def test_what_names_nothing_is_refused(connect: Connect, thing: Any) -> None:
    client, _ = connect({})
    with pytest.raises(InvalidReference, match="does not name what to run"):
        client.predictions.create(thing, {})


def test_a_model_that_runs_by_version_runs_by_its_latest(
    connect: Connect, prediction: Any, drive: Drive
) -> None:
    client, requests = connect(
        httpx.Response(404, json={}), {"latest_version": {"id": VERSION}}, prediction()
    )
    drive(client.predictions.async_create(model="acme/community", input={}))
    assert [request.url.path for request in requests] == [
        "/v1/models/acme/community/predictions",
        "/v1/models/acme/community",
        "/v1/predictions",
    ]
    assert body_of(requests[-1])["version"] == VERSION


@pytest.mark.parametrize("model", [{}, {"latest_version": None}, []])
def test_a_model_without_a_version_is_not_found(connect: Connect, model: Any) -> None:
    client, requests = connect(httpx.Response(404, json={}), model)
    with pytest.raises(NotFound):
        client.predictions.create(model="acme/empty", input={})
    assert len(requests) == 2


def test_a_deployment_that_is_not_found_is_not_looked_for_elsewhere(connect: Connect) -> None:
    client, requests = connect(httpx.Response(404, json={}))
    with pytest.raises(NotFound):
        client.predictions.create(deployment="acme/nothing", input={})
    assert len(requests) == 1


@pytest.mark.parametrize("answer", [[], {}, {"id": 7}, "text", None])
def test_what_is_no_prediction_is_refused(connect: Connect, answer: Any) -> None:
    client, _ = connect(answer)
    with pytest.raises(InvalidResponse, match="not a prediction"):
        client.predictions.get("p1")


# Listing.


def test_predictions_are_listed_page_by_page(connect: Connect, prediction: Any, drive: Drive) -> None:
    link = "https://api.replicate.com/v1/predictions?cursor=abc"
    first = {"results": [prediction(id="p1")], "next": link, "previous": None}
    last = {"results": [prediction(id="p2"), prediction(id="p3")], "next": None}
    client, requests = connect(first, last)
    after = datetime(2026, 1, 1, tzinfo=UTC)

    async def walk() -> list[str]:
        return [
            each.id async for each in client.predictions.async_list_all(created_after=after, source="web")
        ]

    assert drive(walk()) == ["p1", "p2", "p3"]
    assert dict(requests[0].url.params) == {"created_after": "2026-01-01T00:00:00+00:00", "source": "web"}
    assert dict(requests[1].url.params) == {"cursor": "abc"}


def test_a_page_is_a_list_of_its_own(connect: Connect, prediction: Any) -> None:
    client, requests = connect({"results": [prediction()], "next": "abc", "previous": None})
    page = client.predictions.list()
    assert (len(page), page[0].id, [each.id for each in page[:1]], page.next) == (1, "p1", ["p1"], "abc")
    assert repr(page) == "[<Prediction: p1>]"
    client.predictions.list(page.next, created_before="2026-01-01")
    assert dict(requests[1].url.params) == {"cursor": "abc", "created_before": "2026-01-01"}


@pytest.mark.parametrize("answer", [[], {}, {"results": None}, {"results": [7]}])
def test_what_is_no_page_is_refused(connect: Connect, answer: Any) -> None:
    client, _ = connect(answer)
    with pytest.raises(InvalidResponse, match="Check that base_url leads to Replicate's API"):
        client.predictions.list()


# How it goes.


def test_wait_polls_until_done(connect: Connect, clock: Any, prediction: Any, drive: Drive) -> None:
    client, requests = connect(
        prediction(), prediction(), prediction(status="processing"), prediction(status="succeeded")
    )
    created = drive(client.predictions.async_get("p1"))
    seen: list[str] = []
    drive(created.async_wait(progress=lambda each: seen.append(each.status)))
    assert seen == ["starting", "processing", "succeeded"]
    assert len(clock.slept) == 3
    drive(created.async_wait())
    assert len(requests) == 4  # one that has ended is not looked at


def test_wait_looks_less_often_at_what_takes_long(connect: Connect, clock: Any, prediction: Any) -> None:
    client, requests = connect(prediction(), poll_interval=0.5)
    created = client.predictions.get("p1")
    with pytest.raises(PredictionTimeout, match=r"is still 'starting' after 600 s\. It runs on"):
        created.wait(timeout=600)
    assert clock.slept[0] == 0.5
    assert max(clock.slept) == 5.0
    assert sum(clock.slept) == pytest.approx(600)
    assert len(requests) < 200


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        ("failed", ModelError, "out of memory"),
        ("canceled", PredictionCanceled, "was canceled while it ran"),
        ("aborted", PredictionAborted, "aborted before it started"),
    ],
)
def test_an_end_without_success_is_an_error_that_carries_it(
    status: str, kind: type[Exception], text: str
) -> None:
    prediction = Prediction({"id": "p1", "status": status, "error": "out of memory"})
    assert prediction.ended
    with pytest.raises(kind, match=text) as caught:
        prediction.raise_for_status()
    assert caught.value.prediction is prediction  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [None, "", {"code": "E1001"}, ["a"]])
def test_any_error_of_a_model_is_told(error: Any) -> None:
    with pytest.raises(ModelError) as caught:
        Prediction({"id": "p1", "status": "failed", "error": error}).raise_for_status()
    assert str(caught.value) == (str(error) if error else "The model failed and gave no reason.")


@pytest.mark.parametrize("status", ["starting", "processing", "succeeded", "queued by some new name"])
def test_other_statuses_are_no_error(status: str) -> None:
    Prediction({"id": "p1", "status": status}).raise_for_status()


def test_a_new_status_has_ended_when_it_is_completed() -> None:
    assert not Prediction({"id": "p1", "status": "new"}).ended
    assert Prediction({"id": "p1", "status": "new", "completed_at": "2026-01-01T00:00:00Z"}).ended


@pytest.mark.parametrize(
    ("logs", "progress"),
    [
        ("", None),
        ("loading", None),
        ("  5%|▌  | 1/20\r 50%|█████| 10/20", 0.5),
        ("100%|██| 1/1", 1.0),
        ("999%|", 1.0),
    ],
)
def test_progress_is_read_from_the_logs(logs: str, progress: float | None) -> None:
    assert Prediction({"id": "p1", "logs": logs}).progress == progress


def test_cancel_changes_it_in_place(client: Client, drive: Drive) -> None:
    created = client.predictions.create("demo/slow", {"seconds": 60})
    drive(created.async_cancel())
    assert created.status == "canceled"
    drive(created.async_reload())
    assert created.status == "canceled"


# Pieces.


def test_pieces_that_are_already_there_are_given_too(
    connect: Connect, clock: Any, prediction: Any, drive: Drive
) -> None:
    client, _ = connect(
        prediction(output=["a", "b"], status="processing"),
        prediction(output=["a", "b"], status="processing"),
        prediction(output=["a", "b", "c"], status="succeeded"),
    )
    created = client.predictions.get("p1")

    async def read() -> list[str]:
        return [chunk async for chunk in created.async_output_iterator()]

    assert drive(read()) == ["a", "b", "c"]
    assert len(clock.slept) == 2


def test_pieces_that_came_before_a_cancel_are_given_though_its_answer_has_none(
    connect: Connect, clock: Any, prediction: Any
) -> None:
    client, requests = connect(
        prediction(output=["a", "b"], status="processing"),
        prediction(status="canceled", output=None),
        prediction(output=["a", "b"], status="canceled"),
    )
    running, given = client.predictions.get("p1"), []
    running.cancel()
    for _ in range(2):
        with pytest.raises(PredictionCanceled):
            given.extend(running.output_iterator())
    assert given == ["a", "b"] * 2
    assert len(requests) == 3


@pytest.mark.parametrize(
    ("output", "chunks"), [("a text", ["a text"]), (None, []), ({"a": 1}, [{"a": 1}]), ([], [])]
)
def test_an_output_that_is_no_list_is_one_piece(client: Client, output: Any, chunks: list[Any]) -> None:
    prediction = Prediction({"id": "p1", "status": "succeeded", "output": output}, client.session)
    assert list(prediction.output_iterator()) == chunks


# Streams, over real sockets.


def event(name: str, data: str, id: str | None = None) -> bytes:
    return f"event: {name}\n{f'id: {id}' if id is not None else ': no id'}\ndata: {data}\n\n".encode()


class Api:
    """An API whose streams are scripted: what each connection in turn sends."""

    def __init__(self, serve: Any, cut: type[Exception]) -> None:
        self.scripts: list[list[bytes]] = []
        self.final: dict[str, Any] = {"status": "succeeded"}
        self._cut = cut
        self.origin = serve(self.answer)
        self.client = Client("r8_secret", base_url=self.origin.url, retries=0)

    def answer(self, request: Any) -> Any:
        if request.path == "/stream":
            script = self.scripts.pop(0) if self.scripts else []
            return 200, {"Content-Type": "text/event-stream"}, self.body(script)
        json_type = {"Content-Type": "application/json"}
        return 200, json_type, json.dumps({"id": "p1", **self.final}).encode()

    def body(self, script: list[bytes]) -> Iterator[bytes]:
        for part in script:
            if part == b"CUT":
                raise self._cut
            yield part

    @property
    def prediction(self) -> Prediction:
        return Prediction({"id": "p1", "urls": {"stream": f"{self.origin.url}/stream"}}, self.client.session)

    async def read(self, given: list[str] | None = None) -> list[str]:
        given = [] if given is None else given
        async for each in self.prediction.async_stream():
            given.append(each.data)
        return given


@pytest.fixture
def api(serve: Any, cut: type[Exception], clock: Any) -> Iterator[Api]:
    api = Api(serve, cut)
    yield api
    api.client.close()


DONE = event("done", "{}", "9")


def test_a_stream_is_read_to_its_end(api: Api, drive: Drive) -> None:
    api.scripts = [[b": hi\n\n", event("output", "a", "1"), event("logs", "b", "2"), DONE]]
    assert drive(api.read()) == ["a", "b", "{}"]
    assert api.origin.received[0].headers["accept"] == "text/event-stream"


def test_nothing_is_given_after_the_last_event(api: Api, drive: Drive) -> None:
    api.scripts = [[DONE, event("output", "late", "10")]]
    assert drive(api.read()) == ["{}"]


def test_a_stream_that_breaks_off_is_resumed_where_it_was(api: Api, drive: Drive) -> None:
    api.scripts = [[event("output", "a", "1"), b"CUT"], [b"CUT"], [], [event("output", "b", "2"), DONE]]
    assert drive(api.read()) == ["a", "b", "{}"]
    assert [each.headers.get("last-event-id") for each in api.origin.received] == [None, "1", "1", "1"]


def test_a_cut_after_the_last_event_is_no_loss(api: Api, drive: Drive) -> None:
    api.scripts = [[DONE, b"CUT"]]
    assert drive(api.read()) == ["{}"]


def test_a_stream_that_stays_broken_is_an_error(api: Api, drive: Drive) -> None:
    api.scripts = [[event("output", "a", "1"), b"CUT"], *([b"CUT"] for _ in range(9))]
    given: list[str] = []
    with pytest.raises(
        StreamError, match=r"The stream of p1 broke off: .*\n.*wait\(\) for it instead"
    ) as caught:
        drive(api.read(given))
    assert given == ["a"]
    assert caught.value.prediction is not None
    assert len(api.origin.received) == 6


def test_a_stream_that_ends_early_again_and_again_is_an_error(api: Api, drive: Drive) -> None:
    with pytest.raises(StreamError, match="ends before its model does"):
        drive(api.read())


def test_a_stream_without_ids_is_not_begun_again(api: Api, drive: Drive) -> None:
    """Ask again without an id, and what was given before would come again."""
    api.scripts = [[event("output", "a"), b"CUT"], [event("output", "a"), DONE]]
    with pytest.raises(StreamError):
        drive(api.read())
    assert len(api.origin.received) == 1


@pytest.mark.parametrize(
    ("final", "kind", "text"),
    [
        ({"status": "failed", "error": "out of memory"}, ModelError, "out of memory"),
        ({"status": "processing"}, ModelError, "said by the stream"),
    ],
)
def test_an_error_event_is_the_models_error(
    api: Api, drive: Drive, final: Any, kind: type[Exception], text: str
) -> None:
    api.scripts = [[event("output", "a", "1"), event("error", '{"detail": "said by the stream"}', "2"), DONE]]
    api.final = final
    given: list[str] = []
    with pytest.raises(kind, match=text):
        drive(api.read(given))
    assert given == ["a"]


@pytest.mark.parametrize(
    ("data", "text"),
    [("not json", "not json"), ('["a"]', "a"), ("{}", "gave no reason"), ("", "gave no reason")],
)
def test_any_error_event_says_what_it_can(api: Api, data: str, text: str) -> None:
    api.scripts = [[event("error", data, "1")]]
    api.final = {"status": "processing"}
    with pytest.raises(ModelError, match=text):
        list(api.prediction.stream())


@pytest.mark.parametrize("status", ["canceled", "processing"])
def test_a_stream_that_was_canceled_is_an_error(api: Api, drive: Drive, status: str) -> None:
    api.scripts = [[event("done", '{"reason": "canceled"}', "1")]]
    api.final = {"status": status}
    with pytest.raises(PredictionCanceled, match="was canceled while it ran"):
        drive(api.read())


def test_an_error_holds_even_if_the_prediction_cannot_be_looked_at(api: Api, drive: Drive) -> None:
    api.scripts = [[event("error", '{"detail": "out of memory"}', "1")]]
    api.final = {"id": 7}
    with pytest.raises(ModelError, match="out of memory"):
        drive(api.read())


def test_a_stream_that_cannot_be_had_is_a_stream_error(
    connect: Connect, prediction: Any, drive: Drive
) -> None:
    client, _ = connect(httpx.Response(410, json={"detail": "gone"}))
    made = Prediction(prediction(urls={"stream": "https://stream.test/1"}), client.session)

    async def read() -> None:
        async for _ in made.async_stream():
            pass  # pragma: no cover - nothing comes

    with pytest.raises(StreamError, match="410 gone"):
        drive(read())


@pytest.mark.about_httpx("a hook of its own looks at the connection")
def test_the_connection_of_a_stream_is_used_again(api: Api) -> None:
    """Read a stream to its end, and the next request goes out over the same connection."""
    peers: list[int] = []

    def note(response: httpx.Response) -> None:
        peers.append(response.extensions["network_stream"].get_extra_info("client_addr")[1])

    client = Client(base_url=api.origin.url, event_hooks={"response": [note]})
    api.scripts = [[DONE]]
    made = Prediction({"id": "p1", "urls": {"stream": f"{api.origin.url}/stream"}}, client.session)
    list(made.stream())
    made.reload()
    client.close()
    assert len(peers) == 2
    assert len(set(peers)) == 1
