"""The backend does what every backend has to do, before both dialects."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from replicate_kit_cog import CogBackend

from replicate_kit.testing.suites import BackendSuite
from replicate_kit.transport import Backend

from .standin import StandIn


class _Suite(BackendSuite):
    text_model = ("acme/shout", {"prompt": "sea"})
    failing_model = ("acme/shout", {"prompt": "fail"})
    slow_model = ("acme/shout", {"prompt": "slow"})
    # Their chunks and files are those of real servers: see the folder "servers".
    long_model = file_model = None


class TestNewer(_Suite):
    @pytest.fixture
    def backend(self, server: StandIn) -> Backend:
        return CogBackend(server.url)


class TestOlder(_Suite):
    @pytest.fixture
    def backend(self, start: Callable[..., StandIn]) -> Backend:
        return CogBackend([start(dialect="0.16").url, start(dialect="0.16", slots=2).url])
