"""What the package does where there is no Spark."""

from __future__ import annotations

from typing import Any

import pytest

from replicate_kit.errors import ConfigError
from replicate_kit_spark import run


@pytest.mark.parametrize("rows", [["a"], {"prompt": ["a"]}, None])
def test_rows_that_are_no_dataframe_of_sparks_are_refused(rows: Any) -> None:
    with pytest.raises(ConfigError, match="Pass a DataFrame of Spark's"):
        run(rows, "acme/quiet", journal="postgresql://user@host/wombats")
