"""A table as its host gives it: columns of Python values, and where they are null."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from replicate_kit._formats.wording import counted, did_you_mean, shown_names
from replicate_kit.errors import InputError

__all__ = ["Cells", "Columns", "OneColumn", "is_null"]

_NULLS_OF_PANDAS = frozenset({"NAType", "NaTType"})  # no value of these is anything else


class Cells(NamedTuple):
    """The values of a column as Python objects, and which of them are null.

    >>> from replicate_kit.tables import Cells
    >>> Cells.of(["sea", None, float("nan")]).null
    [False, True, True]
    """

    values: Sequence[Any]
    null: Sequence[bool]

    @classmethod
    def of(cls, values: Sequence[Any]) -> Cells:
        """See which values are null: None, what is not a number, and pandas' own nulls."""
        return cls(values, list(map(is_null, values)))


class Columns:
    """A table: the names of its columns, and what reads one of `count` cells by its number.

    A column is read when it is first used, and kept. `label` names a row in messages, by its position; without it that
    is the position itself.

    >>> from replicate_kit.tables import Cells, Columns
    >>> Columns(["title"], lambda number: Cells.of(["Sea"]), 1).cells("title").values
    ['Sea']
    """

    def __init__(
        self,
        names: Iterable[Hashable],
        read: Callable[[int], Cells],
        count: int,
        label: Callable[[int], object] = int,
    ) -> None:
        self.names: list[Any] = list(names)
        self.label = label
        self._reader, self._count = read, count
        self._kept: dict[int, Cells] = {}
        self._numbers: dict[Hashable, list[int]] = {}
        self._texts: dict[str, list[int]] = {}  # templates know a name as a text only
        for number, name in enumerate(self.names):
            self._numbers.setdefault(name, []).append(number)
            self._texts.setdefault(str(name), []).append(number)

    def __len__(self) -> int:
        return self._count

    @property
    def read(self) -> list[Any]:
        """The names of the columns that were read so far, in their order in the table."""
        return [self.names[number] for number in sorted(self._kept)]

    @property
    def present(self) -> list[bool]:
        """Which rows there are: all."""
        return [True] * self._count

    def cells(self, name: Hashable) -> Cells:
        """Read a column by its name; raises `InputError` where there is none such, or several."""
        found = self._numbers.get(name) or (self._texts.get(name, []) if isinstance(name, str) else [])
        below = [] if found else [number for number, each in enumerate(self.names) if _is_below(each, name)]
        if len(below) == 1 and not any(
            self.names[below[0]][1:]
        ):  # pandas' way to write a name of fewer levels
            found, below = below, []
        if len(found) > 1 or below:
            raise InputError(
                f"{name!r} names {counted(len(found or below), 'column')}. Rename them, or name one in full."
            )
        if not found:
            raise self._missing(name)
        return self._at(found[0])

    def rows(self) -> Iterator[dict[Hashable, Any]]:
        """Give what functions of a row get: a mapping of the whole row, in which a null is None."""
        if not self.names:
            return ({} for _ in range(self._count))
        columns = [
            [None if null else each for each, null in zip(cells.values, cells.null, strict=True)]
            for cells in map(self._at, range(len(self.names)))
        ]
        return (dict(zip(self.names, cells, strict=True)) for cells in zip(*columns, strict=True))

    def _at(self, number: int) -> Cells:
        """Read a column, once."""
        if number not in self._kept:
            self._kept[number] = self._reader(number)
        return self._kept[number]

    def _missing(self, name: Hashable) -> InputError:
        """Make the error for a column that is not there."""
        if name == "":
            return InputError(
                "In a template, {} is the value of a Series. Name the column of a table: {title}."
            )
        return InputError(
            f"There is no column {name!r}.{did_you_mean(name, self.names)} The columns are: {shown_names(self.names)}."
        )


class OneColumn:
    """A series: one column, which answers to its own name and to the empty one of a template's `{}`.

    A null in it is no row.

    >>> from replicate_kit.tables import Cells, OneColumn
    >>> OneColumn("title", Cells.of(["Sea", None])).present
    [True, False]
    """

    def __init__(self, name: Hashable, cells: Cells, label: Callable[[int], object] = int) -> None:
        self.name, self.label, self._cells = name, label, cells

    def __len__(self) -> int:
        return len(self._cells.values)

    @property
    def names(self) -> list[Hashable]:
        """Its own name, if it has one."""
        return [] if self.name is None else [self.name]

    @property
    def present(self) -> list[bool]:
        """Which rows there are."""
        return [not null for null in self._cells.null]

    def cells(self, name: Hashable) -> Cells:
        """Read the series by its name, or by none; raises `InputError` for another one."""
        if name not in ("", self.name):
            raise InputError(
                f"A series has no column {name!r}: its name is {self.name!r}. Write {{}} for its own "
                "value in a template, or use the whole table, as in df.replicate.run(…)."
            )
        return self._cells

    def rows(self) -> Iterator[Any]:
        """Give what functions of a row get: the values."""
        return iter(self._cells.values)


def _is_below(name: Hashable, level: Hashable) -> bool:
    """Whether a name of several levels begins with a level."""
    return isinstance(name, tuple) and bool(name) and name[0] == level


def is_null(value: Any) -> bool:
    """Whether a value says nothing: None, what is not a number, and pandas' own nulls."""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value
    return type(value).__name__ in _NULLS_OF_PANDAS
