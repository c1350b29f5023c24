"""What people test and extend httpx with works on the backend "http"; other backends say that they do not take it."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import httpx
import httpx2
import pytest
import respx
from pytest_httpx import HTTPXMock

from replicate_kit import Client
from replicate_kit.compat import replicate
from replicate_kit.errors import ConfigError

pytestmark = pytest.mark.about_httpx("what people test and extend it with")

URL = "https://api.replicate.com/v1/account"
ACCOUNT = {"type": "user", "username": "wombat"}


@respx.mock
def test_respx() -> None:
    route = respx.get(URL).mock(return_value=httpx.Response(200, json=ACCOUNT))
    assert Client("r8_any").accounts.current().username == "wombat"
    assert route.calls.last.request.headers["authorization"] == "Bearer r8_any"


@respx.mock
def test_respx_in_an_event_loop() -> None:
    respx.get(URL).mock(return_value=httpx.Response(200, json=ACCOUNT))
    assert asyncio.run(Client("r8_any").accounts.async_current()).username == "wombat"


def test_pytest_httpx(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=URL, json=ACCOUNT)
    assert Client("r8_any").accounts.current().username == "wombat"
    (request,) = httpx_mock.get_requests()
    assert request.headers["authorization"] == "Bearer r8_any"


def test_pytest_httpx_in_an_event_loop(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=URL, json=ACCOUNT)
    assert asyncio.run(Client("r8_any").accounts.async_current()).username == "wombat"


def test_pytest_httpx_sees_the_body_that_is_sent(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=201, json={"id": "p1", "status": "starting"})
    Client("r8_any").predictions.create("a" * 64, {"prompt": "a wombat"})
    (request,) = httpx_mock.get_requests()
    assert b'"prompt":"a wombat"' in request.content


def test_mock_transport() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=ACCOUNT))
    assert Client("r8_any", transport=transport).accounts.current().username == "wombat"


def test_event_hooks() -> None:
    seen: list[str] = []
    hooks = {
        "request": [lambda request: seen.append(f"{request.method} {request.url}")],
        "response": [lambda response: seen.append(str(response.status_code))],
    }
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=ACCOUNT))
    Client("r8_any", transport=transport, event_hooks=hooks).accounts.current()
    assert seen == [f"GET {URL}", "200"]


def test_a_hook_may_read_the_response() -> None:
    def read(response: httpx.Response) -> None:
        response.read()

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=httpx.ByteStream(b'{"username": "wombat"}'))

    client = Client("r8_any", transport=httpx.MockTransport(answer), event_hooks={"response": [read]})
    assert client.accounts.current().username == "wombat"


def test_a_body_that_httpx_has_decoded_is_not_decoded_again() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        return httpx.Response(200, headers=headers, content=gzip.compress(b'{"username": "wombat"}'))

    client = Client("r8_any", transport=httpx.MockTransport(answer))
    assert client.accounts.current().username == "wombat"
    response = client.request("GET", "account")
    assert "content-encoding" not in response.headers
    assert response.headers["content-length"] == "22"
    theirs = replicate.Client("r8_any", transport=httpx.MockTransport(answer))
    assert theirs._request("GET", "/v1/account").json() == {"username": "wombat"}


def test_auth() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"username": request.headers["authorization"]})

    client = Client("r8_any", transport=httpx.MockTransport(answer), auth=("surfer", "wave"))
    assert client.accounts.current().username == "Basic c3VyZmVyOndhdmU="


def test_mounts() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=ACCOUNT))
    client = Client("r8_any", mounts={"https://api.replicate.com": transport})
    assert client.accounts.current().username == "wombat"


OBJECTS: dict[str, Any] = {
    "transport": httpx.MockTransport(lambda request: httpx.Response(200)),
    "auth": httpx.BasicAuth("surfer", "wave"),
    "mounts": {"all://": httpx.HTTPTransport()},
    "proxy": httpx.Proxy("http://proxy.test:3128"),
    "limits": httpx.Limits(),
}


@pytest.mark.parametrize("option", OBJECTS)
def test_httpx2_takes_no_objects_of_httpx(option: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"{option}.* is an object of httpx, and this backend sends by httpx2"
    ):
        Client(backend="httpx2", **{option: OBJECTS[option]})


@pytest.mark.parametrize(
    ("option", "value"),
    [("transport", httpx2.MockTransport(lambda request: httpx2.Response(200))), ("limits", httpx2.Limits())],
)
def test_http_takes_no_objects_of_httpx2(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"is an object of httpx2, .*choose Client\(backend='httpx2'\)"):
        Client(**{option: value})


@pytest.mark.parametrize("option", [*OBJECTS, "event_hooks", "verify", "http2"])
def test_the_mock_backend_takes_no_option_of_httpx(option: str) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"{option}= is an option of the backends 'http' and 'httpx2', .* MockBackend. Leave it out",
    ):
        Client(backend="mock", **{option: OBJECTS.get(option, True)})


def test_mock_transports_of_httpx2_work_on_httpx2() -> None:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=ACCOUNT))
    client = Client("r8_any", backend="httpx2", transport=transport)
    assert client.accounts.current().username == "wombat"
    assert asyncio.run(client.accounts.async_current()).username == "wombat"


@respx.mock
def test_what_mocks_httpx_does_not_mock_httpx2() -> None:
    # No backend is chosen because it happens to be installed: such a test would really pay.
    route = respx.get(URL).mock(return_value=httpx.Response(200, json=ACCOUNT))
    assert type(Client("r8_any").session.backend).__name__ == "HTTPBackend"
    Client("r8_any").accounts.current()
    assert route.called


def test_the_environment_that_has_chosen_another_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    with pytest.raises(ConfigError, match=r"MockBackend \(REPLICATE_KIT_BACKEND=mock\)\. Leave it out there"):
        Client(transport=OBJECTS["transport"], http2=True)
