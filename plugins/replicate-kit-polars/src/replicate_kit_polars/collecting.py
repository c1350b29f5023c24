"""Results as polars has them, in the dtypes that say what they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import polars as pl

from replicate_kit.tables import RESULTS, Lines

__all__ = ["DTYPES", "frame_of", "series_of"]

DTYPES: Mapping[str, Any] = {"string": pl.String, "float64": pl.Float64, "bool": pl.Boolean}
"""The dtypes of the columns of a result."""

_MOST_EXACT = 2**53  # beyond it no float stands for one whole number alone


def frame_of(lines: Lines) -> pl.DataFrame:
    """Make the DataFrame of all columns."""
    made = [series_of(lines.columns["output"])]
    for name, kind in RESULTS.items():
        if kind is not None:
            made.append(pl.Series(name, lines.columns[name], dtype=DTYPES[kind]))
    return pl.DataFrame(made)


def series_of(values: list[Any]) -> pl.Series:
    """Make the Series `output`, of the dtype that all of the values fit in as they are: `Object` where there is none.

    >>> from replicate_kit_polars import series_of
    >>> series_of([{"mood": "calm"}, None, {"words": 3}]).dtype
    Struct({'mood': String, 'words': Int64})
    """
    known = [each for each in values if each is not None]
    try:
        return pl.Series("output", values, dtype=_dtype(known) if known else pl.String)
    except (_NoDtype, UnicodeEncodeError):  # halves of surrogate pairs are no text of polars
        return pl.Series("output", values, dtype=pl.Object)


class _NoDtype(Exception):
    """No dtype holds values of such different kinds as they are."""


def _dtype(values: Iterable[Any]) -> Any:
    """Choose a dtype that changes no value; a field that a structure lacks is null in it."""
    found = [each for each in values if each is not None]
    kinds = {type(each) for each in found}
    if not kinds:
        return pl.Null
    if kinds == {int}:
        return _whole(min(found), max(found))
    if kinds <= {int, float} and all(type(each) is float or abs(each) <= _MOST_EXACT for each in found):
        return pl.Float64
    if kinds == {list}:
        return pl.List(_dtype(chain.from_iterable(found)))
    if kinds == {dict} and any(found):
        names = dict.fromkeys(chain.from_iterable(found))
        return pl.Struct({name: _dtype(each.get(name) for each in found) for name in names})
    if len(kinds) == 1 and (plain := _PLAIN.get(*kinds)) is not None:
        return plain
    raise _NoDtype


_PLAIN: Mapping[type, Any] = {str: pl.String, bool: pl.Boolean}


def _whole(least: int, most: int) -> Any:
    """Choose a dtype of whole numbers."""
    if least >= -(2**63) and most < 2**63:
        return pl.Int64
    if least >= 0 and most < 2**64:
        return pl.UInt64
    raise _NoDtype
