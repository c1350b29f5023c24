from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import replicate_kit_pandas  # noqa: F401 - registers the accessors
from replicate_kit import Client
from replicate_kit.schema import ConcatenateIterator
from replicate_kit.simulator import Simulator


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals that nobody asked for stay out of the user's folders."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have SIGINT raise `KeyboardInterrupt`, as the repository's conftest.py does: this package's sdist has none."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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

    @simulator.model("acme/sum")
    def sum(a: int, b: float = 0) -> float:
        return a + b

    @simulator.model("acme/pair")
    def pair(first: str, second: str = "-") -> dict[str, Any]:
        return {"first": first, "second": second}

    @simulator.model("acme/words")
    def words(text: str) -> ConcatenateIterator[str]:
        yield from text.split()

    @simulator.model("acme/files")
    def files(content: str, count: int = 1) -> list[bytes]:
        return [content.encode()] * count

    @simulator.model("acme/size")
    def size(image: Path) -> int:
        return len(image.read_bytes())


@pytest.fixture
def texts() -> pd.Series[str]:
    return pd.Series(["a", "b", "c"], index=["x", "y", "z"], name="text")
