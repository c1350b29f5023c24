"""run, stream, and predictions as 1.x has them."""

from __future__ import annotations

import asyncio
import binascii
import inspect
import io
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit._http.retry import RetryPolicy
from replicate_kit.compat.replicate import Client
from replicate_kit.compat.replicate.exceptions import ModelError, ReplicateError, ReplicateException
from replicate_kit.compat.replicate.helpers import FileOutput, base64_encode_file, encode_json
from replicate_kit.compat.replicate.stream import EventSource, ServerSentEvent
from replicate_kit.simulator import Simulator

from .conftest import PREDICTION, Answering


def done(**fields: Any) -> dict[str, Any]:
    return {**PREDICTION, "status": "succeeded", **fields}


def test_run_sends_one_request_for_a_model_by_name(client: Client, simulator: Simulator) -> None:
    assert client.run("acme/shout", {"text": "x"}) == "X"
    assert dict(simulator.calls) == {"models.predictions.create": 1}


def test_run_asks_the_api_to_hold_its_answer(answering: Answering) -> None:
    client, asked = answering(done(output="X"))
    client.run("acme/shout", {})
    client.run("acme/shout", {}, wait=5)
    client.run("acme/shout", {}, wait=False)
    assert [each.headers.get("prefer") for each in asked] == ["wait", "wait=5", None]


def test_an_answer_without_the_output_is_not_the_end(answering: Answering) -> None:
    client, asked = answering({**PREDICTION, "status": "processing"}, done(output="X"))
    assert client.run("acme/shout", {}) == "X"
    assert len(asked) == 2


def test_an_answer_with_the_output_is_the_end_though_the_status_says_otherwise(answering: Answering) -> None:
    client, asked = answering({**PREDICTION, "status": "processing", "output": "X"})
    assert client.run("acme/shout", {}) == "X"
    assert len(asked) == 1


def test_an_answer_that_was_held_too_long_is_not_the_end(answering: Answering) -> None:
    early = httpx.Response(202, json={**PREDICTION, "status": "processing", "output": ["so"]})
    client, _ = answering(early, done(output=["so", "far"]))
    assert client.run("acme/shout", {}) == ["so", "far"]


