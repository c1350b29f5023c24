"""Servers that the tests of a process share."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from replicate_kit_postgres.testing import Bouncer, Postgres, bouncing, postgres

try:
    _IS_REPOSITORY = find_spec("tests.served") is not None
except ModuleNotFoundError:
    _IS_REPOSITORY = False
# They start processes as the repository's own tests do, which an sdist of this package does not have.
collect_ignore = [] if _IS_REPOSITORY else ["test_machines.py", "test_crash.py"]


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="session")
def bouncer(server: Postgres) -> Iterator[Bouncer]:
    with bouncing(server) as running:
        yield running
