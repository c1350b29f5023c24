"""Tables of any kind as inputs of a model, and results as columns: what pandas, polars, Arrow and files have in common.

`col` and `template` say how columns fill a model's inputs. Whoever brings another kind of table to replicate_kit makes
`Columns` of it, and `bind` gives the inputs of its rows; `Collector` puts results into columns again. No dataframe
library is imported here.

>>> from replicate_kit.tables import Cells, Columns, bind, col, template
>>> data = {"title": ["Sea", None], "artist": ["Turner", "Hokusai"]}
>>> table = Columns(list(data), lambda number: Cells.of(list(data.values())[number]), 2)
>>> rows = bind(table, {"prompt": template("{title} by {artist}"), "seed": 1})
>>> list(rows), rows.positions
([{'seed': 1, 'prompt': 'Sea by Turner'}], [0])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicate_kit.tables._adapters import columns_of
    from replicate_kit.tables._arrow import to_arrow
    from replicate_kit.tables._binding import bind
    from replicate_kit.tables._collecting import RESULTS, Collector, Files, Lines
    from replicate_kit.tables._columns import Cells, Columns, OneColumn
    from replicate_kit.tables._markers import Column, Template, col, template
    from replicate_kit.tables._rows import Rows

__all__ = [
    "RESULTS",
    "Cells",
    "Collector",
    "Column",
    "Columns",
    "Files",
    "Lines",
    "OneColumn",
    "Rows",
    "Template",
    "bind",
    "col",
    "columns_of",
    "template",
    "to_arrow",
]

if not TYPE_CHECKING:
    from replicate_kit._lazy import loader

    __getattr__, __dir__ = loader(
        __name__,
        {
            "RESULTS": "_collecting",
            "Cells": "_columns",
            "Collector": "_collecting",
            "Column": "_markers",
            "Columns": "_columns",
            "Files": "_collecting",
            "Lines": "_collecting",
            "OneColumn": "_columns",
            "Rows": "_rows",
            "Template": "_markers",
            "bind": "_binding",
            "col": "_markers",
            "columns_of": "_adapters",
            "template": "_markers",
            "to_arrow": "_arrow",
        },
    )
