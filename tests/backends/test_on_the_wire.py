"""What either library is given to send, and what it makes of odd requests and answers."""

from __future__ import annotations

import asyncio
import gzip
import http.cookiejar
import io
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import Client, errors
from replicate_kit.errors import ConfigError, InvalidResponse, TransportError, UncertainCreate
from replicate_kit.testing.suites import Drive
from tests.layers import Between

pytestmark = pytest.mark.usefixtures("each_library")

JSON = {"Content-Type": "application/json"}
PREDICTION = b'{"id": "p1", "status": "succeeded"}'


@pytest.fixture
def origin(serve: Any) -> Any:
    return serve(lambda _: (200, JSON, PREDICTION))


# Headers.


@pytest.mark.parametrize("body", [{"json": {"a": 1}}, {"files": {"content": b"a"}}, {"content": b"a"}, {}])
def test_a_host_of_the_callers_own_is_sent(body: Any, origin: Any, drive: Drive) -> None:
    client = Client("r8_any", base_url=origin.url, headers={"Host": "api.corp.test"})
    drive(client.async_request("POST", "files", **body))
    assert origin.received[0].headers["host"] == "api.corp.test"


def jar_of(*cookies: dict[str, Any]) -> http.cookiejar.CookieJar:
    """A jar with cookies that differ in one thing from one for everywhere."""
    jar = http.cookiejar.CookieJar()
    for each in cookies:
        usual = {"version": 0, "value": "v", "port": None, "port_specified": False, "domain": "", "path": "/"}
        usual |= {
            "domain_specified": False,
            "domain_initial_dot": False,
            "path_specified": True,
            "secure": False,
        }
        usual |= {"expires": None, "discard": True, "comment": None, "comment_url": None, "rest": {}}
        jar.set_cookie(http.cookiejar.Cookie(**(usual | each)))
    return jar


ODD_COOKIES: list[dict[str, Any]] = [
    {"name": "secure", "secure": True},
    {"name": "old", "expires": 1, "discard": False},
    {"name": "elsewhere", "domain": "other.test", "domain_specified": True},
    {"name": "path", "path": "/other"},
]


@pytest.mark.parametrize("kind", ["a jar", "httpx's", "a dict", "pairs"])
def test_cookies_go_where_they_are_meant_to(kind: str, origin: Any) -> None:
    jar = jar_of({"name": "plain"}, *ODD_COOKIES)
    given = {"a jar": jar, "httpx's": httpx.Cookies(jar), "a dict": {"plain": "v"}, "pairs": [("plain", "v")]}
    Client("r8_any", base_url=origin.url, cookies=given[kind]).request("GET", "account")
    assert origin.received[0].headers["cookie"] == "plain=v"


def test_no_cookie_makes_no_header(origin: Any) -> None:
    Client("r8_any", base_url=origin.url, cookies=jar_of(*ODD_COOKIES)).request("GET", "account")
    assert "cookie" not in origin.received[0].headers


# Uploads.


def text_file(folder: Path) -> Any:
    file = tempfile.NamedTemporaryFile("w+", encoding="latin-1", dir=folder, delete=False)  # noqa: SIM115 - it is sent
    file.write("gr\xf6\xdfe")
    file.flush()
    return file


def packed(folder: Path) -> Any:
    with gzip.open(folder / "a.gz", "wb") as file:
        file.write(b"content " * 1000)
    return gzip.open(folder / "a.gz")


def unflushed(folder: Path) -> Any:
    file = open(folder / "a.bin", "w+b")  # noqa: SIM115 - it is sent
    file.write(b"not on the disk yet")
    return file


def piped(folder: Path) -> Any:
    reading, writing = os.pipe()
    os.write(writing, b"piped")
    os.close(writing)
    return os.fdopen(reading, "rb")


def moved(folder: Path) -> Any:
    file = io.BytesIO(b"from the beginning")
    file.seek(5)
    return file


FILES: dict[Any, bytes] = {
    text_file: "gr\xf6\xdfe".encode(),
    packed: b"content " * 1000,
    unflushed: b"not on the disk yet",
    piped: b"piped",
    moved: b"from the beginning",
}


@pytest.mark.parametrize("make", FILES, ids=lambda make: make.__name__)
def test_files_of_all_kinds_arrive_whole(make: Any, serve: Any, tmp_path: Path) -> None:
    bodies: list[bytes] = []

    def answer(request: Any) -> Any:
        bodies.append(request.body)
        return 200, JSON, PREDICTION

    with make(tmp_path) as file:
        Client("r8_any", base_url=serve(answer).url).request("POST", "files", files={"content": ("x", file)})
    assert b"\r\n\r\n" + FILES[make] + b"\r\n--" in bodies[0]


