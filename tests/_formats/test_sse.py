"""Server-sent events, as the WHATWG's rules for event streams read them."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import pickle
from collections.abc import AsyncIterator, Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit._formats.sse import Decoder, ServerSentEvent, decode
from replicate_kit.errors import InvalidResponse

FIELDS = [
    "data: a",
    "data",
    "data:  b",
    "data: \u2028\x0c\x85é",
    "event: output",
    "id: 1:0",
    "id: \0",
    "retry: 10",
]
OTHERS = ["", "", "retry: x", ": hi", "unknown: x", "\ufeffdata: bom", "data: \udcff"]
LINES = st.sampled_from([line.encode(errors="surrogateescape") for line in (*FIELDS, *OTHERS)])
STREAMS = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r", b"\r\n"]))).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def all_at_once(stream: bytes) -> list[ServerSentEvent]:
    return Decoder().feed(stream)


def pieces(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return (stream[start:end] for start, end in itertools.pairwise(edges))


@given(STREAMS, st.lists(st.integers(min_value=0)))
def test_any_chunking_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    decoder = Decoder()
    assert [event for piece in pieces(stream, cuts) for event in decoder.feed(piece)] == all_at_once(stream)


@given(STREAMS)
def test_byte_by_byte_gives_the_same_events(stream: bytes) -> None:
    decoder = Decoder()
    assert [event for byte in stream for event in decoder.feed(bytes([byte]))] == all_at_once(stream)


# Events as Replicate writes them are read by a way of their own, which has to agree with that of all others.
USUAL = [
    "event: output\nid: 1:0\ndata: a\n",
    "event: logs\nid: 2\ndata: data: b\ndata: \n",
    "event: \nid: 3\ndata: c\n",
]
UNUSUAL = [
    "event: x\n",
    "id: 4\n",
    "id: \0\n",
    "id: \n",
    "data: d\n",
    "data:e\n",
    "data\n",
    "retry: 5\n",
    ": hi\n",
    "\n",
]
MIXED = st.lists(st.sampled_from([*USUAL, *(f"{event}\n" for event in USUAL), *UNUSUAL])).map("".join)


@given(MIXED.map(str.encode), st.lists(st.integers(min_value=0)))
def test_usual_events_are_read_as_all_others_are(stream: bytes, cuts: list[int]) -> None:
    decoder, by_line = Decoder(), Decoder()
    found = [event for piece in pieces(stream, cuts) for event in decoder.feed(piece)]
    assert found == [event for line in stream.splitlines(True) for event in by_line.feed(line)]
    assert found == all_at_once(stream)
    assert decoder.is_between == by_line.is_between


BORING = st.lists(st.sampled_from([b"data: a\n", b"event:b\n", b"id: 1\n", b"other\n", b"\n"])).map(b"".join)


def taken_in(pieces: Iterable[bytes], most: int) -> list[ServerSentEvent] | None:
    decoder = Decoder(most)
    try:
        return [event for piece in pieces for event in decoder.feed(piece)]
    except InvalidResponse:
        return None


@given(BORING, st.lists(st.integers(min_value=0)), st.integers(min_value=0, max_value=40))
def test_what_is_too_large_is_so_in_any_chunking(stream: bytes, cuts: list[int], most: int) -> None:
    assert taken_in(pieces(stream, cuts), most) == taken_in([stream], most)


@given(st.binary())
def test_any_bytes_decode_without_an_error(stream: bytes) -> None:
    all_at_once(stream)


@given(st.text().filter(lambda text: "\r" not in text and "\n" not in text))
def test_data_comes_as_it_was_sent(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    (event,) = all_at_once(f"event: output\nid: 7\ndata: {text}\n\n".encode())
    assert event == ServerSentEvent("output", text, "7")
    assert str(event) == text


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1e", "\x85"])
def test_characters_that_only_look_like_line_ends_are_kept(character: str) -> None:
    (event,) = all_at_once(f"data: a{character}b\n\n".encode())
    assert event.data == f"a{character}b"


def test_lines_of_data_are_joined() -> None:
    (event,) = all_at_once(b"data: a\ndata:\ndata: b\n\n")
    assert event.data == "a\n\nb"


def test_events_without_id_or_with_unknown_names_are_events() -> None:
    assert [event.event for event in all_at_once(b"data: a\n\nevent: new\ndata: b\n\n")] == ["message", "new"]


def test_the_id_holds_until_another_one_comes() -> None:
    events = all_at_once(b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n")
    assert [event.id for event in events] == ["1", "1", ""]


def test_retry_is_in_milliseconds_and_for_one_event() -> None:
    events = all_at_once(b"retry: 250\ndata: a\n\ndata: b\n\nretry: 1s\ndata: c\n\n")
    assert [event.retry for event in events] == [250, None, None]


@pytest.mark.parametrize("line", [b'data:{"a": 1}', b'data: {"a": 1}'])
def test_a_space_after_the_colon_is_not_needed(line: bytes) -> None:
    (event,) = all_at_once(b"event:output\nid:7\nretry:5\n" + line + b"\n\n")
    assert event == ServerSentEvent("output", '{"a": 1}', "7", 5)


def test_an_event_is_a_value() -> None:
    event = ServerSentEvent("output", id="7")
    assert repr(event) == "ServerSentEvent(event='output', data='', id='7', retry=None)"
    assert {event: 1}[dataclasses.replace(event)] == 1
    assert pickle.loads(pickle.dumps(event)) == event
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.data = "other"  # type: ignore[misc]


def test_an_event_that_was_not_finished_is_dropped() -> None:
    assert all_at_once(b"data: a\n\ndata: b\n") == [ServerSentEvent(data="a")]


def test_only_output_events_have_text() -> None:
    assert str(ServerSentEvent("logs", "loading")) == ""
    assert ServerSentEvent("done", '{"reason": "error"}').json() == {"reason": "error"}


def test_an_event_of_many_pieces_costs_no_more_than_its_length() -> None:
    """Decode a large event in tiny pieces: quadratic work would not end within the life of a test."""
    piece, decoder = b"x" * 64, Decoder()
    decoder.feed(b"data: ")
    for _ in range(10 * 2**20 // len(piece)):
        assert decoder.feed(piece) == []
    (event,) = decoder.feed(b"\n\n")
    assert len(event.data) == 10 * 2**20


@pytest.mark.parametrize(
    "piece",
    [b"x", b"data: xxxxxxx\n", b"data:\n", b"other: x\n", b"id: 1\n", b": x\ndata: x\n", b":", b"\xff" * 50],
)
def test_an_event_that_does_not_end_is_refused(piece: bytes) -> None:
    decoder = Decoder(most=1000)
    with pytest.raises(InvalidResponse, match="an event of the stream has more than 1000 bytes"):
        list(map(decoder.feed, [piece] * 2000))


def test_an_event_may_be_as_large_as_it_may_be() -> None:
    decoder = Decoder(most=1000)
    for _ in range(5):
        (event,) = decoder.feed(b"data: " + b"x" * 990 + b"\n\n")
        assert len(event.data) == 990


def test_what_follows_an_event_is_not_counted_with_it() -> None:
    decoder = Decoder(most=1000)
    decoder.feed(b"data: " + b"x" * 900 + b"\n")
    assert len(decoder.feed(b"\ndata: " + b"x" * 900)) == 1
    assert len(decoder.feed(b"\n\n")) == 1


@pytest.mark.parametrize("comment", [b":\n", b": hi\n\n", b":\r\n\r\n"])
def test_comments_between_events_may_go_on_for_ever(comment: bytes) -> None:
    decoder = Decoder(most=1000)
    for _ in range(2000):
        assert decoder.feed(comment) == []
        assert decoder.is_between
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent(data="a")]


@pytest.mark.parametrize("begun", [b"d", b"data: x\n", b"event: output\n", b":", b"data: x\n:\n"])
def test_an_event_that_has_begun_is_told(begun: bytes) -> None:
    decoder = Decoder()
    decoder.feed(begun)
    assert not decoder.is_between


def test_decode_gives_events_as_chunks_come() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data: a\n"
        yield b"\ndata: b\n\ndata: c\n\n"
        yield b"data: never finished"

    async def main() -> list[str]:
        return [event.data async for event in decode(chunks())]

    assert asyncio.run(main()) == ["a", "b", "c"]
