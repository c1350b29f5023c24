"""Requests stay with the API where they are meant for it, and their bodies are read beside the event loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import anyio
import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from replicate_kit import errors
from replicate_kit.config import Config
from replicate_kit.requesting import ReadInThread, Requests

API = httpx.URL("https://api.test/v1/")


@given(st.text(), st.text())
@example("", "A:")
@example("api.test", "https://evil.test/x")
def test_no_link_leaves_the_api(host: str, path: str) -> None:
    try:
        url = Requests(Config(), API).url_of(f"https://{host}/v1/{path}")
    except errors.InvalidResponse:
        return
    assert (url.scheme, url.netloc) == (API.scheme, API.netloc)


def test_the_token_is_in_no_request_that_goes_elsewhere() -> None:
    requests = Requests(Config(explicit_token="r8_secret"), API)
    assert requests.get("https://api.test/v1/account", None).headers["authorization"] == "Bearer r8_secret"
    assert "authorization" not in requests.get("https://files.test/v1/account", None).headers


def test_a_body_is_read_beside_the_event_loop_each_time_it_is_sent() -> None:
    readers: list[threading.Thread] = []

    class Source:
        def __iter__(self) -> Iterator[bytes]:
            for chunk in (b"a", b"b"):
                readers.append(threading.current_thread())
                yield chunk

    async def read_twice() -> list[bytes]:
        body = ReadInThread(Source(), anyio.to_thread.run_sync)
        return [chunk for _ in range(2) async for chunk in body]

    assert anyio.run(read_twice) == [b"a", b"b", b"a", b"b"]
    assert threading.main_thread() not in readers
