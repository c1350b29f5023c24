"""A Spark, a PostgreSQL and a service, which the tests of a process share."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from replicate_kit import Client
from replicate_kit.serving import Server
from replicate_kit.simulator import Simulator

from .models import add_models

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from replicate_kit_postgres.testing import Postgres


try:
    _IS_REPOSITORY = find_spec("tests.partitions") is not None
except ModuleNotFoundError:
    _IS_REPOSITORY = False
# They disturb processes as the repository's own tests do, which an sdist of this package does not have.
collect_ignore = [] if _IS_REPOSITORY else ["test_canceling.py", "test_crashes.py", "test_running.py"]


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    from .sparks import session

    with session("local[2,4]") as made:
        yield made


@pytest.fixture
def server() -> Iterator[Server]:
    """The service, which other processes reach."""
    with Server(add_models, demo=True, https=False) as running:
        yield running


@pytest.fixture
def simulator(server: Server) -> Simulator:
    return server.simulator


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(backend="http", base_url=server.url, timeout=1.0, poll_interval=0.05) as made:
        yield made


@pytest.fixture(scope="session")
def database() -> Iterator[Postgres]:
    from replicate_kit_postgres.testing import postgres

    with postgres() as running:
        yield running


@pytest.fixture
def journal(database: Postgres) -> str:
    """The URL of a journal that nobody has used."""
    return f"{database.url()}?prefix={database.new()}&lease=10"
