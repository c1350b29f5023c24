"""Answers end: they have a size, a time in which they come, and no more memory than that, under every driver."""

from __future__ import annotations

import gc
import gzip
import json
import time
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client, FileOutput, errors
from replicate_kit._door.receiving import Receiving
from replicate_kit.testing.suites import Drive
from replicate_kit.testing.suites._backends import connected
from replicate_kit.transport import Limits, Request, Response
from tests.wires import Wire, answer, chunked, head, wire

pytestmark = pytest.mark.usefixtures("each_library")

BODY = json.dumps({"id": "p1", "status": "succeeded", "output": "x" * 100_000}).encode()
JSON = {"content_type": "application/json"}


def endless(chunk: bytes = b" " * 65536, pause: float = 0.0) -> Iterator[bytes]:
    while True:
        time.sleep(pause)
        yield chunk


def bomb(mebibytes: int, times: int = 1) -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(mebibytes)) + packer.flush()
    for _ in range(times - 1):
        packed = gzip.compress(packed)
    return packed


BOMB, TWICE = bomb(32), bomb(32, 2)


SHORT = 0.2  # seconds; only where a timeout is waited for: a busy machine may take as long to connect


def timeout_for(kind: str) -> float:
    """The timeout for a body: a short one for one that would never end."""
    return SHORT if kind == "dripping" else 5.0


def client_of(server: Wire, **options: Any) -> Client:
    settings = {"timeout": 5.0, "retries": 0, "max_answer_bytes": 1_000_000, "max_file_bytes": 2_000_000}
    return Client("r8_secret", base_url=server.url, poll_interval=0.01, **(settings | options))


@contextmanager
def talk(script: Any, **options: Any) -> Iterator[tuple[Wire, Client]]:
    with wire(script) as server, client_of(server, **options) as client:
        yield server, client


# Sizes of the API's answers.

TOO_LARGE = {
    "announced": lambda: [head(content_length="1000001", **JSON)],
    "endless": lambda: chunked(endless(), **JSON),
    "endless until the connection closes": lambda: iter([head(**JSON), *[b" " * 65536] * 100]),
    "gzip": lambda: [answer(BOMB, content_encoding="gzip", **JSON)],
    "gzip twice": lambda: [answer(TWICE, content_encoding="gzip, gzip", **JSON)],
    "gzip without end": lambda: chunked([BOMB] * 100, content_encoding="gzip", **JSON),
    "deflate": lambda: [answer(zlib.compress(bytes(20_000_000), 1), content_encoding="deflate", **JSON)],
}


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_an_answer_that_is_too_large_is_not_read(kind: str, drive: Drive) -> None:
    with (
        wire(lambda _: TOO_LARGE[kind]()) as server,
        client_of(server) as client,
        pytest.raises(errors.InvalidResponse, match=r"more than 1000000 bytes .*max_answer_bytes") as caught,
    ):
        drive(client.predictions.async_get("p1"))
    assert server.accepted == 1
    assert "r8_secret" not in str(caught.value)


@pytest.mark.parametrize("size", [1000, 1001])
def test_an_answer_that_comes_in_one_piece_has_the_same_limit(size: int, drive: Drive) -> None:
    text = json.dumps({"username": "ada", "type": ""})
    body = text.replace('""', '"' + "x" * (size - len(text)) + '"').encode()
    assert len(body) == size
    with talk(lambda _: [answer(body, **JSON)], max_answer_bytes=1000) as (_, client):
        if size <= 1000:
            assert drive(client.accounts.async_current()).username == "ada"
        else:
            with pytest.raises(errors.InvalidResponse, match="more than 1000 bytes"):
                drive(client.accounts.async_current())


def test_what_an_error_says_in_one_piece_is_read_beyond_that_limit(drive: Drive) -> None:
    said = json.dumps({"detail": "x" * 2000}).encode()
    with (
        talk(lambda _: [answer(said, "422 Unprocessable", **JSON)], max_answer_bytes=1000) as (_, client),
        pytest.raises(errors.APIError, match="x" * 100),
    ):
        drive(client.accounts.async_current())


@pytest.mark.parametrize("kind", ["endless", "gzip", "gzip twice"])
def test_a_create_whose_answer_is_too_large_is_uncertain_and_not_repeated(kind: str, drive: Drive) -> None:
    with (
        talk(lambda _: TOO_LARGE[kind](), retries=5) as (server, client),
        pytest.raises(errors.UncertainCreate, match="more than 1000000 bytes"),
    ):
        drive(client.predictions.async_create("f" * 64, {}))
    assert server.accepted == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity", "deflate, gzip"])
