"""What pandas has to say of its tables, so that a model runs over them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from replicate_kit.batch import accessors
from replicate_kit.errors import ReplicateError
from replicate_kit.messages import shown_label
from replicate_kit.tables import Lines
from replicate_kit_pandas.collecting import frame_of, series_of
from replicate_kit_pandas.errors import RowsFailed

__all__ = ["Adapter"]


class Adapter(accessors.Adapter):
    """A Series or a DataFrame of pandas."""

    library = "pandas"
    frames = pd.DataFrame
    series = pd.Series
    to_number = "pd.to_numeric(frame['…'])"
    to_columns = "pd.DataFrame(series.tolist(), index=series.index)"
    null_status = (
        "pandas.read_csv takes the status 'null' for a missing one. If it came so, write "
        "result['status'] = result['status'].fillna('null')."
    )

    def rows(self, rows: slice | list[int]) -> Any:
        """Take rows by their positions, with their labels."""
        return self.data.iloc[rows]

    def label(self, position: int) -> Hashable:
        """Give the label of a row."""
        label: Hashable = self.data.index[position]
        return label

    def result(self, lines: Lines, *, details: bool) -> pd.Series[Any] | pd.DataFrame:
        """Give what there is the labels of its rows."""
        index = self.data.index if lines.rows is None else self.data.index[lines.rows]
        return frame_of(lines, index) if details else series_of(lines.columns["output"], index)

    def statuses(self, statuses: list[str]) -> pd.Series[Any]:
        """Give the statuses the labels of their rows."""
        return series_of(statuses, self.data.index).rename("status")

    def failure(
        self, partial: pd.Series[Any] | pd.DataFrame, errors: Mapping[int, ReplicateError]
    ) -> RowsFailed:
        """Give the errors the labels of their rows."""
        index = self.data.index[list(errors)]
        return RowsFailed(partial, pd.Series([*errors.values()], index=index, dtype=object), len(self))

    def names(self, frame: pd.DataFrame) -> list[Any]:
        """Name the columns of a DataFrame."""
        return list(frame.columns)

    def values(self, series: pd.Series[Any]) -> list[Any]:
        """Nulls of any kind are None, and the arrays that Parquet makes of lists are lists again."""
        cells = zip(series.tolist(), series.isna().tolist(), strict=True)
        return [
            None if null else each.tolist() if isinstance(each, np.ndarray) else each for each, null in cells
        ]

    def mismatch(self, earlier: pd.Series[Any] | pd.DataFrame) -> tuple[str, str] | None:
        """Tell rows by their labels."""
        theirs, ours = earlier.index, self.data.index
        if len(theirs) != len(ours):
            repeats = len(theirs) > len(ours) and set(theirs.tolist()) == set(ours.tolist())
            return accessors.other_count(len(theirs), len(ours), exploded=repeats)
        if theirs.equals(ours):
            return None
        pairs = zip(theirs.tolist(), ours.tolist(), strict=True)
        for position, (one, other) in enumerate(pairs):
            if not _are_same(one, other):
                return (
                    f"has the label {shown_label(one)} in its row {position}, counted from 0, where the data has "
                    f"{shown_label(other)}.",
                    accessors.SAME_ROWS,
                )
        return None


def _are_same(one: Any, other: Any) -> bool:
    """Whether two labels are equal, or null, of whatever kind."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_are_same, one, other))
    nulls = {bool(np.all(pd.isna(each))) for each in (one, other)}
    return bool(one == other) if nulls == {False} else nulls == {True}
