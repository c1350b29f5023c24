"""The inputs of the rows that are to run; rows with nulls are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import Any, overload

import numpy as np

from replicate_kit_pandas.filling import LEFT_OUT, evaluate
from replicate_kit_pandas.markers import has_function, is_bound
from replicate_kit_pandas.tables import Cells, Mask, Table

__all__ = ["Rows", "fill"]


class Rows(Sequence[dict[str, Any]]):
    """Inputs by number, each made when it is asked for; `positions` are those of the rows in the table."""

    def __init__(
        self, constants: Mapping[str, Any], columns: Mapping[str, Sequence[Any]], positions: Sequence[int]
    ) -> None:
        self.positions = positions
        self._constants, self._columns = dict(constants), dict(columns)

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._row, zip(self.positions, *self._columns.values(), strict=True))

    @overload
    def __getitem__(self, number: int, /) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, number: slice, /) -> Rows: ...
    def __getitem__(self, number: int | slice, /) -> dict[str, Any] | Rows:
        if isinstance(number, slice):
            columns = {name: values[number] for name, values in self._columns.items()}
            return Rows(self._constants, columns, self.positions[number])
        return self._row((number, *(values[number] for values in self._columns.values())))

    def _row(self, cells: tuple[Any, ...]) -> dict[str, Any]:
        """Put a row together; the first of its cells is its number."""
        own = zip(self._columns, cells[1:], strict=True)
        return {**self._constants, **{name: value for name, value in own if value is not LEFT_OUT}}


def fill(table: Table, input: Mapping[str, Any], integers: frozenset[str] = frozenset()) -> Rows:
    """Fill in what `input` says for each row of `table`, and leave out rows with nulls.

    `integers` are the inputs that are whole numbers: a column of such that has nulls holds floats, which are
    made whole again. Raises `InputError` for columns that are not there, and for templates and functions that
    fail.
    """
    bound = {name: value for name, value in input.items() if is_bound(value)}
    read: dict[str, Cells] = {}
    keep = table.present
    for name in sorted(bound, key=lambda name: has_function(bound[name])):  # functions see no row with nulls
        read[name] = evaluate(bound[name], table, keep)
        keep = keep & ~read[name].null
    return Rows(
        {name: value for name, value in input.items() if name not in bound},
        {name: _kept(each, keep, whole=name in integers) for name, each in read.items()},
        np.flatnonzero(keep).tolist(),
    )


def _kept(cells: Cells, keep: Mask, *, whole: bool) -> list[Any]:
    """Take the cells of the rows that run."""
    values = list(compress(cells.values, keep))
    if not whole:
        return values
    return [int(each) if isinstance(each, float) and each.is_integer() else each for each in values]
