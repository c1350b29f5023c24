"""The notebook of docs/marimo.md, run without a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages.commands import commands
from tests.pages.reading import ROOT, SHELL, read

pytest.importorskip("marimo", reason="runs in tox's environment `neighbours`")

PAGE = read(ROOT / "docs" / "marimo.md")
[NOTEBOOK] = [block.code for block in PAGE.python if block.file == "wombats.py"]
[EXPORT] = [
    command
    for block in PAGE.blocks
    if block.language in SHELL
    for command in commands(block.code)
    if command.startswith("marimo export")
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the notebook, for a reader who has done what the page says."""
    (tmp_path / "wombats.py").write_text(NOTEBOOK, "utf-8")
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    """Run a command; nothing of what it asks is answered."""
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_exported_page_has_the_pictures_and_the_second_run_pays_nothing(folder: Path) -> None:
    for to_pay in (3, 0):
        run(["bash", "-c", EXPORT], folder)
        page = (folder / "wombats.html").read_text("utf-8")
        assert page.count('src=\\"data:image/png;base64,') >= 3
        assert re.search(rf": {to_pay} predictions to pay", page)
    assert len([*(folder / "pictures").glob("*.png")]) == 3


def test_the_notebook_is_a_script(folder: Path) -> None:
    assert ": 3 predictions to pay" in run([sys.executable, "wombats.py"], folder)
    assert ": 0 predictions to pay" in run([sys.executable, "wombats.py"], folder)
