"""The options of the accessors: those of `client.map`, and their own."""

from __future__ import annotations

import pandas as pd

from replicate_kit.batch import Retryable
from replicate_kit.batch.accessors import AccessorOptions

__all__ = ["RunOptions"]


class RunOptions(AccessorOptions, total=False):
    """The options of the accessors; see `Accessor.run`. `into` is for a Series."""

    retry: Retryable | pd.DataFrame | BaseException
