from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.testing import FileServer


@pytest.fixture
def files() -> Iterator[FileServer]:
    with FileServer() as server:
        yield server


@pytest.fixture
def reader(files: FileServer, clock: Any) -> Iterator[Client]:
    with Client(base_url=files.url, api_token="secret") as client:
        yield client
