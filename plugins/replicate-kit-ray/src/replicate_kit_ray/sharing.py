"""What a worker does with its share of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import ray

from replicate_kit.errors import InputError
from replicate_kit.messages import shown_names
from replicate_kit.partitions import Job
from replicate_kit.tables import columns_of

__all__ = ["Share"]

_TYPES = {"string": pa.string(), "float64": pa.float64(), "bool": pa.bool_()}


class Share:
    """Runs one batch of a Dataset after the other. Ray makes it once in each worker.

    It blocks, and is a generator, which Ray runs on the thread of its task. Only there it says whether the task was
    canceled: other functions run on another thread, and those that are async in another loop, and would go on.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def __call__(self, batch: Any) -> Iterator[Any]:
        """Give the batch, with the columns of the results added."""
        if taken := [name for name in batch.column_names if name in self._job.columns]:
            raise InputError(
                f"The dataset has the columns {shown_names(taken)} already, as the result would have. Rename or drop "
                "them first: dataset.rename_columns(…), dataset.drop_columns(…). Nothing was created."
            )
        table = columns_of(batch)
        assert table is not None
        columns, rows = self._job(table, stopped=ray.get_runtime_context().is_canceled)
        if rows is not None:
            batch = batch.take(pa.array(rows, pa.int64()))
        for name, kind in self._job.columns.items():
            batch = batch.append_column(name, pa.array(columns[name], _TYPES[kind]))
        yield batch
