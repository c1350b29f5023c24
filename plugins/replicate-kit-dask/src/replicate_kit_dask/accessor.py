"""The `replicate` accessors of Dask's Series and DataFrame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import cloudpickle

from replicate_kit.partitions import Job, PartitionOptions
from replicate_kit.tables import columns_of
from replicate_kit_dask.following import follow
from replicate_kit_dask.partition import Partition

__all__ = ["Accessor", "DataFrameAccessor", "SeriesAccessor"]


class Accessor:
    """What the accessors of Series and DataFrame share: all of it."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def run(
        self,
        model: Any,
        input: Mapping[str, Any] | None = None,
        *,
        details: bool = False,
        **options: Unpack[PartitionOptions],
    ) -> Any:
        """Give the outputs of `model`, lazily: a Series named `output`, with the same index and partitions.

        `input` and `into` say what fills the model's inputs, as the accessor of pandas takes them. With `details=True`
        a DataFrame comes back with the columns output, status, error, prediction_id, seconds, cached and cost. An
        output is a text: texts and URLs of files as they are, anything else as JSON, so that all partitions have one
        type.

        Nothing is called and nothing read before `compute()`. Each partition is then a run of its own, with the options
        of `PartitionOptions`. `journal` has to be given, such as "postgresql://user@host/database": what Dask runs
        again, because a worker died or you asked twice, is paid for once by it. Keep the result with `persist()` if you
        use it twice, all the same: reading the journal takes time. `head()` pays for the first partition.

        The workers' environment has the API token (REPLICATE_API_TOKEN), or `send_token=True` sends the driver's.
        Canceled futures cancel the predictions that their partitions have in flight. `progress` is shown where this is
        called, if a distributed client is there by then, or Dask runs in threads.

        Raises `ConfigError` and `InputError` at once for what can be seen to be wrong. While it is computed,
        `InputError` is raised for rows that the model does not take, before the first of their partition is created,
        and `BatchError` for a partition with rows that failed, after its other rows; `errors="collect"` leaves nulls.

        >>> import dask.dataframe as dd, pandas as pd
        >>> from replicate_kit import Client
        >>> prompts = dd.from_pandas(pd.Series(["sea", None, "hills"], name="prompt"), npartitions=2)
        >>> options = {"client": Client(backend="mock"), "journal": "memory://poems"}
        >>> poems = prompts.replicate.run("demo/poet", **options)
        >>> poems.compute(scheduler="threads").isna().tolist()
        [False, True, False]
        """
        empty = self._data._meta
        job = Job.of(model, input, options, "run", details=details, empty=columns_of(empty))
        job.check_sendable(cloudpickle.dumps)
        partition = Partition(job, follow(job))
        return self._data.map_partitions(partition, meta=partition.meta(empty))

    def __repr__(self) -> str:
        kind = type(self._data).__name__
        return (
            f'<replicate over a Dask {kind}: .run(model, journal="postgresql://…") gives the outputs, lazily>'
        )


class SeriesAccessor(Accessor):
    """Runs a model over a Series: `ddf["prompt"].replicate.run("owner/model", journal="postgresql://…")`."""


class DataFrameAccessor(Accessor):
    """Runs a model over a DataFrame: `ddf.replicate.run("owner/model", input={"prompt": col("title")}, journal=…)`."""
