"""Run a model over a pandas Series or DataFrame: the `replicate` accessor.

The accessor needs no import from here: `import replicate_kit` registers it, whichever of pandas and replicate_kit
is imported first. Here are `col` and `template`, which say how columns fill a model's inputs.

>>> import pandas as pd
>>> df = pd.DataFrame({"title": ["Sea", "Hills"], "artist": ["Turner", "Hokusai"]}, index=["a", "b"])
>>> poems = df.replicate.run("demo/poet", input={"prompt": template("{title} in the style of {artist}")})
>>> poems.index.tolist()
['a', 'b']
"""

from __future__ import annotations

from replicate_kit_pandas.accessor import DataFrameAccessor, SeriesAccessor, accessor_of
from replicate_kit_pandas.errors import RowsFailed
from replicate_kit_pandas.markers import Column, Template, col, template

__all__ = [
    "Column",
    "DataFrameAccessor",
    "RowsFailed",
    "SeriesAccessor",
    "Template",
    "accessor_of",
    "col",
    "template",
]
