"""A cluster of processes, a database and a service, all on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.serving import Server
from replicate_kit.simulator import Simulator, sleep
from replicate_kit_postgres.testing import Postgres, postgres

try:
    _IS_REPOSITORY = find_spec("tests.partitions") is not None
except ModuleNotFoundError:
    _IS_REPOSITORY = False
# They kill workers as the repository's own tests do, which an sdist of this package does not have.
collect_ignore = [] if _IS_REPOSITORY else ["test_cluster.py", "test_following.py"]


def models(simulator: Simulator) -> None:
    """Publish a quick model, one that takes its time, and one that gives files."""

    @simulator.model("acme/shout")
    def shout(prompt: str, times: int = 1) -> str:
        if prompt == "bad":
            raise ValueError("this text cannot be shouted")
        return prompt.upper() + "!" * times

    @simulator.model("acme/slow")
    def slow(prompt: str) -> str:
        sleep(0.2)
        return prompt.upper()

    @simulator.model("acme/long")
    def long(prompt: str) -> str:
        sleep(3600)
        return prompt


@pytest.fixture(scope="session")
def database() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture
def journal(database: Postgres) -> str:
    return f"{database.url()}?prefix={database.new()}&lease=8"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(models, https=False, demo=True) as server:
        yield server


@pytest.fixture
def simulator(server: Server) -> Simulator:
    return server.simulator


@pytest.fixture
def options(server: Server, journal: str) -> dict[str, Any]:
    client = Client("r8_test", base_url=server.url, poll_interval=0.05, timeout=3.0)
    return {"client": client, "journal": journal, "send_token": True, "creates_per_minute": 60_000}


@pytest.fixture(scope="session")
def dask_client() -> Iterator[Any]:
    pytest.importorskip("distributed")
    from .kills import cluster_of_two

    with cluster_of_two() as client:
        yield client
