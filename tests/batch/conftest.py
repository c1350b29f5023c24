"""A simulator with small models, clients of it, and an account of what it was asked."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.backends.mock import MockBackend
from replicate_kit.batch._engine import requests
from replicate_kit.resources._jobs import lifecycle
from replicate_kit.schema import ConcatenateIterator
from replicate_kit.simulator import Simulator
from replicate_kit.simulator import sleep as simulated_sleep


@dataclass
class Service:
    """A simulated service: its clients, and what it was asked."""

    simulator: Simulator
    tries: Counter[int] = field(default_factory=Counter)
    options: dict[str, Any] = field(default_factory=dict)
    gate: threading.Event = field(default_factory=threading.Event)

    def client(self, **options: Any) -> Client:
        """A client that looks often and gives up early."""
        settings = {"poll_interval": 0.02, "timeout": 1.0} | options
        return Client(backend=MockBackend(self.simulator), **settings)

    @property
    def creates(self) -> int:
        """How many predictions there are."""
        return self.simulator.created

    @property
    def cancels(self) -> int:
        """How many cancels were asked for."""
        return self.simulator.calls["predictions.cancel"]

    @property
    def gets(self) -> int:
        """How many other requests were made."""
        return self.simulator.calls["predictions.get"] + self.simulator.calls["predictions.list"]


def publish(service: Service) -> Service:  # noqa: C901 - a list of models
    """Add the models that the tests run."""
    model = service.simulator.model

    @model("acme/double", workers=64)
    def double(n: int) -> int:
        return 2 * n

    @model("acme/picky", workers=64)
    def picky(n: int) -> int:
        service.tries[n] += 1
        if n % 100 == 37:
            raise ValueError(f"no {n}")
        return n

    @model("acme/shaky", workers=64)
    def shaky(n: int) -> int:
        service.tries[n] += 1
        if n == 5 and service.tries[n] <= 2:
            raise ValueError("Prediction interrupted; please retry (code: PA)")
        return n

    @model("acme/patient", workers=256)
    def patient(n: int) -> int:
        while not service.gate.is_set():
            simulated_sleep(0.01)
        return n

    @model("acme/words", workers=64)
    def words(text: str) -> ConcatenateIterator[str]:
        yield from (f"{word} " for word in text.split())

    @model("acme/pictures", workers=64)
    def pictures(text: str, count: int = 1) -> list[bytes]:
        return [b"\x89PNG\r\n\x1a\n" + f"{text} {index}".encode() for index in range(count)]

    @model("acme/community", official=False, workers=64)
    def community(n: int) -> int:
        return n

    return service


@pytest.fixture
def make_service() -> Iterator[Callable[..., Service]]:
    """Makes services with the options of a `Simulator`."""
    made: list[Service] = []

    def make(**options: Any) -> Service:
        made.append(publish(Service(Simulator(**options))))
        return made[-1]

    yield make
    for service in made:
        service.gate.set()
        service.simulator.close()


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A service without limits or faults."""
    return make_service()


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    """A client of `service`."""
    with service.client() as client:
        yield client


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A file for a journal."""
    return tmp_path / "journal.sqlite"


@pytest.fixture(autouse=True)
def settling(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The services here act and list at once: no time is waited for them, unless a test sets one, in seconds."""

    def set(seconds: float) -> None:
        monkeypatch.setattr(requests, "SETTLING", seconds)

    set(0.0)
    return set


@pytest.fixture
def found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictions that the API does not find are no new ones."""
    monkeypatch.setattr(lifecycle, "APPEARS_WITHIN", 0.2)


@pytest.fixture
def closed_databases(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """See that each SQLite database that is opened during a test is closed in the end, not thrown away."""
    left: set[int] = set()

    class Connection(sqlite3.Connection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            left.add(id(self))

        def close(self) -> None:
            left.discard(id(self))
            super().close()

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Connection))
    yield
    assert not left


def numbers(count: int, start: int = 0) -> list[dict[str, int]]:
    """Rows for the models that take a number."""
    return [{"n": number} for number in range(start, start + count)]
