"""A table with its pictures in it, for notebooks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from html import escape
from typing import Any

import polars as pl

from replicate_kit.gallery import picture

__all__ = ["PictureTable"]

_LONGEST = 200  # characters of a cell
# Notebooks set what is between two dollars as a formula, unless a class tells them not to: newer ones by the first.
_STYLE = 'class="dataframe mathjax_ignore tex2jax_ignore" border="0"'
_CELL = '<td style="text-align: left; white-space: pre-wrap">{}</td>'


@dataclass(frozen=True)
class PictureTable:
    """A DataFrame whose `columns` name pictures: a notebook shows them, `width` pixels wide.

    Cells are local paths, `file:`, `data:` and web addresses, or lists of them. Local pictures become part of the
    page, so that the notebook can be moved without them. Other texts keep their line breaks. What stands in the table
    is text and never markup.
    """

    frame: pl.DataFrame
    columns: Collection[str]
    width: int = 128
    rows: int = 60

    def _repr_html_(self) -> str:
        """Make the table."""
        shown = self.frame.head(self.rows)
        names = "".join(
            f"<th>{escape(name)}<br><small>{escape(str(dtype))}</small></th>"
            for name, dtype in shown.schema.items()
        )
        lines = "".join(
            f"<tr>{''.join(map(self._cell, shown.columns, row))}</tr>" for row in shown.iter_rows()
        )
        more = self.frame.height - shown.height
        note = f"<p>… and {more} more rows</p>" if more else ""
        table = f"<table {_STYLE}><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table>{note}"
        return table.encode("utf-8", "backslashreplace").decode("utf-8")

    def __repr__(self) -> str:
        return repr(self.frame)

    def _cell(self, name: str, value: Any) -> str:
        """Make a cell, with pictures in it if its column names some."""
        cells = value if isinstance(value, list) else [value]
        if name in self.columns and all(isinstance(each, str) for each in cells):
            return _CELL.format("".join(picture(each, self.width) for each in cells))
        text = "" if value is None else str(value)
        return _CELL.format(escape(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"))
