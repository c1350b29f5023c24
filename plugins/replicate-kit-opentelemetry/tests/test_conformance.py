"""The layer that makes spans leaves everything as it is that a layer has to."""

from __future__ import annotations

import pytest

from replicate_kit.config import Config
from replicate_kit.testing.suites import LayerSuite
from replicate_kit.transport import Layer
from replicate_kit_opentelemetry import plugin


class TestSpans(LayerSuite):
    @pytest.fixture
    def layer(self) -> Layer:
        return plugin.replicate_transport_layer(Config())
