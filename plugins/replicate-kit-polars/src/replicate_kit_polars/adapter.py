"""What polars has to say of its tables, so that a model runs over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from replicate_kit.batch import accessors
from replicate_kit.errors import ReplicateError
from replicate_kit.tables import Lines
from replicate_kit_polars.collecting import frame_of, series_of
from replicate_kit_polars.errors import RowsFailed

__all__ = ["Adapter"]


_EXPLODED = (
    "One of files='explode' has a row for each file, and cannot be retried: run with files='list', and explode what "
    "comes of it."
)


class Adapter(accessors.Adapter):
    """A Series or a DataFrame of polars, whose rows are called by their numbers."""

    library = "polars"
    frames = pl.DataFrame
    series = pl.Series
    to_number = "frame.with_columns(pl.col('…').cast(pl.Int64))"
    to_columns = "series.struct.unnest()"
    null_status = "Pass the result with its columns as they were."

    def rows(self, rows: slice | list[int]) -> Any:
        """Take rows by their numbers."""
        return self.data[rows]

    def label(self, position: int) -> int:
        """Give the number of a row."""
        return position

    def result(self, lines: Lines, *, details: bool) -> pl.Series | pl.DataFrame:
        """Give the lines as they are."""
        return frame_of(lines) if details else series_of(lines.columns["output"])

    def statuses(self, statuses: list[str]) -> pl.Series:
        """Make a Series of texts."""
        return pl.Series("status", statuses, dtype=pl.String)

    def failure(self, partial: pl.Series | pl.DataFrame, errors: Mapping[int, ReplicateError]) -> RowsFailed:
        """Name the errors by the numbers of their rows."""
        return RowsFailed(partial, dict(errors), len(self))

    def names(self, frame: pl.DataFrame) -> list[str]:
        """Name the columns of a DataFrame."""
        return frame.columns

    def values(self, series: pl.Series) -> list[Any]:
        """Give the values as Python has them."""
        return series.to_list()

    def mismatch(self, earlier: pl.Series | pl.DataFrame) -> tuple[str, str] | None:
        """Tell rows by their number alone: a table of polars has nothing else that names them."""
        theirs, ours = len(earlier), len(self)
        if theirs == ours:
            return None
        what, advice = accessors.other_count(theirs, ours, exploded=False)
        return what, advice if theirs < ours else f"{advice} {_EXPLODED}"
