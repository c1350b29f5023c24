"""Each test here runs on every store, which is started once."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
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


_numbers = itertools.count()


@pytest.fixture
def store(server: Store) -> Iterator[Store]:
    """Give an empty bucket of its own on it."""
    bucket = f"wombats-{next(_numbers)}"
    server.fs.mkdir(bucket)
    yield dataclasses.replace(server, url=server.url.replace("wombats", bucket))
    # Only to give memory back; some servers are still busy with what was killed.
    with contextlib.suppress(OSError):
        server.fs.rm(bucket, recursive=True)
