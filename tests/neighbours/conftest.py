"""The service that code on the pages runs on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from replicate_kit import Client
from replicate_kit.simulator import Simulator, install


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator, install(simulator):
        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Client:
    return Client(backend=simulator)
