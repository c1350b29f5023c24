"""The namespaces with their types."""

from __future__ import annotations

from typing import overload

import polars as pl

from replicate_kit_polars.accessor import DataFrameAccessor, SeriesAccessor
from replicate_kit_polars.lazy import ExprAccessor, LazyFrameAccessor

__all__ = ["accessor_of"]


@overload
def accessor_of(data: pl.Series) -> SeriesAccessor: ...
@overload
def accessor_of(data: pl.DataFrame) -> DataFrameAccessor: ...
@overload
def accessor_of(data: pl.LazyFrame) -> LazyFrameAccessor: ...
@overload
def accessor_of(data: pl.Expr) -> ExprAccessor: ...
def accessor_of(
    data: pl.Series | pl.DataFrame | pl.LazyFrame | pl.Expr,
) -> SeriesAccessor | DataFrameAccessor | LazyFrameAccessor | ExprAccessor:
    """Give `data.replicate` with its type: checkers and editors do not know namespaces that are registered.

    >>> import polars as pl
    >>> from replicate_kit_polars import accessor_of
    >>> accessor_of(pl.DataFrame({"prompt": ["sea"]})).run
    <bound method Accessor.run of ...>
    """
    if isinstance(data, pl.Series):
        return SeriesAccessor(data)
    if isinstance(data, pl.DataFrame):
        return DataFrameAccessor(data)
    return LazyFrameAccessor(data) if isinstance(data, pl.LazyFrame) else ExprAccessor(data)
