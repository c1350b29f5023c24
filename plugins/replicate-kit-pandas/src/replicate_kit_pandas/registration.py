"""Puts the accessors on pandas, and does nothing else.

It runs within `import pandas`, which may itself run within a library's own code: pyarrow imports pandas while it holds
a lock of its own. So nothing is imported, made or computed here; the accessors come when one is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pandas.api.extensions import register_dataframe_accessor, register_series_accessor

if TYPE_CHECKING:
    import pandas as pd

    from replicate_kit_pandas.accessor import DataFrameAccessor, SeriesAccessor


@register_series_accessor("replicate")  # type: ignore[type-var]  # the stubs know of classes only
def series(data: pd.Series[Any]) -> SeriesAccessor:
    """Run a model over the values of a Series."""
    from replicate_kit_pandas.accessor import SeriesAccessor

    return SeriesAccessor(data)


@register_dataframe_accessor("replicate")  # type: ignore[type-var]
def frame(data: pd.DataFrame) -> DataFrameAccessor:
    """Run a model over the rows of a DataFrame."""
    from replicate_kit_pandas.accessor import DataFrameAccessor

    return DataFrameAccessor(data)
