"""A server of files, and a client for which it is the API's own origin, with and without the plugin for stores."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client, FileOutput
from replicate_kit.stores._saving import store_outputs
from replicate_kit.testing import FileServer

Store = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths lead to the test's own folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def files() -> Iterator[FileServer]:
    """A server of files."""
    with FileServer() as server:
        yield server


@pytest.fixture(params=["with fsspec", "without fsspec"])
def plugins(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the plugin for other stores is there: local folders do not need it, and behave alike."""
    if request.param == "without fsspec":
        monkeypatch.setenv("REPLICATE_KIT_DISABLE_PLUGINS", "fsspec")
    return str(request.param)


@pytest.fixture
def client(files: FileServer, plugins: str) -> Iterator[Client]:
    """A client for which that server is the API's own origin."""
    with Client(base_url=files.url, api_token="secret") as made:
        assert ("fsspec" in made.plugins.names) == (plugins == "with fsspec")
        yield made


@pytest.fixture
def output(files: FileServer, client: Client) -> Callable[..., FileOutput]:
    """Makes an output file of a content."""

    def make(name: str, content: bytes, content_type: str | None = None, **headers: str) -> FileOutput:
        return FileOutput(files.put(name, content, content_type, **headers), client.session)

    return make


@pytest.fixture
def store(client: Client) -> Store:
    """Stores an output: a function of it and its folder."""

    def storing(output: Any, folder: Any, **options: Any) -> Coroutine[Any, Any, Any]:
        known = {"prediction_id": "p1", "model": "acme/draw", **options}
        return store_outputs(output, folder=folder, session=client.session, **known)

    return storing
