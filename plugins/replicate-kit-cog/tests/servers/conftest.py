"""Real servers of both dialects, each Cog in an environment of its own: `tox -e cog` makes them.

COG_PYTHONS names the Python of each, as in "0.23=/somewhere/bin/python 0.16=/elsewhere/bin/python".
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from replicate_kit_cog.serving import CogProcess, model_in, running

from .schemas import write

PYTHONS = dict(each.split("=", 1) for each in os.environ.get("COG_PYTHONS", "").split())
MODELS = Path(__file__).parent / "models"

Serve = Callable[..., CogProcess]


@pytest.fixture(scope="session", params=["0.23", "0.16"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Which Cog it is about. Only who names none is spared: what tox names has to be there."""
    version: str = request.param
    if version not in PYTHONS:
        pytest.skip(f"COG_PYTHONS names no Cog {version}: run `tox -e cog`, which installs it.")
    return version


@contextmanager
def serving(dialect: str, tmp_path: Path) -> Iterator[Serve]:
    """Give what starts servers, which end with the block; what they print is in server.log."""
    with ExitStack() as stack, (tmp_path / "server.log").open("wb") as log:

        def start(name: str, port: int | None = None) -> CogProcess:
            folder = tmp_path / name
            if not folder.exists():
                shutil.copytree(MODELS / name, folder)
                if dialect == "0.23":
                    write(name, folder)
            return stack.enter_context(running(model_in(folder, PYTHONS[dialect]), port=port, log=log))

        yield start


@pytest.fixture
def serve(dialect: str, tmp_path: Path) -> Iterator[Serve]:
    """Start servers of a test's own."""
    with serving(dialect, tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def words(dialect: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CogProcess]:
    """One server for all tests that leave it as it was."""
    with serving(dialect, tmp_path_factory.mktemp("words")) as start:
        yield start("words")
