"""Notebooks run from beginning to end, in a kernel of their own whose event loop is running."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages around Jupyter, not of ours
    import nbformat
    from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "docs").glob("*.ipynb"))
PICTURES = {"tables.ipynb": 4}  # that the last cell of each shows


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of their own, and no token."""
    monkeypatch.delenv("REPLICATE_API_TOKEN", raising=False)
    for name in ("XDG_CACHE_HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))


def execute(notebook: Any, folder: Path) -> list[list[Any]]:
    """Run the cells in `folder`; give the outputs of each cell that has code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        client.execute(env=dict(os.environ))
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def run_cells(folder: Path, *sources: str) -> list[str]:
    """Run some code, a cell each; give what the cells print."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    outputs = execute(nbformat.v4.new_notebook(cells=cells), folder)
    return ["".join(each.get("text", "") for each in cell) for cell in outputs]


@pytest.mark.usefixtures("environment")
def test_a_cell_may_block_and_may_await(tmp_path: Path) -> None:
    printed = run_cells(
        tmp_path,
        "import os; os.environ['REPLICATE_KIT_BACKEND'] = 'mock'\nimport replicate_kit, pandas as pd",
        "print(len(str(replicate_kit.run('demo/poet', {'prompt': 'sea'}))) > 0)",
        "print(len(str(await replicate_kit.async_run('demo/flaky', {'prompt': 'sea', 'failure_rate': 0}))) > 0)",
        "df = pd.DataFrame({'prompt': ['sea', None, 'hill']})\n"
        "print(df['prompt'].replicate.run('demo/poet').isna().tolist())",
        "print((await df['prompt'].replicate.async_run('demo/poet')).isna().tolist())",
        "print([r.error async for r in replicate_kit.default_client.async_map('demo/poet', [{'prompt': 'sea'}])])",
    )
    assert printed == ["", "True\n", "True\n", "[False, True, False]\n", "[False, True, False]\n", "[None]\n"]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    *_, last = execute(nbformat.read(path, as_version=4), tmp_path)
    page = "".join(each["data"]["text/html"] for each in last)
    assert page.count('<img src="data:image/png;base64,') == PICTURES[path.name]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_kept_without_outputs(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
