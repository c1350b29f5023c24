"""Run a model over a pandas Series or DataFrame: the `replicate` accessor.

The accessor needs no import from here: `import replicate_kit` registers it, whichever of pandas and replicate_kit
is imported first. `col` and `template`, which say how columns fill a model's inputs, are those of replicate_kit.

>>> import pandas as pd
>>> from replicate_kit import Client, template
>>> df = pd.DataFrame({"title": ["Sea", "Hills"], "artist": ["Turner", "Hokusai"]}, index=["a", "b"])
>>> prompt = template("{title} in the style of {artist}")
>>> poems = df.replicate.run("demo/poet", input={"prompt": prompt}, client=Client(backend="mock"))
>>> poems.index.tolist()
['a', 'b']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import replicate_kit  # noqa: F401  # it puts the accessors on pandas

if TYPE_CHECKING:
    from replicate_kit.tables import Column, Template, col, template
    from replicate_kit_pandas.accessor import DataFrameAccessor, SeriesAccessor, accessor_of
    from replicate_kit_pandas.collecting import frame_of, series_of
    from replicate_kit_pandas.errors import RowsFailed

__tracebackhide__ = True  # replicate_kit leaves our frames out of the tracebacks of mistakes

__all__ = [
    "Column",
    "DataFrameAccessor",
    "RowsFailed",
    "SeriesAccessor",
    "Template",
    "accessor_of",
    "col",
    "frame_of",
    "series_of",
    "template",
]

_MODULES = {
    "Column": "replicate_kit.tables",
    "DataFrameAccessor": "replicate_kit_pandas.accessor",
    "RowsFailed": "replicate_kit_pandas.errors",
    "SeriesAccessor": "replicate_kit_pandas.accessor",
    "Template": "replicate_kit.tables",
    "accessor_of": "replicate_kit_pandas.accessor",
    "col": "replicate_kit.tables",
    "frame_of": "replicate_kit_pandas.collecting",
    "series_of": "replicate_kit_pandas.collecting",
    "template": "replicate_kit.tables",
}

if not TYPE_CHECKING:

    def __getattr__(name):
        """Load a public name when it is first used: `import pandas` loads this package, see `registration`."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_MODULES[name]), name)
