"""Headers that no request can carry are told when a client is made, without their values."""

from __future__ import annotations

import traceback
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.errors import ConfigError, TransportError

CANARY = "CaNaRy-7f3a"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\nX-Other: a", "\0", "\x1b", " ", "é", "\x7f"])
@pytest.mark.parametrize("kind", [dict, list, httpx.Headers, "bytes", "cookies", "with_options"])
def test_a_value_that_cannot_be_sent_is_not_shown(end: str, kind: Any) -> None:
    value = CANARY + end
    if kind in ("bytes", httpx.Headers) and end == "é":
        pytest.skip("bytes beyond ASCII can be sent")
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


def test_what_can_be_sent_is_taken() -> None:
    client = Client(
        backend="mock", headers={"X-Own": "a b\tc", "x_odd": b"\xe9", "Empty": ""}, cookies={"a": "b c"}
    )
    assert client.accounts.current().username == "local"


def test_what_is_refused_at_the_request_is_not_shown() -> None:
    client = Client("r8_x", base_url="http://127.0.0.1:9", retries=0)
    with pytest.raises(TransportError) as caught:
        client.request("GET", "account", headers={"X-Late": f"{CANARY}\n"})
    assert CANARY not in "".join(traceback.format_exception(caught.value))
