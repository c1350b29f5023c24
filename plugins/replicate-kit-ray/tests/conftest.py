"""A cluster of this machine, a service and a database, which the tests of a process share."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from replicate_kit_postgres.testing import Postgres

    from .services import Service

# Ray is for those who asked for it (tox has an environment for engines), and an sdist is alone.
_NEEDS = {"test_sharing.py": ["ray"], "test_running.py": ["ray", "replicate_kit_postgres", "tests"]}
collect_ignore = [name for name, needed in _NEEDS.items() if not all(map(find_spec, needed))]

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Under `uv run tox`, Ray would start its workers by `uv run`, too: in the environment of the clone, without Ray.
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    from replicate_kit_postgres.testing import postgres

    with postgres() as running:
        yield running


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    from . import clusters

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("REPLICATE_API_TOKEN", "r8_test")  # workers inherit it
        clusters.start()
        yield
        clusters.stop()


@pytest.fixture
def service(tmp_path: Path, cluster: None) -> Iterator[Service]:
    from .services import served

    with served(tmp_path) as running:
        yield running


@pytest.fixture
def journal(server: Postgres) -> str:
    return f"{server.url()}?prefix={server.new()}&lease=10"
