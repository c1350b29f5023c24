"""What the official client 1.0.7 gets wrong, row by row: none of it holds here. One test a fault.

docs/lessons.md says which test is about what.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import inspect
import io
import json
import pathlib
import pickle
import re
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from replicate_kit import Client, FileOutput, Model, Prediction, Version, errors
from replicate_kit._formats.sse import Decoder
from replicate_kit.errors import InputError, InvalidWebhook, ModelError, PredictionAborted, PredictionCanceled
from replicate_kit.signing import sign

Connect = Callable[..., tuple[Client, list[httpx.Request]]]
VERSION = "f" * 64
OFFICIAL = {"owner": "acme", "name": "shout", "is_official": True}


# Token.


def test_reading_a_file_does_not_send_the_token_to_the_host_that_a_model_names(connect: Connect) -> None:
    client, requests = connect(httpx.Response(200, content=b"x"))
    FileOutput("https://evil.example/out.png", client.session).read()
    assert "authorization" not in requests[0].headers


def test_the_second_page_stays_at_the_gateway(connect: Connect) -> None:
    client, requests = connect(
        {"results": [], "next": "https://api.replicate.com/v1/models?cursor=a"}, base_url="https://gw.test"
    )
    client.models.list(client.models.list().next)
    assert [request.url.host for request in requests] == ["gw.test", "gw.test"]


def test_ids_are_escaped_in_paths(connect: Connect, prediction: Any) -> None:
    client, requests = connect(prediction())
    client.predictions.get("../account")
    assert requests[0].url.raw_path == b"/v1/predictions/..%2Faccount"


def test_the_token_is_not_written_into_the_callers_headers(connect: Connect) -> None:
    mine = {"X-Mine": "1"}
    client, _ = connect({}, headers=mine)
    client.request("GET", "account", headers=mine)
    assert mine == {"X-Mine": "1"}


def test_a_token_of_one_tenant_is_not_kept_for_the_next(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, requests = connect({}, api_token=None)
    for token in ("r8_one", "r8_two"):
        monkeypatch.setenv("REPLICATE_API_TOKEN", token)
        client.request("GET", "account")
    assert [request.headers["authorization"] for request in requests] == ["Bearer r8_one", "Bearer r8_two"]


# Money.


def test_a_read_timeout_of_a_create_says_what_was_sent_and_when(connect: Connect) -> None:
    client, _ = connect(OFFICIAL, httpx.ReadTimeout("slow"))
    with pytest.raises(errors.UncertainCreate) as caught:
        client.run("acme/shout", {"text": "hi"})
    assert caught.value.body == {"input": {"text": "hi"}}
    assert caught.value.sent_at > 0


def test_everything_is_looked_up_before_the_create(connect: Connect, prediction: Any) -> None:
    client, requests = connect(OFFICIAL, prediction(status="succeeded", output="HI"))
    client.run("acme/shout", {"text": "hi"})
    assert [request.method for request in requests] == ["GET", "POST"]


def test_unknown_parameters_are_not_swallowed(connect: Connect) -> None:
    client, requests = connect({})
    with pytest.raises(TypeError, match="webook"):
        client.predictions.create(VERSION, {}, webook="https://example.com")  # type: ignore[call-arg]
    assert requests == []


# Result.


def test_processing_without_output_is_not_done(connect: Connect, clock: Any, prediction: Any) -> None:
    client, _ = connect(
        OFFICIAL, prediction(status="processing"), prediction(status="succeeded", output="HI")
    )
    assert client.run("acme/shout", {"text": "hi"}) == "HI"


def test_the_tokens_so_far_are_not_the_output(connect: Connect, clock: Any, prediction: Any) -> None:
    client, _ = connect(
        OFFICIAL,
        prediction(status="processing", output=["a"]),
        prediction(status="processing", output=["a", "b"]),
        prediction(status="succeeded", output=["a", "b", "c"]),
    )
    assert client.run("acme/shout", {"text": "hi"}) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("status", "kind"), [("canceled", PredictionCanceled), ("aborted", PredictionAborted)]
)
def test_canceled_and_aborted_are_no_silent_none(
    connect: Connect, prediction: Any, status: str, kind: type[Exception]
) -> None:
    client, _ = connect(OFFICIAL, prediction(status=status))
    with pytest.raises(kind):
        client.run("acme/shout", {"text": "hi"})


def test_the_output_iterator_gives_what_was_there_and_keeps_text_whole(
    connect: Connect, prediction: Any
) -> None:
    client, _ = connect(
        prediction(status="succeeded", output=["ab", "c"]), prediction(status="succeeded", output="abc")
    )
    assert list(client.predictions.get("p1").output_iterator()) == ["ab", "c"]
    assert list(client.predictions.get("p1").output_iterator()) == ["abc"]


def test_a_create_by_model_waits_as_asked(connect: Connect, prediction: Any) -> None:
    client, requests = connect(prediction(), file_encoding="upload")
    client.predictions.create(model="acme/shout", input={}, wait=5)
    assert requests[0].headers["prefer"] == "wait=5"


def test_a_create_by_model_encodes_files_as_asked(connect: Connect, prediction: Any) -> None:
    uploaded = {"urls": {"get": "https://api.test/v1/files/f1"}}
    client, requests = connect(uploaded, prediction(), file_encoding="upload")
    client.predictions.create(model="acme/shout", input={"image": b"x"}, wait=5)
    assert json.loads(requests[1].content)["input"] == {"image": "https://api.test/v1/files/f1"}
    client.with_options(file_encoding="inline").predictions.create(model="acme/shout", input={"image": b"x"})
    assert json.loads(requests[2].content)["input"]["image"].startswith("data:")


def test_a_file_is_a_plain_url_wherever_it_comes_from(connect: Connect, prediction: Any) -> None:
    url = "https://replicate.delivery/a.png"
    done = prediction(status="succeeded", output=[url], urls={"stream": "https://stream.test/1"})
    stream = httpx.Response(
        200, content=f"event: output\ndata: {url}\n\nevent: done\ndata: {{}}\n\n".encode()
    )
    client, _ = connect(done, stream)
    created = client.predictions.get("p1")
    for given in ([*created.output], [*created.output_iterator()], [str(created.stream().__next__())]):
        assert given == [url]
        assert json.dumps(given) == f'["{url}"]'


def test_text_that_begins_like_a_url_stays_text(connect: Connect, prediction: Any) -> None:
    client, _ = connect(
        prediction(
            status="succeeded", output=["https://example.com is a page", "https://replicate.delivery/a.png"]
        )
    )
    page, picture = client.predictions.get("p1").output
    assert type(page) is str
    assert type(picture) is FileOutput


def test_data_urls_that_are_percent_encoded_are_read() -> None:
    assert FileOutput("data:image/svg+xml,%3Csvg%3E").read() == b"<svg>"


def test_nested_objects_are_records_after_a_reload(connect: Connect) -> None:
    client, _ = connect({**OFFICIAL, "latest_version": {"id": VERSION}})
    model = client.models.get("acme/shout")
    model.reload()
    assert isinstance(model.latest_version, Version)


def test_models_of_a_collection_can_be_run(client: Client) -> None:
    models = client.collections.get("demo").models
    assert models is not None
    painter = next(model for model in models if model.name == "painter")
    assert painter.predict(prompt="sea", width=16, height=16)


# Streams.


@pytest.mark.parametrize("character", ["\u2028", "\x0c", "\x85"])
def test_streams_keep_every_character(character: str) -> None:
    (event,) = Decoder().feed(f"event: output\nid: 1\ndata: a{character}b\n\n".encode())
    assert event.data == f"a{character}b"


def test_events_without_an_id_and_with_new_names_are_given() -> None:
    events = Decoder().feed(b"event: output\ndata: a\n\nevent: brand-new\nid: 2\ndata: b\n\n")
    assert [event.event for event in events] == ["output", "brand-new"]


def test_an_http_error_of_a_stream_shows_as_what_it_is(connect: Connect, prediction: Any) -> None:
    client, _ = connect(
        prediction(urls={"stream": "https://stream.test/1"}),
        httpx.Response(403, json={"detail": "not yours"}),
    )
    with pytest.raises(errors.StreamError, match="403 not yours"):
        list(client.predictions.get("p1").stream())


def test_a_stream_is_resumed_with_the_last_id(connect: Connect, clock: Any, prediction: Any) -> None:
    first = httpx.Response(200, content=b"event: output\nid: 7\ndata: a\n\n")
    rest = httpx.Response(200, content=b"event: done\nid: 8\ndata: {}\n\n")
    client, requests = connect(prediction(urls={"stream": "https://stream.test/1"}), first, rest)
    assert "".join(map(str, client.predictions.get("p1").stream())) == "a"
    assert requests[2].headers["last-event-id"] == "7"


def test_a_models_error_in_a_stream_is_a_model_error(connect: Connect, prediction: Any) -> None:
    stream = httpx.Response(200, content=b'event: error\nid: 1\ndata: {"detail": "out of memory"}\n\n')
    client, _ = connect(
        prediction(urls={"stream": "https://stream.test/1"}),
        stream,
        prediction(status="failed", error="out of memory"),
    )
    with pytest.raises(ModelError, match="out of memory"):
        list(client.predictions.get("p1").stream())


# Waiting.


def test_wait_has_a_deadline_and_a_back_off(connect: Connect, clock: Any, prediction: Any) -> None:
    client, _ = connect(prediction())
    with pytest.raises(errors.PredictionTimeout):
        client.predictions.get("p1").wait(timeout=100)
    assert clock.slept[-2] > clock.slept[0]


@pytest.mark.parametrize("wait", [0, 1.5, 600])
def test_waits_that_mean_nothing_are_refused(connect: Connect, wait: Any) -> None:
    client, requests = connect({})
    with pytest.raises(InputError, match="from 1 to 60"):
        client.predictions.create(VERSION, {}, wait=wait)
    assert requests == []


# Retries and timeouts.


def test_a_create_is_sent_again_after_429_as_the_server_asks(
    connect: Connect, clock: Any, prediction: Any
) -> None:
    client, requests = connect(httpx.Response(429, headers={"Retry-After": "3"}), prediction())
    client.predictions.create(VERSION, {})
    assert len(requests) == 2
    assert 3 <= clock.slept[0] < 4


@pytest.mark.parametrize(
    "trouble", [httpx.Response(500), httpx.Response(502), httpx.ConnectError("refused")], ids=repr
)
def test_reads_are_sent_again_with_back_off(
    connect: Connect, clock: Any, prediction: Any, trouble: Any
) -> None:
    client, requests = connect(trouble, trouble, prediction())
    client.predictions.get("p1")
    assert len(requests) == 3


def test_retry_after_is_capped_and_may_be_a_date(connect: Connect, clock: Any, prediction: Any) -> None:
    client, _ = connect(httpx.Response(429, headers={"Retry-After": "999999"}))
    with pytest.raises(errors.RateLimited):
        client.predictions.get("p1")
    dated = {"Retry-After": "Thu, 01 Jan 2026 00:00:09 GMT", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    client, _ = connect(httpx.Response(429, headers=dated), prediction())
    client.predictions.get("p1")
    assert 9 <= clock.slept[0] < 10


def test_every_request_has_a_timeout_and_a_long_one_for_writing(connect: Connect, prediction: Any) -> None:
    client, requests = connect(prediction())
    client.predictions.create(VERSION, {})
    client.predictions.create(VERSION, {}, wait=True)
    assert requests[0].extensions["timeout"]["read"] == 60
    assert requests[1].extensions["timeout"]["write"] == 90


# Asynchronous use.


def test_the_second_asyncio_run_works_and_all_is_closed(serve: Any) -> None:
    origin = serve(lambda request: (200, {}, b'{"id": "p1"}'))
    with warnings.catch_warnings(record=True) as caught, Client(base_url=origin.url) as client:
        warnings.simplefilter("always")
        for _ in range(2):
            assert asyncio.run(client.predictions.async_get("p1")).id == "p1"
        gc.collect()
    assert caught == []


def test_sixteen_threads_use_one_pool(connect: Connect, prediction: Any) -> None:
    client, _ = connect(prediction())
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(client.predictions.get, ["p1"] * 64))
    assert len(client.session._connections._open) == 1


def test_uploads_do_not_read_files_on_the_event_loop(connect: Connect, tmp_path: pathlib.Path) -> None:
    threads: list[threading.Thread] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            threads.append(threading.current_thread())
            return super().read(size)

    client, _ = connect({"urls": {"get": "https://api.test/v1/files/f1"}}, file_encoding="upload")
    asyncio.run(client.session.encode(Watched(b"x" * 100_000)))
    assert threads
    assert threading.main_thread() not in threads


# Inputs.


def test_bytes_temporary_files_paths_and_outputs_are_inputs(
    connect: Connect, prediction: Any, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    client, requests = connect(prediction())
    with tempfile.NamedTemporaryFile() as temporary, (tmp_path / "a.png").open() as text_mode:
        files = {"a": b"x", "b": temporary, "c": pathlib.PurePath(tmp_path / "a.png"), "d": text_mode}
        output = FileOutput("https://replicate.delivery/a.png")
        client.predictions.create(VERSION, {**files, "e": output})
    sent = json.loads(requests[0].content)["input"]
    assert all(sent[name].startswith("data:") for name in files)
    assert sent["e"] == "https://replicate.delivery/a.png"


def test_pictures_are_inputs(connect: Connect, prediction: Any) -> None:
    from PIL import Image

    client, requests = connect(prediction())
    client.predictions.create(VERSION, {"image": Image.new("RGB", (2, 2))})
    assert json.loads(requests[0].content)["input"]["image"].startswith("data:image/png;base64,")


def test_the_same_handle_is_uploaded_once(connect: Connect) -> None:
    uploaded = {
        "urls": {"get": "https://api.test/v1/files/f1"},
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-02T00:00:00Z",
    }
    client, requests = connect(uploaded, file_encoding="upload")
    handle = io.BytesIO(b"x")
    asyncio.run(client.session.encode({"image": handle, "mask": handle}))
    assert len(requests) == 1


# Errors.


def test_a_model_error_says_something_and_unpickles() -> None:
    error = ModelError(
        "The model failed and gave no reason.", prediction=Prediction({"id": "p1", "status": "failed"})
    )
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "The model failed and gave no reason."
    assert again.prediction.id == "p1"


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", '["a", "list"]'])
def test_any_body_of_an_error_is_kept(connect: Connect, body: str) -> None:
    client, _ = connect(httpx.Response(502, text=body), retries=0)
    with pytest.raises(errors.ServerError) as caught:
        client.predictions.get("p1")
    assert caught.value.body in (body, ["a", "list"])


# Webhooks.


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-id": "a", "webhook-timestamp": "soon", "webhook-signature": "v1,x"},
        {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1,not base64!"},
    ],
)
def test_webhooks_that_are_not_to_be_trusted_are_one_kind_of_error(client: Client, headers: Any) -> None:
    with pytest.raises(InvalidWebhook):
        client.webhooks.validate(headers, b"{}", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


def test_a_webhook_gives_its_event_and_an_old_one_is_refused(client: Client) -> None:
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"id": "p1", "status": "succeeded"}'
    for age in (0, 3600):
        sent = int(datetime.now(UTC).timestamp()) - age
        headers = {"Webhook-Id": "m1", "Webhook-Timestamp": str(sent)}
        headers["Webhook-Signature"] = sign("m1", sent, body, secret)
        if age == 0:
            assert client.webhooks.validate(headers, body, secret).status == "succeeded"
        else:
            with pytest.raises(InvalidWebhook, match="s old"):
                client.webhooks.validate(headers, body, secret)


# Models.


def test_odd_values_do_not_spoil_a_listing(connect: Connect) -> None:
    odd = {
        "id": "p1",
        "status": "brand-new",
        "version": None,
        "error": {"code": 7},
        "novel": 1,
        "created_at": "2026-01-01T00:00:00.123456789Z",
    }
    client, _ = connect({"results": [odd]})
    (prediction,) = client.predictions.list()
    assert (prediction.status, prediction.version, prediction.error) == ("brand-new", None, {"code": 7})
    assert prediction.novel == 1
    assert prediction.created_at == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)


# Import, and shape.


def test_a_bad_poll_interval_does_not_break_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "often")
    import replicate_kit

    assert replicate_kit.Client is Client
    with pytest.raises(errors.ConfigError, match="REPLICATE_POLL_INTERVAL"):
        _ = replicate_kit.default_client


def test_nothing_of_pydantic_is_imported() -> None:
    program = (
        "import sys, replicate_kit; replicate_kit.Client(backend='mock'); print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_all_async_streams_are_iterated_and_none_needs_to_be_awaited_first() -> None:
    client, prediction = Client(backend="mock"), Prediction({"id": "p1"})
    for stream in (
        client.async_stream("demo/poet"),
        prediction.async_stream(),
        prediction.async_output_iterator(),
    ):
        assert isinstance(stream, AsyncGenerator)


def test_sync_and_async_are_one_code() -> None:
    for kind in (Client, Model, Prediction, FileOutput):
        for name in dir(kind):
            if name.startswith("async_") and name not in ("async_map", "async_plan"):
                assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(kind, name[6:]))


# The page that maps faults to tests.

ROOT = pathlib.Path(__file__).parents[1]


def test_the_page_of_lessons_names_every_test_and_none_that_does_not_exist() -> None:
    rows = [row for row in (ROOT / "docs/lessons.md").read_text().splitlines() if row.startswith("| ")]
    named = [re.findall(r"`((?:tests/[\w/]+\.py::)?test_\w+)`", row.rpartition(" | ")[2]) for row in rows[1:]]
    assert len(named) == 23
    assert all(named)
    ours = {name for each in named for name in each if "::" not in name}
    here = {name for name in globals() if name.startswith("test_")}
    assert ours == here - {"test_the_page_of_lessons_names_every_test_and_none_that_does_not_exist"}
    for path, _, name in (each.partition("::") for names in named for each in names if "::" in each):
        assert f"def {name}(" in (ROOT / path).read_text()
