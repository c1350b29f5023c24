"""A service in a process of its own, whose clients come and go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import Command

from .recipes import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """The simulator, served: the first pictures are there at once."""
    folder = tmp_path / "service"
    folder.mkdir()
    (folder / "models.py").write_text(Path(__file__).with_name("models.py").read_text("utf-8"), "utf-8")
    with Command(folder, "models.py", "--quiet") as (_, url, _):
        yield Service(url, folder)
