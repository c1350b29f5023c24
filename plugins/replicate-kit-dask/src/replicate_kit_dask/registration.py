"""Puts the accessors on Dask, and does nothing else: it runs within `import dask.dataframe`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask.dataframe.extensions import register_dataframe_accessor, register_series_accessor

if TYPE_CHECKING:
    from replicate_kit_dask.accessor import DataFrameAccessor, SeriesAccessor


def series(data: Any) -> SeriesAccessor:
    """Run a model over the values of a Series."""
    from replicate_kit_dask.accessor import SeriesAccessor

    return SeriesAccessor(data)


def frame(data: Any) -> DataFrameAccessor:
    """Run a model over the rows of a DataFrame."""
    from replicate_kit_dask.accessor import DataFrameAccessor

    return DataFrameAccessor(data)


register_series_accessor("replicate")(series)
register_dataframe_accessor("replicate")(frame)
