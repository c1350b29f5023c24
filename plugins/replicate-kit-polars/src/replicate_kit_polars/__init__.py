"""Run a model over a polars Series, DataFrame, LazyFrame or expression: the namespace `replicate`.

The namespaces need no import from here: `import replicate_kit` registers them, whichever of polars and replicate_kit
is imported first. `col` and `template`, which say how columns fill a model's inputs, are those of replicate_kit.

>>> import polars as pl
>>> from replicate_kit import Client, template
>>> df = pl.DataFrame({"title": ["Sea", "Hills"], "artist": ["Turner", "Hokusai"]})
>>> prompt = template("{title} in the style of {artist}")
>>> df.replicate.run("demo/poet", input={"prompt": prompt}, client=Client(backend="mock")).dtype
String
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import replicate_kit  # noqa: F401  # it puts the namespaces on polars

if TYPE_CHECKING:
    from replicate_kit.tables import Column, Template, col, template
    from replicate_kit_polars.accessor import DataFrameAccessor, SeriesAccessor
    from replicate_kit_polars.collecting import frame_of, series_of
    from replicate_kit_polars.errors import RowsFailed
    from replicate_kit_polars.lazy import ExprAccessor, LazyFrameAccessor
    from replicate_kit_polars.typed import accessor_of

__tracebackhide__ = True  # replicate_kit leaves our frames out of the tracebacks of mistakes

_MODULES = {
    "Column": "replicate_kit.tables",
    "DataFrameAccessor": "replicate_kit_polars.accessor",
    "ExprAccessor": "replicate_kit_polars.lazy",
    "LazyFrameAccessor": "replicate_kit_polars.lazy",
    "RowsFailed": "replicate_kit_polars.errors",
    "SeriesAccessor": "replicate_kit_polars.accessor",
    "Template": "replicate_kit.tables",
    "accessor_of": "replicate_kit_polars.typed",
    "col": "replicate_kit.tables",
    "frame_of": "replicate_kit_polars.collecting",
    "series_of": "replicate_kit_polars.collecting",
    "template": "replicate_kit.tables",
}

__all__ = [
    "Column",
    "DataFrameAccessor",
    "ExprAccessor",
    "LazyFrameAccessor",
    "RowsFailed",
    "SeriesAccessor",
    "Template",
    "accessor_of",
    "col",
    "frame_of",
    "series_of",
    "template",
]

if not TYPE_CHECKING:

    def __getattr__(name):
        """Load a public name when it is first used: `import polars` loads this package, see `registration`."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_MODULES[name]), name)
