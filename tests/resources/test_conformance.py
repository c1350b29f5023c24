"""The package's own resources pass what every resource has to pass."""

from __future__ import annotations

from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.resources.accounts import Accounts
from replicate_kit.resources.collections import Collections
from replicate_kit.resources.hardware import HardwareKinds
from replicate_kit.resources.models import Models
from replicate_kit.resources.predictions import Predictions
from replicate_kit.resources.search import Search
from replicate_kit.simulator import Simulator, install
from replicate_kit.testing.suites import ResourceSuite

POEM: Any = {"prompt": "sea"}


def prediction(client: Client) -> list[str]:
    """Create a prediction; give its id."""
    return [client.predictions.create("demo/poet", POEM).id]


class TestAccounts(ResourceSuite):
    resource = Accounts

    @pytest.fixture
    def calls(self) -> Any:
        return {"current": []}


class TestHardware(ResourceSuite):
    resource = HardwareKinds

    @pytest.fixture
    def calls(self) -> Any:
        return {"list": []}


class TestModels(ResourceSuite):
    resource = Models
    not_called = ("create", "update", "delete", "resolve")

    @pytest.fixture
    def calls(self) -> Any:
        return {
            "get": ["demo/poet"],
            "list": [],
            "list_all": [],
            "search": ["poet"],
            "examples": ["demo/poet"],
            "readme": ["demo/poet"],
        }


class TestPredictions(ResourceSuite):
    resource = Predictions
    not_called = ("save",)  # a failure of one prediction is part of what it gives

    @pytest.fixture
    def calls(self) -> Any:
        return {
            "create": ["demo/poet", POEM],
            "get": prediction,
            "list": [],
            "list_all": [],
            "cancel": prediction,
        }


class TestSearch(ResourceSuite):
    resource = Search

    @pytest.fixture
    def calls(self) -> Any:
        return {"query": ["poet"]}


class TestCollections(ResourceSuite):
    resource = Collections

    @pytest.fixture
    def calls(self) -> Any:
        return {"list": [], "list_all": [], "get": ["poets"]}

    @pytest.fixture
    def backend(self) -> Any:
        simulator = install(Simulator())
        simulator.collection("poets", models=["demo/poet"])
        return simulator
