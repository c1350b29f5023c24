"""What every transport layer has to leave as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from replicate_kit import errors
from replicate_kit.testing.suites._drivers import Drive, DriverSuite
from replicate_kit.transport import Layer, Request, Response, Transport

__all__ = ["LayerSuite"]

_URL = "https://api.replicate.test/v1/predictions"


class _Body:
    """A body in three chunks, that knows how many were asked for."""

    def __init__(self) -> None:
        self.given, self.closed = 0, False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.given == 3:
            raise StopAsyncIteration
        self.given += 1
        return b"data: %d\n\n" % self.given

    async def aclose(self) -> None:
        self.closed = True


class _Below:
    """The transport below: answers with 201 and a body, or raises."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.requests: list[Request] = []
        self.body, self.closed, self._failure = _Body(), False, failure

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        self.requests.append(request)
        if self._failure:
            raise self._failure
        response = Response(201, headers={"x-below": "1"}, stream=self.body, request=request)
        if not stream:
            await response.aread()
        return response

    async def aclose(self) -> None:
        self.closed = True


class LayerSuite(DriverSuite):
    """Tests of a transport layer; the fixture `layer` gives it."""

    @pytest.fixture
    def layer(self) -> Layer:
        """The layer to test."""
        raise TypeError("Override the fixture `layer` with one that gives your layer.")

    @pytest.fixture
    def request_to_send(self) -> Request:
        """A create, as clients send it."""
        headers = {"authorization": "Bearer r8_secret", "prefer": "wait=5"}
        return Request("POST", _URL, json={"version": "acme/shout", "input": {"text": "hi"}}, headers=headers)

    def test_it_makes_a_transport(self, layer: Layer) -> None:
        transport: Any = layer(_Below())
        assert callable(transport.send)
        assert callable(transport.aclose)

    def test_the_answer_comes_through(self, layer: Layer, request_to_send: Request, drive: Drive) -> None:
        response = drive(layer(_Below()).send(request_to_send))
        assert (response.status_code, response.headers["x-below"]) == (201, "1")
        assert response.content == b"data: 1\n\ndata: 2\n\ndata: 3\n\n"

    def test_the_request_arrives_once_and_whole(
        self, layer: Layer, request_to_send: Request, drive: Drive
    ) -> None:
        below, body = _Below(), request_to_send.content
        drive(layer(below).send(request_to_send))
        assert len(below.requests) == 1, f"the layer sent the request {len(below.requests)} times"
        (arrived,) = below.requests
        assert (arrived.method, str(arrived.url), arrived.content) == ("POST", _URL, body)
        assert arrived.headers["authorization"] == "Bearer r8_secret"
        assert arrived.headers["prefer"] == "wait=5"

    def test_a_stream_is_not_read_ahead(self, layer: Layer, request_to_send: Request, drive: Drive) -> None:
        below = _Below()

        async def read_one() -> tuple[int, bytes, int]:
            response = await layer(below).send(request_to_send, stream=True)
            before = below.body.given
            first = await anext(response.aiter_bytes())
            after = below.body.given
            await response.aclose()
            return before, first, after

        before, first, after = drive(read_one())
        assert before == 0, "the layer read the body before anybody asked for it"
        assert first == b"data: 1\n\n"
        assert after < 3, "the layer read the whole body before it gave the first chunk"

    def test_closing_a_response_closes_the_one_below(
        self, layer: Layer, request_to_send: Request, drive: Drive
    ) -> None:
        below = _Below()

        async def leave() -> None:
            response = await layer(below).send(request_to_send, stream=True)
            await response.aclose()

        drive(leave())
        assert below.body.closed, "aclose() of a response did not reach the one below"

    @pytest.mark.parametrize("kind", [errors.ConnectFailed, errors.ConnectionLost, errors.RequestTimeout])
    def test_failures_come_through(
        self, kind: type[errors.TransportError], layer: Layer, request_to_send: Request, drive: Drive
    ) -> None:
        below = _Below(kind("it failed", request=request_to_send))
        with pytest.raises(kind):
            drive(layer(below).send(request_to_send))
        assert len(below.requests) == 1, "the layer sent again what may have been acted on"

    def test_closing_it_closes_what_is_below(self, layer: Layer, drive: Drive) -> None:
        below = _Below()
        drive(layer(below).aclose())
        assert below.closed, "aclose() of the layer did not reach the transport below"

    def test_it_can_be_put_around_itself(self, layer: Layer, request_to_send: Request, drive: Drive) -> None:
        twice: Transport = layer(layer(_Below()))
        assert drive(twice.send(request_to_send)).status_code == 201
