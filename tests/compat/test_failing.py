"""The stand-in fails as httpx does, whatever carries its requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from replicate_kit import errors
from replicate_kit._formats.encodings import EncodingError
from replicate_kit.compat.replicate import Client
from replicate_kit.compat.replicate.exceptions import ReplicateException
from replicate_kit.compat.replicate.helpers import FileOutput
from replicate_kit.config import Config
from replicate_kit.transport import Request, Response, Transport

from .conftest import PREDICTION, Answering


class Elsewhere:
    """A backend without httpx: raises what it was made with, or answers."""

    def __init__(self, failure: Exception | None = None, cause: Exception | None = None) -> None:
        self.asked: list[Request] = []
        self._failure, self._cause = failure, cause

    def connect(self, config: Config, /, *, blocking: bool) -> Transport:
        return self

    def base_url(self, config: Config, /) -> str:
        return "https://elsewhere.test/v1"

    def output_origins(self, config: Config, /) -> Sequence[str]:
        return ["https://elsewhere.test"]

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        self.asked.append(request)
        if isinstance(self._failure, errors.TransportError):
            self._failure.request = request
            raise self._failure from self._cause
        return Response(201, json=PREDICTION, headers=[("x-a", "1"), ("x-a", "2")])

    async def aclose(self) -> None:
        pass


class ConnectTimeout(Exception):
    """An error of another library that names its own as httpx does."""


@pytest.mark.parametrize(
    ("failure", "cause", "kind"),
    [
        (errors.ConnectFailed("no way"), None, httpx.ConnectError),
        (errors.ConnectFailed("no way"), OSError(111, "refused"), httpx.ConnectError),
        (errors.ConnectFailed("no way"), TimeoutError(), httpx.ConnectTimeout),
        (errors.ConnectFailed("no way"), ConnectTimeout(), httpx.ConnectTimeout),
        (errors.RequestTimeout("slow"), None, httpx.ReadTimeout),
        (errors.ConnectionLost("cut"), None, httpx.RemoteProtocolError),
        (errors.ConnectionLost("cut"), httpx.ReadError("cut"), httpx.ReadError),
        (errors.InvalidResponse("odd"), EncodingError("gzip"), httpx.DecodingError),
        (errors.InvalidResponse("odd"), None, ReplicateException),
        (errors.InvalidResponse("odd"), ValueError("no JSON"), ValueError),
    ],
    ids=repr,
)
def test_each_failure_on_the_way_is_that_of_httpx(
    failure: Exception, cause: Exception | None, kind: type[Exception]
) -> None:
    client = Client("r8_mine", backend=Elsewhere(failure, cause))
    with pytest.raises(kind) as caught:
        client.predictions.create(model="a/b", input={"text": "x"})
    assert type(caught.value) is kind
    if isinstance(caught.value, httpx.RequestError) and not isinstance(cause, httpx.HTTPError):
        sent = caught.value.request
        assert isinstance(sent, httpx.Request)
        assert (sent.method, str(sent.url)) == ("POST", "https://elsewhere.test/v1/models/a/b/predictions")
        assert b'"text":"x"' in sent.content
        assert "It is unknown" in caught.value.__notes__[0] or kind in (
            httpx.ConnectError,
            httpx.ConnectTimeout,
        )


def test_a_file_that_does_not_come_fails_as_httpx_does() -> None:
    failure = errors.ConnectFailed("no way")
    failure.temporary = False  # so it is not asked again
    client = Client(backend=Elsewhere(failure))
    with pytest.raises(httpx.ConnectError, match="no way"):
        FileOutput("https://elsewhere.test/out.png", client).read()


def test_a_response_is_one_of_httpx_whatever_carried_it() -> None:
    response = Client("r8_mine", backend=Elsewhere())._request("GET", "/v1/predictions/p1")
    assert isinstance(response, httpx.Response)
    assert (response.status_code, response.json()) == (201, PREDICTION)
    assert response.headers.get_list("x-a") == ["1", "2"]
    assert str(response.request.url) == "https://elsewhere.test/v1/predictions/p1"
    assert response.request.headers["authorization"] == "Bearer r8_mine"
    assert response.raise_for_status() is response


def test_a_response_is_one_of_httpx_on_its_own_backend(answering: Answering) -> None:
    client, asked = answering(httpx.Response(200, json={"a": 1}, headers={"x-mine": "1"}))
    response: Any = asyncio.run(client._async_request("GET", "/v1/account", params={"q": "a b"}))
    assert isinstance(response, httpx.Response)
    assert (response.json(), response.headers["x-mine"]) == ({"a": 1}, "1")
    assert response.url == asked[0].url == "https://api.replicate.com/v1/account?q=a+b"


def test_timeouts_of_each_phase_reach_other_backends() -> None:
    backend = Elsewhere()
    Client(backend=backend, timeout=httpx.Timeout(5, read=7)).predictions.get("p1")
    assert backend.asked[0].timeout == (5, 7, 5, 5)
