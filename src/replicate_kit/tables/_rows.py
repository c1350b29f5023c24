"""The inputs of the rows that are to run; rows with nulls are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any, overload

from replicate_kit.tables._columns import Cells
from replicate_kit.tables._filling import LEFT_OUT, Table, evaluate, on_row
from replicate_kit.tables._markers import has_function, is_bound

__all__ = ["Rows", "fill"]


class Rows(Sequence[dict[str, Any]]):
    """Inputs by number, each made when it is asked for; `positions` are those of the rows in the table.

    >>> from replicate_kit.tables import Rows
    >>> Rows({"seed": 1}, {"prompt": ["sea", "hills"]}, [0, 2])[1]
    {'seed': 1, 'prompt': 'hills'}
    """

    def __init__(
        self, constants: Mapping[str, Any], columns: Mapping[str, Sequence[Any]], positions: Sequence[int]
    ) -> None:
        self.positions = positions
        self._constants, self._columns = dict(constants), dict(columns)

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._row, range(len(self)))

    @overload
    def __getitem__(self, number: int, /) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, number: slice, /) -> Rows: ...
    def __getitem__(self, number: int | slice, /) -> dict[str, Any] | Rows:
        if isinstance(number, slice):
            columns = {name: values[number] for name, values in self._columns.items()}
            return Rows(self._constants, columns, self.positions[number])
        return self._row(range(len(self))[number])

    def _row(self, number: int) -> dict[str, Any]:
        """Put a row together."""
        row = self._constants.copy()
        for name, values in self._columns.items():
            if (value := values[number]) is not LEFT_OUT:
                row[name] = value
        return row


def fill(
    table: Table, input: Mapping[str, Any], conversions: Mapping[str, Callable[[Any], Any]] | None = None
) -> Rows:
    """Fill in what `input` says for each row of `table`, and leave out rows with nulls.

    `conversions` are what cells become, by the inputs that they fill. Raises `InputError` for columns that are not
    there, and for templates, functions and conversions that fail.
    """
    bound = {name: value for name, value in input.items() if is_bound(value)}
    read: dict[str, Cells] = {}
    keep: Sequence[bool] = table.present
    for name in sorted(bound, key=lambda name: has_function(bound[name])):  # functions see no row with nulls
        read[name] = evaluate(bound[name], table, keep)
        keep = [kept and not null for kept, null in zip(keep, read[name].null, strict=True)]
    positions = list(compress(range(len(keep)), keep))
    found = {name: list(compress(cells.values, keep)) for name, cells in read.items()}
    for name, convert in (conversions or {}).items():
        if name in found:
            found[name] = [
                each if each is LEFT_OUT else on_row(convert, each, table, position)
                for each, position in zip(found[name], positions, strict=True)
            ]
    constants = {name: value for name, value in input.items() if name not in bound}
    return Rows(constants, found, positions)
