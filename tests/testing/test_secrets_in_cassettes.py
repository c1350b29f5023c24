"""What a cassette does not keep, and that a replay finds its answers all the same."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.testing import Cassette

CANARY = "CaNaRy-7f3a"
SCHEMA = {
    "components": {
        "schemas": {
            "Input": {
                "properties": {
                    "prompt": {"type": "string"},
                    "marked": {"type": "string", "x-cog-secret": True},
                    "hidden": {"type": "string", "format": "password"},
                }
            }
        }
    }
}
MODEL = {"owner": "me", "name": "poet", "latest_version": {"id": "a" * 64, "openapi_schema": SCHEMA}}


def server(request: httpx.Request) -> httpx.Response:
    """Answers with everything that it was sent, as careless servers and proxies do."""
    sent = json.loads(request.content or b"{}")
    echo = {"headers": dict(request.headers), "url": str(request.url), "logs": f"got {sent} twice"}
    kept = {"id": "p1", "status": "succeeded", "output": "sea", **sent, "metrics": {"echo": echo}}
    cookies = {"set-cookie": f"session={CANARY}", "x-auth-token": CANARY, "x-echo": str(request.url)}
    if request.url.path.endswith("/predictions"):
        return httpx.Response(201, json=kept, headers=cookies)
    return httpx.Response(200, json=MODEL, headers=cookies)


def everything(folder: Path) -> bytes:
    return b"\n".join(each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file())


def use(cassette: Cassette, secret: str, handler: Any, input: dict[str, Any], **options: Any) -> Any:
    transport = httpx.MockTransport(handler)
    client = Client(f"r8_{secret}", plugins=[cassette], transport=transport, retries=0, **options)
    created = client.predictions.create(
        version="a" * 64, input=input, webhook=f"https://me:{secret}@hook.test/?token={secret}"
    )
    client.models.get("me/poet")
    return created


def never(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.method} {request.url} was sent")


OPTIONS = [
    {"headers": {"X-Own": "{}"}},
    {"headers": {"authorization": "Token {}"}},
    {"headers": {"AUTHORIZATION": "{}"}},
    {"headers": [("Proxy-Authorization", "Bearer {}"), ("CF-Access-Client-Secret", "{}")]},
    {"headers": {"Cookie": "a=b; session={}"}},
    {"cookies": {"session": "{}"}},
    {"params": {"anything": "{}"}},
    {"params": [("code", "{}"), ("sig", "{}")]},
    {"params": "subscription={}"},
]


def filled(value: Any, secret: str) -> Any:
    if isinstance(value, dict):
        return {key: filled(each, secret) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(filled(each, secret) for each in value)
    return value.format(secret)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_what_a_client_adds_to_its_requests_is_not_kept_and_not_asked_for(
    tmp_path: Path, options: Any
) -> None:
    path, input = tmp_path / "a.json", {"prompt": "sea"}
    with Cassette(path) as cassette:
        use(cassette, CANARY, server, input, **filled(options, CANARY))
    assert CANARY.encode() not in everything(tmp_path)
    for again in ({}, filled(options, "other-secret")):
        with Cassette(path, mode="replay", strict=True) as cassette:
            assert use(cassette, "another-one", never, input, **again).id == "p1"


@pytest.mark.parametrize("name", ["marked", "hidden", "api_key", "OPENAI_API_KEY", "hf_token", "password"])
@pytest.mark.parametrize("value", ["{}", ["{}"], {"inner": "{}"}], ids=str)
def test_secret_inputs_are_not_kept_wherever_they_come_back(tmp_path: Path, name: str, value: Any) -> None:
    path = tmp_path / "a.json"
    with Cassette(path) as cassette:
        use(cassette, "token-1234", server, {"prompt": "sea", name: filled(value, CANARY)})
    assert CANARY.encode() not in everything(tmp_path)
    with Cassette(path, mode="replay", strict=True) as cassette:
        assert use(cassette, "another-one", never, {"prompt": "sea", name: filled(value, "other")}).id == "p1"


def test_a_large_body_is_kept_without_them_as_well(tmp_path: Path) -> None:
    with Cassette(tmp_path / "a.json") as cassette:
        use(cassette, CANARY, server, {"prompt": "sea " * 40_000, "api_key": CANARY})
    assert len(list(tmp_path.rglob("*.bin"))) == 2
    assert CANARY.encode() not in everything(tmp_path)


def test_a_password_in_base64_is_not_kept(tmp_path: Path) -> None:
    basic = base64.b64encode(f"me:{CANARY}".encode()).decode()
    with Cassette(tmp_path / "a.json") as cassette:
        use(
            cassette,
            "token-1234",
            server,
            {"prompt": f"tell {CANARY}"},
            headers={"Authorization": f"Basic {basic}"},
        )
    kept = everything(tmp_path)
    assert basic.encode() not in kept
    assert CANARY.encode() not in kept


def test_what_is_no_secret_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with Cassette(path) as cassette:
        use(
            cassette,
            CANARY,
            server,
            {"prompt": "test of production", "max_tokens": 5},
            headers={"X-Env": "test"},
        )
    first = json.loads(path.read_text())["exchanges"][0]
    assert first["request"]["body"]["json"]["input"] == {"prompt": "test of production", "max_tokens": 5}
    assert "x-env" not in first["request"]["headers"]


def test_a_cassette_of_an_earlier_version_is_still_replayed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with Cassette(path) as cassette:
        Client("r8_token", backend="mock", plugins=[cassette]).accounts.current()
    content = json.loads(path.read_text())
    del content["secrets"]
    path.write_text(json.dumps(content))
    with Cassette(path, mode="replay") as cassette:
        client = Client(
            "r8_other",
            plugins=[cassette],
            transport=httpx.MockTransport(never),
            base_url="https://api.replicate.test",
        )
        assert client.accounts.current().username == "local"


def test_a_secret_that_is_a_word_of_a_url_or_a_key_leaves_them_as_they_are(tmp_path: Path) -> None:
    def predict(request: httpx.Request) -> httpx.Response:
        return httpx.Response(201, json={"id": "p1", "status": "succeeded", "output": "sea"})

    for handler in (predict, never):
        cassette = Cassette(tmp_path / "c.json")
        client = Client("r8_x", plugins=[cassette], transport=httpx.MockTransport(handler), retries=0)
        made = client.predictions.create(
            model="acme/tune", input={"api_key": "acme", "password": "succeeded"}
        )
        assert (made.status, made.output) in (("succeeded", "sea"), ("[secret]", "sea"))
        cassette.close()


def test_requests_that_differ_in_what_is_no_secret_have_answers_of_their_own(tmp_path: Path) -> None:
    def sing(request: httpx.Request) -> httpx.Response:
        return httpx.Response(201, json={"id": "p1", "output": json.loads(request.content)["input"]["key"]})

    for handler, keys in ((sing, ("C major", "D minor")), (never, ("D minor", "C major"))):
        cassette = Cassette(tmp_path / "c.json")
        client = Client("r8_x", plugins=[cassette], transport=httpx.MockTransport(handler), retries=0)
        made = [client.predictions.create(version="a" * 64, input={"key": key}).output for key in keys]
        assert made == list(keys)
        cassette.close()