def test_an_answer_may_be_encoded_unasked(encoding: str, drive: Drive) -> None:
    body = {
        "gzip": gzip.compress(BODY),
        "deflate": zlib.compress(BODY),
        "deflate, gzip": gzip.compress(zlib.compress(BODY)),
    }.get(encoding, BODY)
    with (
        wire(lambda _: [answer(body, content_encoding=encoding, **JSON)]) as server,
        client_of(server) as client,
    ):
        assert len(drive(client.predictions.async_get("p1")).output) == 100_000


@pytest.mark.parametrize(
    ("encoding", "body", "said"),
    [
        ("gzip", b'{"id": "p1"}', "cannot be decoded"),
        ("compress", BODY, "'compress' cannot be undone"),
        ("gzip, gzip, gzip, gzip", BODY, "encoded 4 times"),
    ],
)
def test_an_answer_that_cannot_be_decoded_says_so(
    encoding: str, body: bytes, said: str, drive: Drive
) -> None:
    with (
        talk(lambda _: [answer(body, content_encoding=encoding, **JSON)]) as (_server, client),
        pytest.raises(errors.InvalidResponse, match=said),
    ):
        drive(client.predictions.async_get("p1"))


def test_an_answer_that_ends_inside_its_encoding_is_lost(drive: Drive) -> None:
    body = head(content_encoding="gzip", connection="close", **JSON) + gzip.compress(BODY)[:-20]
    with (
        talk(lambda _: [body]) as (_server, client),
        pytest.raises(errors.ConnectionLost, match="in the middle of its encoding"),
    ):
        drive(client.predictions.async_get("p1"))


def test_an_answer_that_is_cut_short_names_the_failure_behind_it(drive: Drive, library: Any) -> None:
    with (
        talk(lambda _: [head(content_length="500", **JSON) + b'{"id"']) as (_server, client),
        pytest.raises(errors.ConnectionLost) as caught,
    ):
        drive(client.predictions.async_get("p1"))
    assert isinstance(caught.value.__cause__, library.RemoteProtocolError)


def test_an_answer_that_expands_beyond_reason_is_not_read(
    monkeypatch: pytest.MonkeyPatch, drive: Drive
) -> None:
    monkeypatch.setattr("replicate_kit._door.receiving._FREELY", 2**20)
    body = answer(BOMB, content_encoding="gzip", **JSON)
    said = r"was sent encoded, and \d+ bytes of it became more than"
    with (
        talk(lambda _: [body], max_answer_bytes=10**12) as (_, client),
        pytest.raises(errors.InvalidResponse, match=said),
    ):
        drive(client.predictions.async_get("p1"))


@pytest.mark.parametrize("chunk", [b"[],", b"{},", b"[", b'{"":', b"0,"])
def test_an_answer_of_more_values_than_memory_holds_is_not_decoded(
    chunk: bytes, monkeypatch: pytest.MonkeyPatch, drive: Drive
) -> None:
    monkeypatch.setattr("replicate_kit._http.answers._LARGE", 10_000)
    monkeypatch.setattr("replicate_kit._http.answers._MOST_VALUES", 5_000)
    body = answer(b"[" + chunk * 12_000 + b"0]", **JSON)
    with talk(lambda _: [body]) as (_, client), pytest.raises(errors.InvalidResponse, match="5000 values"):
        drive(client.predictions.async_get("p1"))
    with talk(lambda _: [body]) as (_, client), pytest.raises(errors.UncertainCreate, match="5000 values"):
        drive(client.predictions.async_create("f" * 64, {}))


# Time of the API's answers.

NEVER_ENDS = {
    "body": lambda: chunked(endless(b" ", 0.02), **JSON),
    "headers": lambda: _dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "one header": lambda: _dripping(b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),
    "early hints": lambda: _dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "encoded body": lambda: chunked(_slowly(gzip.compress(BODY)), content_encoding="gzip", **JSON),
}


def _dripping(first: bytes, more: bytes) -> Iterator[bytes]:
    yield first
    yield from endless(more, 0.02)


