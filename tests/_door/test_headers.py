"""Headers: names of any case, values that come more than once, and what of them is on a wire."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.transport import Headers

Pairs = list[tuple[str, str]]

GIVEN: dict[str, Any] = {
    "a dict": {"X-A": "1", "x-b": "2"},
    "pairs": [("X-A", "1"), ("x-b", "2")],
    "bytes": [(b"X-A", b"1"), (b"x-b", b"2")],
    "httpx's": httpx.Headers([("X-A", "1"), ("x-b", "2")]),
    "ours": Headers({"X-A": "1", "x-b": "2"}),
}


@pytest.mark.parametrize("given", GIVEN)
def test_headers_are_made_of_all_that_has_names_and_values(given: str) -> None:
    headers = Headers(GIVEN[given])
    assert (headers["x-a"], headers["X-B"]) == ("1", "2")
    assert "X-a" in headers
    assert headers.get("x-c") is None
    assert len(headers) == 2
    assert headers == Headers({"x-A": "1", "X-b": "2"}) == {"x-a": "1", "x-b": "2"}


def test_a_name_may_have_several_values() -> None:
    headers = Headers([("Set-Cookie", "a=1"), ("X", "y"), ("set-cookie", "b=2")])
    assert headers["set-cookie"] == "a=1, b=2" == headers.get("SET-COOKIE")
    assert headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert headers.get_list("none") == []
    assert headers.multi_items() == [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X", "y")]
    headers["set-cookie"] = "c=3"
    assert headers.get_list("Set-Cookie") == ["c=3"]
    headers.update([("x", "1"), ("x", "2")], more="3")
    assert headers.get_list("x") == ["1", "2"]
    assert headers.setdefault("more", "4") == "3"
    del headers["MORE"]
    assert "more" not in headers


def test_a_copy_is_one() -> None:
    headers = Headers({"a": "1"})
    copied = headers.copy()
    copied["a"] = "2"
    assert headers["a"] == "1"


def test_headers_show_their_names_alone() -> None:
    assert repr(Headers({"Authorization": "Bearer r8_secret"})) == "<Headers: authorization>"


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (b"caf\xe9", b"caf\xe9"),
        ("caf\xe9", b"caf\xe9"),
        (b"caf\xc3\xa9", b"caf\xc3\xa9"),
        ("\u2603", b"\xe2\x98\x83"),
    ],
)
def test_bytes_are_sent_as_they_were_given(value: Any, raw: bytes) -> None:
    assert Headers([("X", value)]).raw == [(b"X", raw)]


@pytest.mark.parametrize("backend", ["http", "httpx2"])
def test_a_header_of_bytes_arrives_as_it_is(backend: str, serve: Any) -> None:
    origin = serve(lambda _: (200, {"Content-Type": "application/json"}, b"{}"))
    client = Client("r8_any", backend=backend, base_url=origin.url)
    client.request("GET", "account", headers={"X-Bytes": b"caf\xe9"})  # type: ignore[dict-item]
    assert origin.received[0].headers["x-bytes"] == "caf\xe9"
