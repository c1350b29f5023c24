"""The files of inputs: how often they are read and what is remembered of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicate_kit import Client
from replicate_kit.batch._plan import files

from ..conftest import Service


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are hashed, in order."""
    names: list[str] = []
    hashing = files._hash_of_path

    def noting(path: str, size: int, modified: int) -> str:
        names.append(Path(path).name)
        return hashing(path, size, modified)

    monkeypatch.setattr(files, "_hash_of_path", noting)
    return names


@pytest.fixture
def weighing(service: Service) -> Service:
    """A service with a model that takes a file."""

    @service.simulator.model("acme/weigh", workers=8)
    def weigh(file: Path, n: int = 0) -> int:
        return len(file.read_bytes())

    return service


def test_a_file_that_many_rows_share_is_read_once(
    weighing: Service, client: Client, tmp_path: Path, read: list[str]
) -> None:
    path = tmp_path / "one.bin"
    path.write_bytes(b"x" * 400_000)
    plan = client.plan("acme/weigh", [{"file": path, "n": n} for n in range(1200)])
    assert (plan.distinct, plan.uploads, read) == (1200, 400_000, ["one.bin"])
    path.write_bytes(b"x" * 400_001)
    assert client.plan("acme/weigh", [{"file": path}] * 3).uploads == 400_001
    assert read == ["one.bin"] * 2


def test_no_more_than_some_files_are_remembered(
    weighing: Service, client: Client, tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_REMEMBERED", 2)
    paths = [tmp_path / f"{name}.bin" for name in "abc"]
    for path in paths:
        path.write_text(path.name)
    plan = client.plan("acme/weigh", [{"file": path} for path in [*paths, *paths[::-1]]])
    assert (plan.distinct, read) == (3, ["a.bin", "b.bin", "c.bin", "a.bin"])
