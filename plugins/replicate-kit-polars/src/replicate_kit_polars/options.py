"""The options of the accessors of Series and DataFrame: those of `client.map`, and their own."""

from __future__ import annotations

import polars as pl

from replicate_kit.batch import Retryable
from replicate_kit.batch.accessors import AccessorOptions

__all__ = ["RunOptions"]


class RunOptions(AccessorOptions, total=False):
    """The options of the accessors; see `Accessor.run`. `into` is for a Series."""

    retry: Retryable | pl.DataFrame | BaseException
