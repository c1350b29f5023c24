"""What a library of dataframes has to say of its tables, so that a model runs over them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from replicate_kit.batch.accessors._failures import RowsFailed
from replicate_kit.errors import ReplicateError
from replicate_kit.tables._adapters import columns_of
from replicate_kit.tables._collecting import Lines
from replicate_kit.tables._columns import Columns, OneColumn

__all__ = ["Adapter"]


class Adapter(ABC):
    """One Series or DataFrame of a library, and what that library makes of results.

    `frames` and `series` are the classes of its tables, `library` is its name. `to_number` and `to_columns` are the
    code that messages advise for a column of texts that are numbers, and for a series of structures; `null_status` is
    the advice for an earlier result whose status was lost on the way.
    """

    library: ClassVar[str]
    frames: ClassVar[type]
    series: ClassVar[type]
    to_number: ClassVar[str]
    to_columns: ClassVar[str]
    null_status: ClassVar[str]

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def columns(self, rows: slice | list[int]) -> Columns | OneColumn:
        """See some of the rows as columns."""
        table = columns_of(self.rows(rows))
        assert table is not None
        return table

    @abstractmethod
    def rows(self, rows: slice | list[int]) -> Any:
        """Take some of the rows."""

    @abstractmethod
    def label(self, position: int) -> Any:
        """Give what a row is called."""

    @abstractmethod
    def result(self, lines: Lines, *, details: bool) -> Any:
        """Make a DataFrame of all columns of a result, or without details a Series of its outputs."""

    @abstractmethod
    def statuses(self, statuses: list[str]) -> Any:
        """Make a Series of the statuses of all rows."""

    @abstractmethod
    def failure(self, partial: Any, errors: Mapping[int, ReplicateError]) -> RowsFailed:
        """Make the error for rows that failed, by their positions."""

    @abstractmethod
    def names(self, frame: Any) -> list[Any]:
        """Name the columns of an earlier result."""

    @abstractmethod
    def values(self, series: Any) -> list[Any]:
        """Take plain values out of a column of an earlier result: a null is None, a list is a list."""

    @abstractmethod
    def mismatch(self, earlier: Any) -> tuple[str, str] | None:
        """Say what tells an earlier result of other rows, and what to do about it; None where it is of these."""
