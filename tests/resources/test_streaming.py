"""A stream may be silent for long, but its events end; and it learns no secret wherever it is."""

from __future__ import annotations

import itertools
import json
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from replicate_kit import Client, errors
from replicate_kit.testing.suites import Drive
from tests.wires import Wire, answer, chunked, wire

EVENTS = {"content_type": "text/event-stream"}


@contextmanager
def streaming(chunks: Any, **options: Any) -> Iterator[tuple[Wire, Client]]:
    """An API whose predictions stream what `chunks` makes."""

    def script(request: bytes) -> Iterable[bytes]:
        if b" /stream " in request.split(b"\r\n")[0]:
            return chunked(chunks(), **{**EVENTS, **encoding})
        urls = {"stream": f"{server.url}/stream"}
        body = json.dumps({"id": "p1", "status": "starting", "urls": urls}).encode()
        return [answer(body, content_type="application/json")]

    encoding = options.pop("encoding", {})
    settings = {"timeout": 0.3, "retries": 0, "max_answer_bytes": 100_000} | options
    with wire(script) as server, Client("r8_secret", base_url=server.url, **settings) as client:
        yield server, client


async def listen(client: Client) -> list[str]:
    prediction = await client.predictions.async_get("p1")
    return [event.data async for event in prediction.async_stream()]


def paced(*chunks: bytes, again: bytes = b"", pause: float = 0.02) -> Any:
    def make() -> Iterator[bytes]:
        yield from chunks
        while again:
            time.sleep(pause)
            yield again

    return make


def packed() -> Iterator[bytes]:
    packer = zlib.compressobj(1, wbits=31)
    for _ in range(1000):
        yield packer.compress(b"x" * 2**20) + packer.flush(zlib.Z_SYNC_FLUSH)


NEVER_END = {
    "a line": (paced(again=b"x" * 5000, pause=0), {}, "more than 100000 bytes"),
    "an event of many lines": (paced(again=b"data: x\n" * 500, pause=0), {}, "more than 100000 bytes"),
    "a line that drips": (paced(b"event: output\ndata: ", again=b"x"), {}, "did not end in 1.8 s"),
    "lines that drip": (paced(again=b"data: x\n"), {}, "did not end in 1.8 s"),
    "a name and keep-alives": (paced(b"event: output\n", again=b": hi\n"), {}, "did not end in 1.8 s"),
    "what expands": (packed, {"content_encoding": "gzip"}, "more than 100000 bytes"),
    "what is not encoded so": (paced(b"data: x\n\n"), {"content_encoding": "gzip"}, "cannot be decoded"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", NEVER_END)
@pytest.mark.timeout(60)
def test_an_event_that_never_ends_ends_the_stream(kind: str, drive: Drive) -> None:
    chunks, encoding, said = NEVER_END[kind]
    # A drip that a busy machine holds up for as long as the timeout would be asked for again.
    with streaming(chunks, encoding=encoding, timeout=0.6) as (server, client):
        with pytest.raises(errors.StreamError, match=rf"p1 broke off: .*{said}[\s\S]*wait\(\)"):
            drive(listen(client))
        assert server.accepted == 2


@pytest.mark.timeout(60)
def test_a_stream_that_is_kept_alive_may_be_silent_for_long(drive: Drive) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"event: output\ndata: a\n\n"
        for _ in range(60):
            time.sleep(0.02)
            yield b": hi\n\n"
        yield b"event: output\ndata: b\n\nevent: done\ndata: {}\n\n"

    with streaming(chunks) as (_, client):
        assert drive(listen(client)) == ["a", "b", "{}"]


@pytest.mark.timeout(60)
def test_a_stream_may_be_longer_than_any_of_its_events(drive: Drive) -> None:
    def chunks() -> Iterator[bytes]:
        for number in range(100):
            yield f"id: {number}\nevent: output\ndata: {'x' * 5000}\n\n".encode()
        yield b"event: done\ndata: {}\n\n"

    with streaming(chunks) as (_, client):
        assert len(drive(listen(client))) == 101


def test_a_stream_may_be_encoded_unasked(drive: Drive) -> None:
    packer = zlib.compressobj(wbits=31)
    whole = packer.compress(b"event: output\ndata: a\n\nevent: done\ndata: {}\n\n") + packer.flush()
    chunks = paced(*itertools.batched(whole, 7)) if hasattr(itertools, "batched") else paced(whole)
    with streaming(lambda: map(bytes, chunks()), encoding={"content_encoding": "gzip"}) as (_, client):
        assert drive(listen(client)) == ["a", "{}"]
