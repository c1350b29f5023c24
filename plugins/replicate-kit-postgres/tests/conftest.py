"""Servers that the tests of a process share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from replicate_kit_postgres.testing import Bouncer, Postgres, bouncing, postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="session")
def bouncer(server: Postgres) -> Iterator[Bouncer]:
    with bouncing(server) as running:
        yield running