def test_a_source_that_waits_does_not_hold_up_the_loop(origin: Any) -> None:
    class Slow:
        """A source that cannot be read again, and takes its time."""

        chunks = (b"a", b"b", b"")
        at = -1

        def read(self, size: int = -1) -> bytes:
            self.at += 1
            time.sleep(0.2)
            return self.chunks[self.at]

    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def main() -> None:
        ticking = asyncio.create_task(tick())
        async with Client("r8_any", base_url=origin.url, retries=0) as client:
            await client.async_request("POST", "files", files={"content": ("x", Slow())})
        ticking.cancel()

    asyncio.run(main())
    assert ticks > 10


class Changing(Between):
    """A layer that changes what is sent."""

    def __init__(self, change: Any) -> None:
        self._change = change

    async def send(self, request: Any, /, *, stream: bool = False) -> Any:
        self._change(request)
        return await self.inner.send(request, stream=stream)


@pytest.mark.parametrize("body", [b"longer than before", b"", None])
def test_a_layer_may_change_the_body(body: Any, origin: Any, drive: Drive) -> None:
    def change(request: Any) -> None:
        request.body = body

    client = Client("r8_any", base_url=origin.url, plugins=[Changing(change)])
    drive(client.async_request("POST", "x", json={"a": 1}))
    assert origin.received[0].body == (body or b"")


# httpx leaves a generator of its own to the collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("length", ["1", "100"])
def test_a_length_that_is_not_the_bodys_is_our_error(length: str, origin: Any, drive: Drive) -> None:
    client = Client("r8_any", base_url=origin.url, retries=0, timeout=1)
    with pytest.raises((TransportError, UncertainCreate)):
        drive(client.async_request("POST", "x", content=b"0123", headers={"content-length": length}))


# Answers.


@pytest.mark.parametrize(
    "charset", ["idna", "undefined", "punycode", "utf-16", "hex", "rot13", "\x00", "none"]
)
@pytest.mark.parametrize("status", [200, 422, 500])
def test_no_charset_of_an_answer_raises_anything_but_our_errors(
    charset: str, status: int, serve: Any, drive: Drive
) -> None:
    header = {"Content-Type": f"text/plain; charset={charset}"}
    client = Client("r8_any", base_url=serve(lambda _: (status, header, b"\xff\xfe no")).url, retries=0)
    with pytest.raises(errors.ReplicateError):
        drive(client.predictions.async_create("f" * 64, {}))


def test_an_answer_of_which_a_hook_has_read_a_part_is_none(origin: Any, library: Any) -> None:
    def read_some(response: Any) -> None:
        next(response.iter_bytes(4))

    client = Client("r8_any", base_url=origin.url, event_hooks={"response": [read_some]}, retries=0)
    with pytest.raises(
        InvalidResponse, match=r"a hook of event_hooks= has read a part .* Let it call read\(\)"
    ):
        client.request("GET", "account")
    with pytest.raises(UncertainCreate):
        client.predictions.create("f" * 64, {})


def test_an_answer_without_a_body_needs_no_decoder(serve: Any, drive: Drive) -> None:
    origin = serve(lambda _: (200, {"Content-Encoding": "br"}, b"some bytes"))
    assert drive(Client("r8_any", base_url=origin.url).async_request("HEAD", "account")).content == b""


# Options.


def test_an_option_that_would_have_no_effect_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not know the option default_encoding"):
        Client("r8_any", default_encoding="latin-1")


# The last look.


class TooLateNow(Exception):
    """What a look raises."""


@pytest.mark.parametrize("kept", [False, True], ids=["a new connection", "a kept one"])
@pytest.mark.parametrize("size", [10, 200_000])
@pytest.mark.parametrize("allowed", [1, 2])
def test_a_request_is_looked_at_again_before_it_is_written(
    allowed: int, size: int, kept: bool, serve: Any, drive: Drive
) -> None:
    origin = serve(lambda _: (200, JSON, PREDICTION))
    session = Client("r8_any", base_url=origin.url).session
    looks: list[bool] = []

    def look() -> None:
        looks.append(True)
        if len(looks) > allowed:
            raise TooLateNow

    async def ask() -> None:
        if kept:
            await session.fetch("GET", "account")
        with suppress(TooLateNow):
            await session.fetch("POST", "predictions", json={"text": "a" * size}, last_check=look, retries=3)
        await session.fetch("GET", "account")

    drive(ask())
    # Some write a small request as one.
    was_sent = len(looks) <= allowed
    assert not was_sent or (allowed, size) == (2, 10)
    assert len(looks) == (2 if was_sent else allowed + 1)
    # This server gives what it has got of a body as a request, where others wait for all of it.
    whole = [each for each in origin.received if len(each.body) == int(each.headers.get("content-length", 0))]
    assert [each.method for each in whole] == ["GET"] * kept + ["POST"] * was_sent + ["GET"]
