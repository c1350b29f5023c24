"""A Series and a DataFrame, seen alike: columns of Python values and where they are null."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
import pandas as pd

from replicate_kit.errors import InputError
from replicate_kit.messages import did_you_mean

__all__ = ["Cells", "FrameTable", "Mask", "SeriesTable", "Table", "cells_of", "listed"]

Mask: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"


@dataclass(frozen=True)
class Cells:
    """The values of a column as Python objects, and which of them are null."""

    values: Sequence[Any]
    null: Mask


class Table(Protocol):
    """Rows with columns that are found by name."""

    @property
    def index(self) -> pd.Index[Any]:
        """The labels of the rows."""
        ...

    @property
    def present(self) -> Mask:
        """Which rows there are at all: a null in a series is none."""
        ...

    @property
    def names(self) -> Sequence[Hashable]:
        """The names of the columns."""
        ...

    def cells(self, name: Hashable) -> Cells:
        """Read a column; raises `InputError` that lists the columns if there is none such."""
        ...

    def rows(self) -> Iterator[Any]:
        """Give what functions get: a mapping of the whole row, or the value of a series."""
        ...


class FrameTable:
    """A DataFrame; columns that were read once are kept."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._read: dict[Hashable, Cells] = {}

    @property
    def index(self) -> pd.Index[Any]:
        """The labels of the rows."""
        return self._frame.index

    @property
    def present(self) -> Mask:
        """All rows."""
        return np.ones(len(self._frame), bool)

    @property
    def names(self) -> Sequence[Hashable]:
        """The names of the columns."""
        return list(self._frame.columns)

    def cells(self, name: Hashable) -> Cells:
        """Read a column by its name."""
        if name not in self._read:
            self._read[name] = cells_of(self._column(name))
        return self._read[name]

    def rows(self) -> Iterator[Any]:
        """Give the rows as mappings."""
        names = list(self._frame.columns)
        columns = [self._frame.iloc[:, position].tolist() for position in range(len(names))]
        if not names:
            return ({} for _ in range(len(self._frame)))
        return (dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True))

    def _column(self, name: Hashable) -> pd.Series[Any]:
        """Find one column by its name, which must be the name of one alone."""
        name = self._known(name)
        column: Any = self._frame[name]
        if isinstance(column, pd.DataFrame):
            raise InputError(
                f"{name!r} names {column.shape[1]} columns. Rename them, or name one of them in full."
            )
        return cast("pd.Series[Any]", column)

    def _known(self, name: Hashable) -> Hashable:
        """Find the name of a column; templates know it as a text only."""
        if name in self._frame.columns:
            return name
        known = list(self._frame.columns)
        if written := [each for each in known if str(each) == name]:
            return written[0]
        if name == "":
            raise InputError(
                "In a template, {} is the value of a Series. Name the column of a DataFrame: {title}."
            )
        raise InputError(
            f"There is no column {name!r}.{did_you_mean(name, known)} The columns are: {listed(known)}."
        )


class SeriesTable:
    """A Series: one column, which answers to its own name and to the empty one of a template's `{}`."""

    def __init__(self, series: pd.Series[Any]) -> None:
        self._series = series
        self._cells = cells_of(series)

    @property
    def index(self) -> pd.Index[Any]:
        """The labels of the rows."""
        return self._series.index

    @property
    def present(self) -> Mask:
        """Those that are not null."""
        return ~self._cells.null

    @property
    def names(self) -> Sequence[Hashable]:
        """Its own name, if it has one."""
        return [] if self._series.name is None else [self._series.name]

    def cells(self, name: Hashable) -> Cells:
        """Read the series by its name, or by none."""
        if name not in ("", self._series.name):
            raise InputError(
                f"A series has no column {name!r}: its name is {self._series.name!r}. Write {{}} for its own "
                "value in a template, or use the accessor of the DataFrame, df.replicate.run(…)."
            )
        return self._cells

    def rows(self) -> Iterator[Any]:
        """Give the values."""
        return iter(self._cells.values)


def cells_of(series: pd.Series[Any]) -> Cells:
    """Take the values out of a series, whatever its dtype."""
    if isinstance(series.dtype, pd.SparseDtype):
        series = series.astype(series.dtype.subtype)
    values = series.tolist()
    null = np.array(series.isna(), dtype=bool)
    if pd.api.types.is_float_dtype(series.dtype):
        # Arrow and masked floats tell "no value" from "not a number"; neither can be an input.
        null |= np.fromiter((value is not pd.NA and value != value for value in values), bool, len(values))
    return Cells(values, null)


def listed(names: Iterable[Hashable], most: int = 30) -> str:
    """List names for a message, not without end."""
    texts = [str(name) for name in names]
    return ", ".join(texts[:most]) + (f", … ({len(texts)} in all)" if len(texts) > most else "") or "none"
