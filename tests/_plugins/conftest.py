"""Distributions that announce plugins, for the tests of this folder."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from replicate_kit._plugins import registry

Install = Callable[..., None]


def _forget() -> None:
    """Entry points are read once in a process."""
    for cached in (registry.installed, registry._load):
        cached.cache_clear()
    registry._TOLD.clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution that consists of one module and its entry point."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, source: str, distribution: str | None = None, group: str = "replicate_kit") -> None:
        distribution = distribution or f"dist-{name}"
        module = f"module_{distribution.replace('-', '_')}"
        info = tmp_path / f"{distribution.replace('-', '_')}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
        (tmp_path / f"{module}.py").write_text(f"from replicate_kit import Resource, hookimpl\n{source}")
        importlib.invalidate_caches()
        modules.append(module)
        _forget()

    modules: list[str] = []
    yield make
    for module in modules:
        sys.modules.pop(module, None)
    _forget()
