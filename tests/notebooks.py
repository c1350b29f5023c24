"""Runs notebooks from beginning to end, in a kernel of their own whose event loop is running."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import patch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages around Jupyter, not of ours
    import nbformat
    from nbclient import NotebookClient

__all__ = ["execute", "nbformat", "run_cells"]

_FOLDERS = ("XDG_CACHE_HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR")


def execute(notebook: Any, folder: Path) -> list[list[Any]]:
    """Run the cells in `folder`, without a token; give the outputs of each cell that has code."""
    own = {name: str(folder / name) for name in _FOLDERS}
    with warnings.catch_warnings(), patch.dict(os.environ, own):
        warnings.simplefilter("ignore")
        os.environ.pop("REPLICATE_API_TOKEN", None)
        client = NotebookClient(
            notebook,
            timeout=120,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
            extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns that it listens on loopback
        )
        client.execute(env=dict(os.environ))
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def run_cells(folder: Path, *sources: str) -> list[str]:
    """Run some code, a cell each; give what the cells print."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    outputs = execute(nbformat.v4.new_notebook(cells=cells), folder)
    return ["".join(each.get("text", "") for each in cell) for cell in outputs]