@pytest.mark.parametrize(
    "version",
    [
        httpx.Response(404, json={"detail": "no"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(204),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        None,
        [1],
        "a text",
        {"cog_version": None},
        {"cog_version": 0.9, "openapi_schema": None},
        {"cog_version": "0.9", "openapi_schema": [1]},
        {"cog_version": "0.9", "openapi_schema": {"components": None}},
        {"cog_version": "0.9", "openapi_schema": {"components": {"schemas": []}}},
        {"cog_version": "0.9", "openapi_schema": {"components": {"schemas": {"Output": "string"}}}},
    ],
    ids=repr,
)
def test_a_version_that_cannot_be_seen_or_read_does_not_lose_the_prediction(
    answering: Answering, version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "back_off", lambda _policy, _attempt: 0.0)
    client, asked = answering(done(output="X"), version)
    assert client.run("acme/shout:abc", {}) == "X"
    assert [each.method for each in asked].count("POST") == 1


def test_pieces_are_pieces_whatever_is_said_of_the_version_of_cog(answering: Answering) -> None:
    output = {"type": "array", "x-cog-array-type": "iterator"}
    schema = {"components": {"schemas": {"Output": output}}}
    client, _ = answering(done(output=["a", "b"]), {"cog_version": None, "openapi_schema": schema})
    assert list(client.run("acme/shout:abc", {})) == ["a", "b"]


def test_a_model_that_gives_pieces_gives_a_generator(client: Client, simulator: Simulator) -> None:
    ref = f"acme/count:{simulator.version('acme/count')}"
    held, polled = client.run(ref, {}), client.run(ref, {"pause": 0.01}, wait=False)
    assert inspect.isgenerator(held)
    assert inspect.isgenerator(polled)
    assert (list(held), list(polled)) == ([0, 1, 2], [0, 1, 2])


def test_the_asynchronous_run_gives_an_asynchronous_generator(client: Client, simulator: Simulator) -> None:
    async def main() -> list[int]:
        chunks = await client.async_run(f"acme/count:{simulator.version('acme/count')}", {})
        assert inspect.isasyncgen(chunks)
        return [each async for each in chunks]

    assert asyncio.run(main()) == [0, 1, 2]


def test_a_client_serves_one_event_loop_after_another(client: Client) -> None:
    for _ in range(2):
        assert asyncio.run(client.async_run("acme/shout", {"text": "x"})) == "X"


def test_old_arrays_are_pieces(answering: Answering) -> None:
    schema = {"components": {"schemas": {"Output": {"type": "array", "items": {"type": "string"}}}}}
    version = {"id": "abc", "cog_version": "0.3.8", "openapi_schema": schema}
    client, _ = answering(done(output=["a", "b"]), version)
    assert list(client.run("acme/old:abc", {})) == ["a", "b"]


def test_any_https_text_is_a_file_unless_plain_urls_are_wanted(answering: Answering) -> None:
    client, _ = answering(done(output={"a": ["https://x.example/1"], "b": "text"}))
    output = client.run("acme/shout", {})
    assert isinstance(output["a"][0], FileOutput)
    assert output["b"] == "text"
    assert client.run("acme/shout", {}, use_file_output=False)["a"] == ["https://x.example/1"]


def test_the_text_of_a_model_error_is_that_of_the_prediction(answering: Answering) -> None:
    client, _ = answering({**PREDICTION, "status": "failed", "error": "E001: no"})
    with pytest.raises(ModelError) as caught:
        client.run("acme/shout", {})
    assert str(caught.value) == caught.value.prediction.error == "E001: no"
    assert isinstance(caught.value, ReplicateException)


@pytest.mark.parametrize("status", ["failed", "aborted"])
def test_a_failure_without_a_reason_says_so(answering: Answering, status: str) -> None:
    client, _ = answering({**PREDICTION, "status": status})
    with pytest.raises(ModelError, match=f"p1 is '{status}' and gives no reason"):
        client.run("acme/shout", {})


def test_a_canceled_run_gives_what_there_is(answering: Answering) -> None:
    client, _ = answering({**PREDICTION, "status": "canceled"})
    assert client.run("acme/shout", {}) is None


def test_what_cannot_be_run_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match=r"Invalid argument: 42\. Expected model, version, or reference"):
        client.run(42, {})


def test_stream(client: Client) -> None:
    events = list(client.stream("demo/poet", input={"prompt": "x", "seed": 1}))
    assert {event.event.value for event in events} == {"output", "done"}
    assert "".join(map(str, events)).count("\n") == 3


def test_the_asynchronous_stream_is_awaited_first(client: Client) -> None:
    async def main() -> list[str]:
        return [str(event) async for event in await client.async_stream("demo/poet", input={"prompt": "x"})]

    assert "".join(asyncio.run(main()))


def test_a_stream_by_version(client: Client, simulator: Simulator) -> None:
    assert list(client.stream(f"demo/poet:{simulator.version('demo/poet')}", input={"prompt": "x"}))


def test_a_model_that_gives_no_stream(answering: Answering) -> None:
    client, asked = answering(PREDICTION)
    with pytest.raises(ReplicateError, match="Model does not support streaming"):
        list(client.stream("acme/shout", input={}))
    assert len(asked) == 1


def sse(text: str) -> httpx.Response:
    return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


STREAMING = {**PREDICTION, "urls": {"stream": "https://stream.replicate.com/v1/streams/s"}}


def test_a_stream_does_not_see_the_token_and_asks_nothing_more(answering: Answering) -> None:
    client, asked = answering(STREAMING, sse("event: output\ndata: hi\n\nevent: done\ndata: {}\n\n"))
    assert [str(event) for event in client.stream("acme/shout", input={})] == ["hi", ""]
    assert [request.headers.get("authorization") for request in asked] == ["Bearer r8_test", None]


def test_a_models_error_in_a_stream_is_a_runtime_error(answering: Answering) -> None:
    client, asked = answering(
        STREAMING, sse('event: output\ndata: hi\n\nevent: error\ndata: {"detail": "no"}\n\n')
    )
    events = client.stream("acme/shout", input={})
    assert str(next(events)) == "hi"
    with pytest.raises(RuntimeError, match=r'\{"detail": "no"\}'):
        next(events)
    assert len(asked) == 2


def test_events_that_the_api_adds_are_readable(answering: Answering) -> None:
    client, _ = answering(STREAMING, sse("event: novel\ndata: x\n\nevent: done\ndata: {}\n\n"))
    first, _ = client.stream("acme/shout", input={})
    assert (first.event.value, first.data, str(first)) == ("novel", "x", "")
    assert first.event == ServerSentEvent.EventType("novel")
    assert hash(first.event)


def test_an_output_event_with_a_url_holds_a_file(answering: Answering) -> None:
    client, _ = answering(STREAMING, sse("event: output\ndata: data:,hi\n\nevent: done\ndata: {}\n\n"))
    first, _ = client.stream("acme/shout", input={})
    assert (first.data.read(), str(first)) == (b"hi", "data:,hi")


def test_event_sources_read_any_response() -> None:
    stream = b"event: output\ndata: a\n\nevent: error\ndata: no\n\n"
    source = EventSource(
        Client(), httpx.Response(200, content=stream, headers={"content-type": "text/event-stream"})
    )
    events = iter(source)
    assert str(next(events)) == "a"
    with pytest.raises(RuntimeError, match="no"):
        next(events)

    async def main() -> Any:
        response = httpx.Response(200, content=stream, headers={"content-type": "text/event-stream"})
        return (await anext(aiter(EventSource(Client(), response, use_file_output=False)))).data

    assert asyncio.run(main()) == "a"
    with pytest.raises(ValueError, match="Expected response Content-Type to be 'text/event-stream'"):
        EventSource(Client(), httpx.Response(200, json={}))


def test_decoders_take_lines() -> None:
    decoder = EventSource.Decoder()
    assert decoder.decode("event: output") is None
    assert decoder.decode("data: a\u2028b") is None
    event = decoder.decode("")
    assert event is not None
    assert event.data == "a\u2028b"


def test_files_in_inputs_are_uploaded(client: Client, simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    encoded = encode_json({"a": tmp_path / "a.txt", "b": (io.BytesIO(b"x"),), "c": {1, 2}, "d": None}, client)
    assert encoded["a"].startswith("https://api.replicate.test/v1/files/")
    assert encoded["c"] in ([1, 2], [2, 1])
    assert simulator.calls["files.create"] == 2


def test_files_in_inputs_become_data_urls_if_that_is_asked_for(client: Client, simulator: Simulator) -> None:
    prediction = client.predictions.create(
        model="acme/shout", input={"text": io.BytesIO(b"x")}, file_encoding_strategy="base64"
    )
    assert prediction.input == {"text": "data:application/octet-stream;base64,eA=="}
    assert simulator.calls["files.create"] == 0


def test_outputs_can_be_inputs(client: Client) -> None:
    file = FileOutput("https://x.example/1", client)
    assert encode_json([file], client) == ["https://x.example/1"]
    assert (str(file), repr(file)) == ("https://x.example/1", "FileOutput('https://x.example/1')")


def test_base64_encode_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hi")
    with (tmp_path / "a.txt").open() as handle:
        assert base64_encode_file(handle) == "data:text/plain;base64,aGk="


def test_a_file_is_read_in_both_colours_and_without_the_token(answering: Answering) -> None:
    client, asked = answering(httpx.Response(200, content=b"abc"))
    file = FileOutput("https://replicate.delivery/a/out.png", client)

    async def main() -> list[bytes]:
        return [await file.aread(), b"".join([chunk async for chunk in file])]

    assert [file.read(), b"".join(file), *asyncio.run(main())] == [b"abc"] * 4
    assert not [request for request in asked if "authorization" in request.headers]


def test_a_file_that_is_gone_is_an_error_of_httpx(answering: Answering) -> None:
    client, _ = answering(httpx.Response(404))
    with pytest.raises(httpx.HTTPStatusError) as caught:
        FileOutput("https://replicate.delivery/a/out.png", client).read()
    assert caught.value.response.status_code == 404


def test_a_file_that_cannot_be_decoded_is_an_error(client: Client) -> None:
    with pytest.raises(binascii.Error):
        FileOutput("data:;base64,????", client).read()


def test_parameters_that_do_nothing_are_told_in_the_log(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "replicate_kit"):
        client.predictions.create(model="acme/shout", input={"text": "x"}, webook="https://x.example")
    assert "webook" in caplog.text
