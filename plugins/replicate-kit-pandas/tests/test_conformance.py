"""The accessors pass what every accessor has to pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from replicate_kit.testing.suites import AccessorSuite


def plain(values: Any) -> list[Any]:
    """The values of a Series, with None for what pandas has for nulls."""
    return [None if pd.isna(each) else each for each in values]


class TestDataFrame(AccessorSuite):
    def table(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        return pd.DataFrame(columns)

    def outputs(self, result: Any) -> list[Any]:
        return plain(result)

    def columns(self, result: Any) -> Mapping[str, Sequence[Any]]:
        return {name: plain(result[name]) for name in result}
