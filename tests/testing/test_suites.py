"""The suites, held against the backends and layers that we have."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from replicate_kit.backends.fast import FastBackend
from replicate_kit.backends.http import HTTPBackend
from replicate_kit.backends.httpx2 import HTTPX2Backend
from replicate_kit.backends.mock import MockBackend
from replicate_kit.config import Config
from replicate_kit.serving import Server
from replicate_kit.simulator import Simulator, install
from replicate_kit.testing import Cassette
from replicate_kit.testing.suites import BackendSuite, HTTPBackendSuite, LayerSuite
from replicate_kit.transport import Backend, Layer

pytest_plugins = ["pytester"]


class TestMockBackend(BackendSuite):
    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        with install(Simulator()) as simulator:
            yield MockBackend(simulator)


@pytest.mark.slow  # a large family
class TestHTTPBackend(HTTPBackendSuite):
    @pytest.fixture
    def server(self) -> Iterator[Server]:
        with Server(https=False) as server:
            yield server

    @pytest.fixture
    def backend(self) -> Backend:
        return HTTPBackend()

    @pytest.fixture
    def client_options(self, server: Server) -> dict[str, Any]:
        return {"base_url": server.url, "api_token": "r8_any"}


@pytest.mark.skipif(find_spec("httpx2") is None, reason="httpx2 is not installed")
class TestHTTPX2Backend(TestHTTPBackend):
    @pytest.fixture
    def backend(self) -> Backend:
        return HTTPX2Backend()


@pytest.mark.skipif(find_spec("aiohttp") is None, reason="aiohttp is not installed")
class TestFastBackend(TestHTTPBackend):
    drivers = ("blocking", "asyncio")

    @pytest.fixture
    def backend(self) -> Backend:
        return FastBackend()


class TestNoLayer(LayerSuite):
    @pytest.fixture
    def layer(self) -> Layer:
        return lambda transport: transport


class TestCassette(LayerSuite):
    @pytest.fixture
    def layer(self, tmp_path: Path) -> Layer:
        cassette = Cassette(tmp_path / "cassette.json", mode="record")
        return cassette.replicate_transport_layer(Config())


@pytest.mark.slow
class TestASuiteFindsWhatIsWrong:
    """A suite that anything passes would prove nothing."""

    def test_a_layer_that_sends_twice_fails(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile("""
            import pytest
            from replicate_kit.testing.suites import LayerSuite

            class Twice:
                def __init__(self, below):
                    self.below = below
                async def send(self, request, /, *, stream=False):
                    await self.below.send(request)
                    return await self.below.send(request, stream=stream)
                async def aclose(self):
                    pass

            class TestTwice(LayerSuite):
                @pytest.fixture
                def layer(self):
                    return Twice
        """)
        found = pytester.runpytest_subprocess("-q").stdout.str()
        assert "test_the_request_arrives_once_and_whole[blocking]" in found
        assert "test_closing_it_closes_what_is_below[trio]" in found

    def test_a_backend_that_waits_for_whole_bodies_fails(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile("""
            import pytest
            from replicate_kit.backends.http import HTTPBackend
            from replicate_kit.testing.suites import HTTPBackendSuite
            from replicate_kit.transport import Response

            class Eager(HTTPBackend):
                def connect(self, config, /, *, blocking):
                    return Whole(super().connect(config, blocking=blocking))

            class Whole:
                def __init__(self, inner):
                    self.inner, self.aclose = inner, inner.aclose
                async def send(self, request, /, *, stream=False):
                    if request.body is not None and not isinstance(request.body, bytes):
                        request.body = b"".join([chunk async for chunk in request.body])
                    response = await self.inner.send(request)
                    response.was_encoded = False
                    return response

            class TestEager(HTTPBackendSuite):
                @pytest.fixture
                def backend(self):
                    return Eager()
        """)
        done = pytester.runpytest_subprocess("-q", "-k", "blocking and (comes_as or in_chunks or encoded)")
        found = done.stdout.str()
        assert "test_an_answer_comes_as_it_is_sent[blocking]" in found
        assert "test_a_body_in_chunks_arrives_whole_and_as_often_as_it_is_sent[blocking-1-None]" in found
        assert "test_an_encoded_answer_is_decoded[blocking]" in found
