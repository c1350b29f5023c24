"""Headers that no request can carry are told when a client is made, without their values."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from itertools import product
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit._runtime.blocking import run
from replicate_kit.config import Config
from replicate_kit.errors import ConfigError, InputError

CANARY = "CaNaRy-7f3a"


KINDS: tuple[Any, ...] = (dict, list, httpx.Headers, "bytes", "cookies", "with_options")
UNSENDABLE = [
    *product(KINDS, ["\n", "\r\n", "\nX-Other: a", "\0", "\x1b", "\x7f"]),
    *(
        (kind, "é") for kind in KINDS if kind not in ("bytes", httpx.Headers)
    ),  # bytes beyond ASCII can be sent
    *((kind, " ") for kind in KINDS if kind != "cookies"),  # those are in the middle of a header
]


@pytest.mark.parametrize(("kind", "end"), UNSENDABLE)
def test_a_value_that_cannot_be_sent_is_not_shown(end: str, kind: Any) -> None:
    value = CANARY + end
    with pytest.raises(ConfigError, match=r"(?i)'X-Own'") as caught:  # noqa: PT012
        if kind == "bytes":
            Client(backend="mock", headers={b"X-Own": value.encode()})
        elif kind == "cookies":
            Client(backend="mock", cookies={"X-Own": value})
        elif kind == "with_options":
            Client(backend="mock").with_options(headers={"X-Own": value})
        else:
            Client(backend="mock", headers=kind([("X-Own", value)]))
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", [f"{CANARY}\n", f"a {CANARY}", f"Bearer: {CANARY}", ""])
def test_a_name_that_cannot_be_sent_is_not_shown_either(name: str) -> None:
    with pytest.raises(ConfigError, match="has a name that cannot be sent") as caught:
        Client(backend="mock", headers={name: "x"})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "cookie", [("a[0]", "b"), ("a b", "c"), ("a", " b"), ("a@b", "c"), ("a", 'say "hi"')]
)
def test_cookies_have_names_that_headers_have_not(cookie: tuple[str, str]) -> None:
    assert Client(backend="mock", cookies=dict([cookie])).accounts.current().username == "local"


def test_what_can_be_sent_is_taken() -> None:
    client = Client(
        backend="mock", headers={"X-Own": "a b\tc", "x_odd": b"\xe9", "Empty": ""}, cookies={"a": "b c"}
    )
    assert client.accounts.current().username == "local"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\nX-Other: a", "\0", "\x1b", " ", "é", "\x7f", "\u2028"])
@pytest.mark.parametrize("cased", ["blocking", "async", "stream", "file"])
def test_what_a_request_adds_is_refused_by_name_and_without_its_value(end: str, cased: str) -> None:
    client = Client("r8_x", base_url="http://127.0.0.1:9", retries=0)
    headers = {"X-Late": f"{CANARY}{end}"}
    asked: dict[str, Callable[[], Any]] = {
        "blocking": lambda: client.request("GET", "account", headers=headers),
        "async": lambda: asyncio.run(client.async_request("GET", "account", headers=headers)),
        "stream": lambda: run(client.session.open("http://127.0.0.1:9/v1/streams/a", headers=headers)),
        "file": lambda: run(client.session.open_file("http://127.0.0.1:9/v1/files/a", headers=headers)),
    }
    with pytest.raises(InputError, match="'X-Late'") as caught:
        asked[cased]()
    assert CANARY not in "".join(traceback.format_exception(caught.value))


TOKENS: list[Any] = [
    f"r8_{CANARY}\nx",
    f"r8_{CANARY} x",
    f"r8_{CANARY}é",
    f"r8_{CANARY}\0",
    f"r8_{CANARY}\u200b",
    f"r8_{CANARY}".encode(),
    [CANARY],
]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("how", ["argument", "with_options", "Config"])
def test_a_token_that_cannot_be_sent_is_refused_at_once_and_not_shown(token: Any, how: str) -> None:
    made: dict[str, Callable[[], Any]] = {
        "argument": lambda: Client(token),
        "with_options": lambda: Client("r8_x").with_options(api_token=token),
        "Config": lambda: Config(explicit_token=token),
    }
    with pytest.raises(ConfigError, match="The API token") as caught:
        made[how]()
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("token", [each for each in TOKENS if isinstance(each, str) and "\0" not in each])
def test_a_token_of_the_environment_that_cannot_be_sent_is_named_and_not_shown(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", token)
    client = Client()
    with pytest.raises(ConfigError, match="REPLICATE_API_TOKEN holds characters") as caught:
        client.request("GET", "account")
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_a_blank_token_is_none(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", " r8_of_the_environment\n")
    assert Client(blank).config.api_token == "r8_of_the_environment"
    monkeypatch.setenv("REPLICATE_API_TOKEN", blank)
    assert Client(blank).config.api_token is None
