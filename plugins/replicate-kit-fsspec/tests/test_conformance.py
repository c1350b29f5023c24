"""Saving by fsspec passes what every store has to pass."""

from __future__ import annotations

import pytest

from replicate_kit.testing.suites import StoreSuite


class TestMemory(StoreSuite):
    refused_folder = "https://example.com/pictures"

    @pytest.fixture
    def folder(self) -> str:
        return "memory://shelf"


class TestAChain(StoreSuite):
    @pytest.fixture
    def folder(self) -> str:
        return "dir://sub::memory://shelf"
