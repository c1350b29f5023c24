"""The namespaces are on polars itself, in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "imports",
    [
        "import polars as pl, replicate_kit",
        "import replicate_kit, polars as pl",
        "import replicate_kit_polars, polars as pl",
    ],
)
def test_namespaces_exist_in_either_order_of_imports(imports: str) -> None:
    code = (
        f"{imports}\n"
        "df = pl.DataFrame({'prompt': ['a']})\n"
        "for each in (df, df['prompt'], df.lazy(), pl.col('prompt')):\n"
        "    assert callable(each.replicate.run)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_neither_import_loads_more_than_it_needs() -> None:
    code = (
        "import replicate_kit, sys\n"
        "assert not {name for name in sys.modules if name.startswith(('polars', 'replicate_kit_polars'))}\n"
        "import polars\n"
        "loaded = [name for name in sys.modules if name.startswith(('replicate_kit_polars', 'httpx'))]\n"
        "assert loaded == ['replicate_kit_polars', 'replicate_kit_polars.registration'], loaded\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
