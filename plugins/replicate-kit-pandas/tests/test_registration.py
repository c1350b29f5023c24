"""The accessors are on pandas itself, in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "imports",
    [
        "import pandas as pd, replicate_kit",
        "import replicate_kit, pandas as pd",
        "import replicate_kit_pandas, pandas as pd",
        "from replicate_kit import Client; from pandas import DataFrame; import pandas as pd",
    ],
)
def test_accessors_exist_in_either_order_of_imports(imports: str) -> None:
    code = (
        f"{imports}\n"
        "df = pd.DataFrame({'prompt': ['a']})\n"
        "assert callable(df['prompt'].replicate.run) and callable(df.replicate.run)\n"
        "assert pd.__spec__.loader is pd.__loader__ and 'Source' in type(pd.__loader__).__name__\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_pandas_loads_nothing_of_the_accessor_but_its_name() -> None:
    code = (
        "import replicate_kit, pandas, sys\n"
        "loaded = [name for name in sys.modules if name.startswith(('replicate_kit_pandas', 'httpx'))]\n"
        "assert loaded == ['replicate_kit_pandas', 'replicate_kit_pandas.registration'], loaded\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_accessors_appear_although_pyarrow_imports_pandas_under_its_lock() -> None:
    code = (
        "import replicate_kit, pyarrow as pa\n"
        "pa.Table.from_pylist([{'prompt': 'a'}])\n"
        "import pandas as pd\n"
        "assert callable(pd.Series(['a']).replicate.run)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
