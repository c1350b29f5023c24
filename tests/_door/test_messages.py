"""Requests and responses: what they say of themselves, and what users of httpx reach for."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest

from replicate_kit import Client, hookimpl
from replicate_kit.errors import APIError, ConfigError
from replicate_kit.testing.suites import Drive
from replicate_kit.transport import URL, Body, Once, Replayable, Request, Response, Slot, Timeout, received


async def joined(body: bytes | Body | None) -> bytes:
    assert isinstance(body, Body)
    return b"".join([chunk async for chunk in body])


@pytest.mark.parametrize(
    ("given", "body", "headers"),
    [
        (
            {"json": {"a": "ü"}},
            '{"a":"ü"}'.encode(),
            {"content-type": "application/json", "content-length": "10"},
        ),
        ({"content": "ü"}, "ü".encode(), {"content-length": "2"}),
        (
            {"data": {"a": "1 2", "b": ["x", "y"]}},
            b"a=1+2&b=x&b=y",
            {"content-type": "application/x-www-form-urlencoded"},
        ),
        ({}, b"", {"content-length": "0"}),
    ],
)
def test_a_request_says_what_it_carries(given: Any, body: bytes, headers: dict[str, str]) -> None:
    request = Request("post", "https://api.test/x", **given)
    assert request.method == "POST"
    assert request.content == body
    assert headers.items() <= dict(request.headers).items()
    assert request.is_replayable


def test_a_body_of_chunks_says_whether_it_can_be_sent_again(drive: Drive) -> None:
    again = Request("PUT", "https://api.test/x", body=Replayable(lambda: iter([b"a", b"b"]), length=2))
    single = Request("PUT", "https://api.test/x", body=Once([b"a", b"b"]))
    assert (again.headers["content-length"], single.headers["transfer-encoding"]) == ("2", "chunked")
    assert (again.is_replayable, single.is_replayable) == (True, False)
    assert [drive(joined(again.body)) for _ in range(2)] == [b"ab", b"ab"]
    assert drive(joined(single.body)) == b"ab"
    with pytest.raises(ConfigError, match="sent already and cannot be read again"):
        drive(joined(single.body))
    with pytest.raises(ValueError, match="comes in chunks"):
        _ = again.content


FILES: dict[str, tuple[Any, bytes]] = {
    "bytes": (b"abc", b'name="f"; filename="upload"\r\nContent-Type: application/octet-stream\r\n\r\nabc'),
    "named": (("a b.txt", b"abc"), b'name="f"; filename="a b.txt"\r\nContent-Type: text/plain\r\n\r\nabc'),
    "typed": (("a", "abc", "x/y"), b'name="f"; filename="a"\r\nContent-Type: x/y\r\n\r\nabc'),
    "no name": ((None, "abc"), b'name="f"\r\n\r\nabc'),
    "typed, no name": (
        (None, "{}", "application/json"),
        b'name="f"\r\nContent-Type: application/json\r\n\r\n{}',
    ),
    "quotes": (
        ('a"\n.bin', b"abc"),
        b'name="f"; filename="a%22%0A.bin"\r\nContent-Type: application/octet-stream\r\n\r\nabc',
    ),
    "open text": (
        ("t.txt", io.StringIO("ü")),
        'name="f"; filename="t.txt"\r\nContent-Type: text/plain\r\n\r\nü'.encode(),
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_a_part_of_a_form(kind: str, drive: Drive) -> None:
    file, part = FILES[kind]
    request = Request("POST", "https://api.test/files", files={"f": file}, data={"a": True})
    body = drive(joined(request.body))
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    field = b'--%b\r\nContent-Disposition: form-data; name="a"\r\n\r\ntrue\r\n' % boundary
    assert body == field + b"--%b\r\nContent-Disposition: form-data; %b\r\n--%b--\r\n" % (
        boundary,
        part,
        boundary,
    )
    if "content-length" in request.headers:
        assert int(request.headers["content-length"]) == len(body)


def test_a_layer_finds_what_it_keeps_at_a_request() -> None:
    one, other = Slot[int]("one"), Slot[int]("one")
    request = Request("GET", "https://api.test/x")
    one.set(request, 1)
    assert (one.get(request), other.get(request), one.get(Request("GET", "https://api.test/x"))) == (
        1,
        None,
        None,
    )


def test_phases_are_cut_to_what_is_left() -> None:
    assert Timeout(1, None, 5).at_most(2) == Timeout(1, 2, 2, 2)


def test_a_response_has_what_users_of_httpx_reach_for() -> None:
    response = Client(backend="mock").request("GET", "account")
    assert (response.status_code, response.is_success, response.is_error) == (200, True, False)
    assert response.json()["username"] == "local" == copy.copy(response).json()["username"]
    assert response.raise_for_status() is response
    assert response.url == "https://api.replicate.test/v1/account"
    assert response.headers["CONTENT-TYPE"].startswith("application/json")
    assert response.text.encode() == response.content
    with pytest.raises(AttributeError, match=r"A Response has no 'elapsed'\. It has status_code"):
        _ = response.elapsed  # type: ignore[attr-defined]
    assert Client(backend="mock").request("GET", response.url).json() == response.json()


def test_a_response_that_is_no_success_raises_when_it_is_told_to() -> None:
    response = Response(404, text="no", request=Request("GET", "https://api.test/x?key=secret"))
    with pytest.raises(APIError, match=r"^GET https://api\.test/x: 404$") as caught:
        response.raise_for_status()
    assert (caught.value.status, caught.value.body) == (404, "no")


@pytest.mark.parametrize("charset", ["latin-1", '"latin-1"', "nonsense"])
def test_text_is_read_in_the_charset_that_is_named(charset: str) -> None:
    response = Response(
        200, content="é".encode("latin-1"), headers={"content-type": f"text/plain; charset={charset}"}
    )
    assert response.text == ("\ufffd" if charset == "nonsense" else "é")


def test_a_stream_is_read_when_it_is_asked_for(drive: Drive) -> None:
    async def chunks() -> Any:
        yield b"a"
        yield b"b"

    async def read() -> tuple[bool, bytes, bytes]:
        request = Request("GET", "https://api.test/x")
        response = await received(Response(200, stream=chunks()), request, stream=True)
        with pytest.raises(RuntimeError, match="has not been read"):
            _ = response.content
        return response.is_read, await response.aread(), response.content

    assert drive(read()) == (False, b"ab", b"ab")


def test_messages_show_no_secrets() -> None:
    request = Request("GET", URL("https://me:hunter2@api.test/x?token=hunter2"), headers={"a": "hunter2"})
    assert "hunter2" not in f"{request!r} {request.named} {request.headers!r} {request.url!r}"


@pytest.mark.parametrize("value", [{"a": 1}, object(), {1, 2}])
def test_a_field_of_a_form_is_a_text_or_a_number(value: Any) -> None:
    with pytest.raises(TypeError, match="the field 'm' is a"):
        Request("POST", "https://api.test/x", data={"m": value}, files={"f": b"a"})


def test_a_new_body_is_announced_anew() -> None:
    request = Request("POST", "https://api.test/x", json={"a": 1})
    request.body = b"four"
    assert request.headers["content-length"] == "4"
    request.body = Once([b"a"])
    assert (request.headers.get("content-length"), request.headers["transfer-encoding"]) == (None, "chunked")
    request.body = None
    assert (request.headers["content-length"], request.headers.get("transfer-encoding")) == ("0", None)


def test_a_redirected_request_keeps_what_layers_have_kept(serve: Any) -> None:
    slot, seen = Slot[str]("first"), list[str | None]()

    class Layer:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        async def send(self, request: Request, /, *, stream: bool = False) -> Response:
            seen.append(slot.get(request))
            slot.set(request, request.url.path)
            response: Response = await self._inner.send(request, stream=stream)
            return response

        async def aclose(self) -> None:
            await self._inner.aclose()

    class Plugin:
        @hookimpl
        def replicate_transport_layer(self, config: Any) -> Any:
            return Layer

    def answer(request: Any) -> Any:
        return (302, {"Location": "there"}, b"") if request.path.endswith("/here") else (200, {}, b"{}")

    Client("r8_any", base_url=serve(answer).url, plugins=[Plugin()]).request("GET", "here")
    assert seen == [None, "/v1/here"]


@pytest.mark.parametrize("first", ["whole", "part", "closed"])
def test_a_stream_is_read_one_time(first: str, drive: Drive) -> None:
    closed: list[bool] = []

    class Chunks:
        def __aiter__(self) -> Any:
            return self

        left = 3

        async def __anext__(self) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return b"x"

        async def aclose(self) -> None:
            closed.append(True)

    async def read() -> None:
        response = Response(200, stream=Chunks())
        if first == "closed":
            await response.aclose()
        else:
            async for _ in response.aiter_bytes():
                if first == "part":
                    break
        assert bool(closed) == (first != "part")
        with pytest.raises(RuntimeError, match=r"was (begun|closed) already, and can be read one time"):
            await response.aread()
        await response.aclose()
        assert closed

    drive(read())
