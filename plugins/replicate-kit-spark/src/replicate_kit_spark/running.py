"""`run`: what is asked for is checked on the driver, and becomes a step of Spark's plan."""

# Where types are checked, there is no pyspark.
# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Unpack

from replicate_kit.errors import ConfigError, InputError
from replicate_kit.messages import shown_names
from replicate_kit.partitions import Job, PartitionOptions
from replicate_kit.tables import Cells, Columns
from replicate_kit_spark.watching import watch

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

__all__ = ["run"]

_TYPES = {"string": "string", "float64": "double", "bool": "boolean"}


def run(
    df: DataFrame,
    model: Any,
    input: Mapping[str, Any] | None = None,
    *,
    details: bool = False,
    **options: Unpack[PartitionOptions],
) -> DataFrame:
    """Run `model` for each row of a DataFrame of Spark's; give the DataFrame with the result beside its columns.

    Nothing is called before an action asks for rows (`write`, `collect`, `count`, …); each action runs the rows again,
    and the `journal` gives what was paid for. `input` says what fills the model's inputs, as for the accessors of
    pandas: `col`, `template`, a function of a row, a constant; without it columns fill the inputs of their names. A row
    with a null in what it is made of is not run.

    The result is the column `output`, a text: texts and the URLs of files as they are, anything else as JSON.
    `details=True` adds status, error, prediction_id, seconds, cached and cost.

    The options are `replicate_kit.partitions.PartitionOptions`. `journal` has to be given: the URL of a journal
    that all workers reach. Each partition of the DataFrame is a run of its own, and `concurrency` is that of each that
    runs; `creates_per_minute` and a `budget` are of all together. The API token is that of the workers' environment;
    `send_token=True` sends the driver's.

    Raises `ConfigError` and `InputError` where it is unclear what is meant, at once. When the job is canceled or fails,
    what it has in flight is canceled from the driver, unless `on_interrupt` is "detach".
    """
    _check(df)
    job = Job.of(
        model, input, options, "run", details=details, empty=Columns(df.columns, lambda _: Cells([], []), 0)
    )
    if taken := sorted(set(map(str.lower, df.columns)) & set(job.columns)):
        raise InputError(
            f"The DataFrame has columns that the result has, too: {shown_names(taken)}. Rename them first, such as "
            f"df.withColumnRenamed({taken[0]!r}, 'earlier_{taken[0]}'). Nothing was created."
        )
    from pyspark import cloudpickle

    job.check_sendable(cloudpickle.dumps)
    step = _step(job)
    made = df.mapInArrow(step, _beside(df.schema, job))
    watch(df, job, step.__name__)
    return made


def _check(df: object) -> None:
    """Refuse what is no DataFrame, such as one of pandas."""
    if not hasattr(df, "mapInArrow"):
        raise ConfigError(
            f"The rows are a {type(df).__name__}. Pass a DataFrame of Spark's; for one of pandas there is "
            "df.replicate.run(…). Nothing was created."
        )


def _beside(schema: StructType, job: Job) -> StructType:
    """Give the schema of the result."""
    made = deepcopy(schema)  # `add` changes what it is called on
    for name, kind in job.columns.items():
        made = made.add(name, _TYPES[kind])
    return made


def _step(job: Job) -> Callable[[Iterator[pyarrow.RecordBatch]], Iterator[pyarrow.RecordBatch]]:
    """Make the function of the plan. It bears a name of the job's own, by which plans that have it are known."""

    def step(batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        from replicate_kit_spark.partition import over

        return over(job, batches)

    step.__name__ = f"replicate_kit_{job.label.rpartition('/')[2]}"
    return step
