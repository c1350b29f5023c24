"""What a worker does: batches of Arrow's come, are run, and go with the result beside them."""

# Where types are checked, there is no pyspark.
# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyspark import TaskContext

from replicate_kit.errors import BatchError
from replicate_kit.partitions import Job
from replicate_kit.tables import Cells, Columns, Lines

__all__ = ["over"]

_TYPES = {"string": pa.string(), "float64": pa.float64(), "bool": pa.bool_()}


def over(job: Job, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Run a partition, batch by batch. Rows that failed are an error once all others are done."""
    first, failure = 0, None
    for batch in batches:
        try:
            lines = job(_columns(batch, first))
        except BatchError as error:
            failure = failure or error
        else:
            yield _beside(batch, lines, job.columns)
        first += batch.num_rows
    if failure is not None:
        raise failure


def _columns(batch: pa.RecordBatch, first: int) -> Columns:
    """See a batch as columns, whose rows are named by their place in the partition."""
    context = TaskContext.get()
    partition = 0 if context is None else context.partitionId()
    return Columns(
        batch.schema.names,
        lambda number: Cells.of(batch.column(number).to_pylist()),
        batch.num_rows,
        lambda position: f"{first + position} of partition {partition}",
    )


def _beside(batch: pa.RecordBatch, lines: Lines, kinds: dict[str, str]) -> pa.RecordBatch:
    """Put the columns of a result beside those of its rows."""
    if lines.rows is not None:
        batch = batch.take(pa.array(lines.rows, pa.int64()))
    results = [pa.array(lines.columns[name], _TYPES[kind]) for name, kind in kinds.items()]
    return pa.RecordBatch.from_arrays([*batch.columns, *results], [*batch.schema.names, *kinds])
