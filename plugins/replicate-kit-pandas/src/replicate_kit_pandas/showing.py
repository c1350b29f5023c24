"""A table with its pictures in it, for notebooks."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd

from replicate_kit.gallery import picture
from replicate_kit_pandas.adapter import Adapter

__all__ = ["PictureTable", "found"]

_LONGEST = 200  # characters of a text
# Notebooks set what is between two dollars as a formula, unless a class tells them not to: newer ones by the first.
_NO_FORMULAS = ["mathjax_ignore", "tex2jax_ignore"]
_BLOCK = '<div style="text-align: left; white-space: pre-wrap">{}</div>'


def found(frame: pd.DataFrame, name: Hashable) -> Hashable:
    """Find the name of one column; raises `InputError` where there is none such, or several.

    >>> import pandas as pd
    >>> found(pd.DataFrame({7: ["a.png"]}), "7")
    7
    """
    Adapter(frame).columns(slice(None)).cells(name)
    return name if name in frame.columns else next(each for each in frame.columns if str(each) == name)


@dataclass(frozen=True)
class PictureTable:
    """A DataFrame whose `columns` name pictures: a notebook shows them, `width` pixels wide.

    Cells are local paths, `file:`, `data:` and web addresses, or lists of them. Local pictures become part of the
    page, so that the notebook can be moved without them. Other texts are on the left and keep their line breaks;
    everything else is shown as pandas shows it. What stands in the table is text and never markup.
    """

    frame: pd.DataFrame
    columns: Sequence[Hashable]
    width: int = 128
    rows: int = 60

    def _repr_html_(self) -> str:
        """Make the table."""
        marks = _Marks()
        shown = self.frame.head(self.rows).copy(deep=False)
        pictures = self._positions()
        texts = set[int]()
        for position in range(shown.shape[1]):  # and not by name, which several columns may have
            mark = partial(self._mark, marks) if position in pictures else marks.text
            if marked := _replaced(shown.iloc[:, position], mark):
                shown.isetitem(position, pd.Series(marked, index=shown.index, dtype=object).array)
                texts.add(position)
        if texts:
            *_, names = _levels(shown.columns)
            if pd.api.types.is_datetime64_any_dtype(names):
                names = names.astype(str)  # as pandas does: without the time of day if all are days
            headers = [marks.mark(escape(str(each))) if n in texts else each for n, each in enumerate(names)]
            shown.columns = _with_level(shown.columns, -1, headers)
        for level, labels in enumerate(_levels(shown.index)):
            if marked := _replaced(labels, marks.text):
                shown.index = _with_level(shown.index, level, marked)
        with pd.option_context("display.max_colwidth", _LONGEST):
            table = shown.to_html(
                max_rows=self.rows, na_rep="", border=0, notebook=True, classes=_NO_FORMULAS
            )
        more = len(self.frame) - len(shown)
        note = f"<p>… and {more} more rows</p>" if more > 0 else ""
        # A notebook cannot send halves of surrogate pairs.
        return (marks.filled(table) + note).encode("utf-8", "backslashreplace").decode("utf-8")

    def __repr__(self) -> str:
        return repr(self.frame)

    def _positions(self) -> set[int]:
        """Find the columns of pictures."""
        columns = self.frame.columns
        positions = np.arange(len(columns))  # pandas says where a column is by a number, a slice or a mask
        return {int(each) for name in self.columns for each in np.ravel(positions[columns.get_loc(name)])}

    def _mark(self, marks: _Marks, cell: Any) -> Any:
        """Replace a picture, or a list of them, by a mark."""
        cells: Iterable[Any] = cell if isinstance(cell, list | tuple) else [cell]
        if not all(isinstance(each, str) for each in cells):
            return cell
        return marks.mark("".join(picture(each, self.width) for each in cells))


class _Marks:
    """What goes into the table once pandas has made it, which escapes, cuts and rewrites what it finds in a cell.

    Equal contents have one mark, for pandas writes equal labels one below the other a single time.
    """

    def __init__(self) -> None:
        self._contents: dict[str, int] = {}
        self._key = uuid4().hex  # so that no text in the table can be taken for a mark

    def mark(self, content: str) -> str:
        """Give what stands for an HTML text until the table is made."""
        return f"{self._key}:{self._contents.setdefault(content, len(self._contents))};"

    def text(self, value: Any) -> Any:
        """Replace a text by a mark; leave everything else to pandas."""
        if not isinstance(value, str):
            return value
        return self.mark(escape(value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"))

    def filled(self, table: str) -> str:
        """Put the contents where their marks are."""
        contents = list(self._contents)
        return re.sub(f"{self._key}:(\\d+);", lambda match: _BLOCK.format(contents[int(match[1])]), table)


def _replaced(values: Iterable[Any], mark: Callable[[Any], Any]) -> list[Any]:
    """Put marks in place of values; give nothing where there is nothing to replace, and pandas knows best."""
    before = list(values)
    after = [mark(value) for value in before]
    return after if any(new is not old for new, old in zip(after, before, strict=True)) else []


def _levels(index: pd.Index[Any]) -> list[pd.Index[Any]]:
    """Take an index apart; most have one level."""
    unnamed = index.set_names([None] * index.nlevels)  # a level whose name is a number is found by that first
    return [unnamed.get_level_values(level) for level in range(index.nlevels)]


def _with_level(index: pd.Index[Any], level: int, labels: Sequence[Any]) -> pd.Index[Any]:
    """Put other labels into one level of an index."""
    levels = _levels(index)
    levels[level] = pd.Index(labels, dtype=object, tupleize_cols=False)
    if isinstance(index, pd.MultiIndex):
        return pd.MultiIndex.from_arrays(levels, names=index.names)
    return levels[0].rename(index.name)
