"""Puts the namespaces on polars, and does nothing else: it runs within `import polars`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polars import api

if TYPE_CHECKING:
    import polars as pl

    from replicate_kit_polars.accessor import DataFrameAccessor, SeriesAccessor
    from replicate_kit_polars.lazy import ExprAccessor, LazyFrameAccessor


def series(data: pl.Series) -> SeriesAccessor:
    """Run a model over the values of a Series."""
    from replicate_kit_polars.accessor import SeriesAccessor

    return SeriesAccessor(data)


def frame(data: pl.DataFrame) -> DataFrameAccessor:
    """Run a model over the rows of a DataFrame."""
    from replicate_kit_polars.accessor import DataFrameAccessor

    return DataFrameAccessor(data)


def lazy(data: pl.LazyFrame) -> LazyFrameAccessor:
    """Run a model over the rows of a LazyFrame, when they are collected."""
    from replicate_kit_polars.lazy import LazyFrameAccessor

    return LazyFrameAccessor(data)


def expression(data: pl.Expr) -> ExprAccessor:
    """Run a model over what an expression gives, when it is evaluated."""
    from replicate_kit_polars.lazy import ExprAccessor

    return ExprAccessor(data)


# polars asks for a class, and only calls it.
api.register_series_namespace("replicate")(series)  # type: ignore[arg-type]
api.register_dataframe_namespace("replicate")(frame)  # type: ignore[arg-type]
api.register_lazyframe_namespace("replicate")(lazy)  # type: ignore[arg-type]
api.register_expr_namespace("replicate")(expression)  # type: ignore[arg-type]
