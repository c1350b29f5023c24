"""A server of files, a client for which it is the API's own origin, three drivers, an empty memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import pytest

from replicate_kit import Client, FileOutput
from replicate_kit.testing import FileServer
from replicate_kit.testing.suites import drive

__all__ = ["drive"]


@pytest.fixture
def files() -> Iterator[FileServer]:
    """A server of files."""
    with FileServer() as server:
        yield server


@pytest.fixture
def client(files: FileServer) -> Iterator[Client]:
    """A client for which that server is the API's own origin."""
    with Client(base_url=files.url, api_token="secret") as made:
        yield made


@pytest.fixture
def output(files: FileServer, client: Client) -> Callable[..., FileOutput]:
    """Makes an output file of a content."""

    def make(name: str, content: bytes, content_type: str | None = None, **headers: str) -> FileOutput:
        return FileOutput(files.put(name, content, content_type, **headers), client.session)

    return make


@pytest.fixture(autouse=True)
def memory() -> Iterator[Any]:
    """fsspec's filesystem in memory, empty."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield fs
    fs.store.clear()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests has an effect on them."""
    for name in os.environ:
        if name.upper().startswith("REPLICATE_"):
            monkeypatch.delenv(name)
