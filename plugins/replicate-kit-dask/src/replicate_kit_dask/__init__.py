"""Run a model over the partitions of a Dask Series or DataFrame: the `replicate` accessor.

The accessor needs no import from here: `import replicate_kit` registers it, whichever of dask.dataframe and
replicate_kit is imported first. Nothing is called before `compute()`, and the journal, in a database that all workers
reach, has whatever runs again be paid for once.

```python
images = ddf["prompt"].replicate.run("black-forest-labs/flux-schnell", journal="postgresql://db/wombats")
images.compute()
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import replicate_kit  # noqa: F401  # it puts the accessors on Dask

if TYPE_CHECKING:
    from replicate_kit_dask.accessor import DataFrameAccessor, SeriesAccessor

__tracebackhide__ = True  # replicate_kit leaves our frames out of the tracebacks of mistakes

__all__ = ["DataFrameAccessor", "SeriesAccessor"]

if not TYPE_CHECKING:

    def __getattr__(name):
        """Load a public name when it is first used: `import dask.dataframe` loads this package, see `registration`."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from replicate_kit_dask import accessor

        return getattr(accessor, name)