def _slowly(content: bytes) -> Iterator[bytes]:
    yield content[:-8]
    for at in range(len(content) - 8, len(content) - 1):
        time.sleep(0.15)
        yield content[at : at + 1]
    time.sleep(5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", NEVER_ENDS)
@pytest.mark.timeout(30)
def test_an_answer_that_never_ends_is_given_up_and_not_asked_for_again(kind: str, drive: Drive) -> None:
    with (
        talk(lambda _: NEVER_ENDS[kind](), retries=5, timeout=SHORT) as (server, client),
        pytest.raises(errors.RequestTimeout, match=r"did not come to an end in 0\.6 s.*timeout"),
    ):
        drive(client.predictions.async_get("p1"))
    assert server.accepted == 1


@pytest.mark.parametrize("kind", ["body", "headers"])
@pytest.mark.timeout(30)
def test_a_create_whose_answer_never_ends_is_uncertain(kind: str, drive: Drive) -> None:
    with (
        talk(lambda _: NEVER_ENDS[kind](), retries=5, timeout=SHORT) as (server, client),
        pytest.raises(errors.UncertainCreate, match="did not come to an end"),
    ):
        drive(client.predictions.async_create("f" * 64, {}))
    assert server.accepted == 1


# Errors and redirects.

BODIES: dict[str, Callable[[str], Any]] = {
    "endless": lambda status: chunked(endless(), status, **JSON),
    "dripping": lambda status: chunked(endless(b" ", 0.02), status, **JSON),
    "bomb": lambda status: [answer(BOMB, status, content_encoding="gzip", **JSON)],
    "undecodable": lambda status: [answer(b"{}", status, content_encoding="nonsense", **JSON)],
    "cut": lambda status: [head(status, content_length="100", **JSON) + b'{"detail"'],
}


@pytest.mark.slow
@pytest.mark.parametrize("status", ["404 Not Found", "422 Unprocessable", "500 Oops", "429 Too Many"])
@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.timeout(60)
def test_an_error_is_told_by_its_status_whatever_its_body(status: str, kind: str, drive: Drive) -> None:
    with (
        talk(lambda _: BODIES[kind](status), timeout=timeout_for(kind)) as (_server, client),
        pytest.raises(errors.APIError) as caught,
    ):
        drive(
            client.predictions.async_create("f" * 64, {})
            if status[0] == "4"
            else client.models.async_get("a/b")
        )
    assert caught.value.status == int(status[:3])


def test_what_an_error_says_is_read(drive: Drive) -> None:
    said = gzip.compress(b'{"detail": "no such thing"}')
    with (
        talk(lambda _: [answer(said, "404 Not Found", content_encoding="gzip", **JSON)]) as (_server, client),
        pytest.raises(errors.NotFound, match="no such thing"),
    ):
        drive(client.predictions.async_get("p1"))


@pytest.mark.timeout(30)
def test_the_body_of_a_redirect_is_not_waited_for(drive: Drive) -> None:
    def script(request: bytes) -> Any:
        if b"/p2" in request.split(b"\r\n")[0]:
            return [answer(BODY, **JSON)]
        return chunked(endless(), "302 Found", location="/v1/predictions/p2")

    with wire(script) as server, client_of(server) as client:
        assert drive(client.predictions.async_get("p1")).id == "p1"


@pytest.mark.parametrize("encoding", ["utf-8", "aws-chunked", "none", "binary"])
def test_what_is_written_in_place_of_an_encoding_changes_nothing(encoding: str, drive: Drive) -> None:
    # The server leaves after each answer, of which a client may hear too late.
    with talk(lambda _: [answer(BODY, content_encoding=encoding, **JSON)], retries=3) as (server, client):
        assert drive(client.predictions.async_get("p1")).id == "p1"
        download = drive(FileOutput(f"{server.url}/out.bin", client.session).async_download())
        assert download.size == len(BODY)
        drive(download.aclose())
        assert drive(FileOutput(f"{server.url}/out.bin", client.session).async_read()) == BODY


# Files.

FILES = {
    "announced": (lambda: [head(content_length="2000001")], "more than 2000000 bytes"),
    "endless": (lambda: chunked(endless(bytes(65536))), "more than 2000000 bytes"),
    "gzip": (lambda: [answer(BOMB, content_encoding="gzip")], "more than 2000000 bytes"),
    "dripping": (lambda: chunked(endless(b".", 0.02)), "comes too slowly"),
    "nonsense": (lambda: [answer(b"abc", content_encoding="dcb")], "cannot be undone"),
    "no gzip": (lambda: [answer(b"abc", content_encoding="gzip")], "cannot be decoded"),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("way", ["read", "save", "range"])
@pytest.mark.timeout(30)
def test_a_file_that_is_too_much_is_an_error_and_leaves_nothing(
    kind: str, way: str, tmp_path: Path, drive: Drive
) -> None:
    script, said = FILES[kind]
    with wire(lambda _: script()) as server, client_of(server, timeout=timeout_for(kind)) as client:
        file = FileOutput(f"{server.url}/out.bin", client.session)
        ways = {
            "read": lambda: file.async_read(),
            "save": lambda: file.async_save(tmp_path / "out.bin"),
            "range": lambda: file.async_read_range(5),
        }
        with pytest.raises(errors.FileError, match=said):
            drive(ways[way]())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_expands_beyond_reason_is_an_error_though_it_might_be_larger(
    tmp_path: Path, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replicate_kit._door.receiving._FREELY", 2**20)
    with (
        talk(lambda _: [answer(BOMB, content_encoding="gzip")], max_file_bytes=10**12) as (server, client),
        pytest.raises(errors.FileError, match=r"sent encoded, and .* is to fill a disk"),
    ):
        drive(FileOutput(f"{server.url}/out.bin", client.session).async_save(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_file_that_is_sent_encoded_is_stored_as_what_it_is(
    encoding: str, tmp_path: Path, drive: Drive
) -> None:
    packed = gzip.compress(BODY) if encoding == "gzip" else zlib.compress(BODY)
    with wire(lambda _: [answer(packed, content_encoding=encoding)]) as server, client_of(server) as client:
        path = drive(FileOutput(f"{server.url}/out.json", client.session).async_save(tmp_path / "out.json"))
    assert path.read_bytes() == BODY


def test_a_file_that_is_sent_encoded_is_read_again_from_its_beginning_where_it_broke(drive: Drive) -> None:
    packed, starts = gzip.compress(BODY * 20, 0), list[bytes]()

    def script(request: bytes) -> Any:
        starts.append(request)
        size = 500_000 if len(starts) == 1 else len(packed)
        return [head(content_length=str(len(packed)), content_encoding="gzip") + packed[:size]]

    with wire(script) as server, client_of(server, max_file_bytes=10**9) as client:
        assert drive(FileOutput(f"{server.url}/out.json", client.session).async_read()) == BODY * 20
    assert [b"range: bytes" in each.lower() for each in starts] == [False, False]


@pytest.mark.parametrize("status", ["200 OK", "206 Partial Content"])
def test_a_range_of_what_is_sent_encoded_is_one_of_the_file(status: str, drive: Drive) -> None:
    def script(request: bytes) -> Any:
        whole = b"range: bytes" not in request.lower()
        said = {"content_encoding": "gzip", "connection": "close"}
        return [answer(gzip.compress(BODY), "200 OK" if whole else status, **said)]

    with wire(script) as server, client_of(server) as client:
        read = FileOutput(f"{server.url}/out.json", client.session).async_read_range(10, 30)
        assert drive(read) == BODY[10:30]


@pytest.mark.timeout(60)
def test_a_file_of_which_each_connection_brings_a_byte_is_an_error(clock: Any, drive: Drive) -> None:
    sent = iter(range(10**9))

    def script(_: bytes) -> Any:
        at = next(sent)
        status = "200 OK" if at == 0 else "206 Partial Content"
        return [head(status, content_length=str(9000 - at), content_range=f"bytes {at}-8999/9000") + b"."]

    with (
        wire(script) as server,
        client_of(server) as client,
        pytest.raises(errors.FileError, match="broke off 6 times"),
    ):
        drive(FileOutput(f"{server.url}/out.bin", client.session).async_read())


def test_more_is_not_read_into_memory_than_that_may_hold(
    monkeypatch: pytest.MonkeyPatch, drive: Drive, tmp_path: Path
) -> None:
    monkeypatch.setattr("replicate_kit._files.downloading.MOST_IN_MEMORY", 100_000)
    with wire(lambda _: [answer(bytes(200_000))]) as server, client_of(server) as client:
        file = FileOutput(f"{server.url}/out.bin", client.session)
        for read in (file.async_read, lambda: file.async_read_range(0)):
            with pytest.raises(errors.FileError, match=r"read into memory.*save"):
                drive(read())
        assert drive(file.async_save(tmp_path / "out.bin")).stat().st_size == 200_000


def test_a_file_may_take_as_long_as_who_reads_it(drive: Drive) -> None:
    with wire(lambda _: [answer(bytes(1_000_000))]) as server, client_of(server, timeout=0.1) as client:
        seen = 0
        for number, chunk in enumerate(FileOutput(f"{server.url}/out.bin", client.session).chunks()):
            seen += len(chunk)
            time.sleep(0.3 if number < 3 else 0)
    assert seen == 1_000_000


# The rule by itself.


def test_small_chunks_of_an_answer_are_put_together(drive: Drive) -> None:
    class Chunks:
        async def __aiter__(self) -> Any:
            for _ in range(200_000):
                yield b"ab"

    request = Request("GET", "https://api.test/x")
    request.limits = Limits("answer", 10**9)

    async def read() -> list[int]:
        body = Receiving(Chunks(), Response(200, stream=Chunks(), request=request))
        return [len(chunk) async for chunk in body]

    sizes = drive(read())
    assert sum(sizes) == 400_000
    assert len(sizes) <= 7


def test_nothing_keeps_an_answer_that_was_read(drive: Drive) -> None:
    async def asked(url: str) -> weakref.ref[Response]:
        client = Client("r8_any", base_url=url)
        async with connected(client.session.backend, client) as transport:
            return weakref.ref(await transport.send(Request("GET", url)))

    gc.disable()  # what keeps itself would be gone by chance
    try:
        with wire(lambda _: [answer(b"{}")]) as server:
            assert drive(asked(server.url))() is None
    finally:
        gc.enable()
