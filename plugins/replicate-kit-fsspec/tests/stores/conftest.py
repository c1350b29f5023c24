"""Each test here runs on every store, which is started once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .servers import SERVERS, Store


@pytest.fixture(scope="session", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Run one of the servers."""
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    folder: Path = tmp_path_factory.mktemp(request.param)
    with SERVERS[request.param](folder) as store:
        yield store


@pytest.fixture
def store(server: Store) -> Iterator[Store]:
    """Give an empty bucket on it."""
    bucket = server.url.partition("://")[2]
    server.fs.mkdir(bucket)
    yield server
    with contextlib.suppress(FileNotFoundError):
        server.fs.rm(bucket, recursive=True)
