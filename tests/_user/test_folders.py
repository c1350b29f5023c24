"""Each system has its own place for what is a user's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from replicate_kit._user.folders import user_folder


@pytest.mark.parametrize(
    ("platform", "kind", "found"),
    [
        ("linux", "cache", ".cache"),
        ("linux", "config", ".config"),
        ("darwin", "cache", "Library/Caches"),
        ("darwin", "config", "Library/Application Support"),
        ("win32", "cache", "AppData/Local"),
        ("win32", "config", "AppData/Local"),
    ],
)
def test_a_folder_is_where_the_system_has_such(
    platform: str, kind: str, found: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert user_folder(kind) == tmp_path / found / "replicate-kit"  # type: ignore[arg-type]


@pytest.mark.parametrize(("platform", "variable"), [("linux", "XDG_CONFIG_HOME"), ("win32", "LOCALAPPDATA")])
def test_a_variable_names_another_one_by_its_whole_path(
    platform: str, variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, "/elsewhere")
    assert user_folder("config") == Path("/elsewhere/replicate-kit")
    monkeypatch.setenv(variable, "elsewhere")
    found = user_folder("config")
    assert found is not None
    assert found.is_relative_to(tmp_path)


def test_who_has_no_home_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/nonexistent")
    assert user_folder("config") is None
