"""Results as pandas has them: a Series of outputs, or a DataFrame with what is known of each row."""

from __future__ import annotations

import functools
from typing import Any

import pandas as pd
from pandas.api.types import infer_dtype

from replicate_kit.tables import RESULTS, Lines

__all__ = ["frame_of", "series_of"]


def frame_of(lines: Lines, index: pd.Index[Any]) -> pd.DataFrame:
    """Make the DataFrame of all columns. `index` is that of the lines."""
    made = {"output": series_of(lines.columns["output"], index)}
    for name, kind in RESULTS.items():
        if kind is not None:
            dtype = _text() if kind == "string" else kind
            made[name] = pd.Series(lines.columns[name], index=index, dtype=dtype)
    return pd.DataFrame(made, index=index)


@functools.cache
def _text() -> Any:
    """What this pandas, as it is set up, makes of texts: `str` or `object`."""
    return pd.Series(["text"]).dtype


def series_of(values: list[Any], index: pd.Index[Any]) -> pd.Series[Any]:
    """Make the Series `output`, of the dtype that all of the values fit in as they are."""
    kind = infer_dtype(values, skipna=True)
    dtype = _dtype(kind, has_nulls=any(each is None for each in values))
    series: pd.Series[Any]
    try:
        series = pd.Series(values, index=index, name="output", dtype=dtype)
    except (OverflowError, ValueError, TypeError):  # integers of more than 64 bits
        series = pd.Series(values, index=index, name="output", dtype=object)
    return series


def _dtype(kind: str, *, has_nulls: bool) -> Any:
    """Choose a dtype that changes no value: with nulls, whole numbers stay whole and truths stay truths."""
    match kind:
        case "string" | "empty":
            return _text()
        case "integer":
            return "Int64" if has_nulls else "int64"
        case "boolean":
            return "boolean" if has_nulls else "bool"
        case "floating" | "mixed-integer-float":
            return "float64"
        case _:
            return object
