"""The notebooks in docs/ run from beginning to end; `tests/batch/proofs.py` runs cells that block and await."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks import execute, nbformat

NOTEBOOKS = sorted((Path(__file__).parent.parent / "docs").glob("*.ipynb"))
PICTURES = {"tables.ipynb": 4}  # that the last cell of each shows


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    *_, last = execute(nbformat.read(path, as_version=4), tmp_path)
    page = "".join(each["data"]["text/html"] for each in last)
    assert page.count('<img src="data:image/png;base64,') == PICTURES[path.name]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_kept_without_outputs(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_shows_all_of_its_cells(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert not [cell.metadata for cell in cells if cell.metadata]
