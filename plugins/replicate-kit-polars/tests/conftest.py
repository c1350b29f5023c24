from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import replicate_kit_polars  # noqa: F401 - registers the namespaces
from replicate_kit import Client
from replicate_kit.simulator import Simulator


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals that nobody asked for stay out of the user's folders."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        publish(simulator)
        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Iterator[Client]:
    with Client(backend=simulator) as client:
        yield client


def publish(simulator: Simulator) -> None:
    """Publish models of each kind."""

    @simulator.model("acme/shout")
    def shout(text: str, times: int = 1, mark: str = "!") -> str:
        if text == "bad":
            raise ValueError("this text cannot be shouted")
        return text.upper() + mark * times

    @simulator.model("acme/any")
    def any(text: str) -> Any:
        return json.loads(text)

    @simulator.model("acme/files")
    def files(content: str, count: int = 1) -> list[bytes]:
        return [content.encode()] * count


@pytest.fixture
def texts() -> pl.Series:
    return pl.Series("text", ["a", None, "b", "a"])
