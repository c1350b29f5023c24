"""`run`: a model as one more step of a Ray Dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from ray import cloudpickle
from ray.data import ActorPoolStrategy, Dataset

from replicate_kit.errors import ConfigError
from replicate_kit.messages import whole
from replicate_kit.partitions import Job, PartitionOptions
from replicate_kit_ray.executing import Executions
from replicate_kit_ray.sharing import Share

__all__ = ["RunOptions", "run"]

_BATCH = 256  # rows


class RunOptions(PartitionOptions, total=False):
    """The options of `run`; see there. `into` is for one column alone, which a Dataset is not."""

    workers: int
    batch_size: int
    num_cpus: float


def run(
    dataset: Dataset,
    model: Any,
    input: Mapping[str, Any] | None = None,
    *,
    details: bool = False,
    **options: Unpack[RunOptions],
) -> Dataset:
    """Give the dataset with one column more: `output`, of `model` run over each row.

    Nothing runs before rows are asked for (`take`, `write_parquet`, `iter_batches`, `materialize`). Then workers run
    the batches, and rows flow on as batches are done. `schema()` and `columns()` of the result ask for rows, too: Ray
    has no other way to learn what a step gives.

    `input` says what fills the model's inputs: `col("title")` a column, `template("{title} by {artist}")` a text with
    columns in it, a function what it gives for a row (as a dict), and anything else is a constant. Without it, the
    columns fill the inputs of their names. A row with a null in what it is made of is skipped, and null in the result.

    An output is a text: texts and the URLs of files as they are, anything else as JSON. With `details=True` the
    columns status, error, prediction_id, seconds, cached and cost are added, too.

    Options, all by keyword:

    - `journal`: the URL of a journal that all workers reach, such as "postgresql://me@db/wombats". It has to be
      given: Ray runs the batch of a worker again that died, and all of them when the dataset is used again. What the
      journal has is free then.
    - `workers`: how many actors run batches (2), each one at a time. `num_cpus`: what Ray sets aside for each (0.5), as
      they do little but wait. `batch_size`: rows of a batch (256).
    - `concurrency`: the limit of each worker; `creates_per_minute` and a `budget` are of all together.
    - `client`: the `Client`, which travels as its settings. Its API token travels with `send_token=True` alone;
      without that, workers read their environment.
    - `save_to`, `storage_options`: where workers store the files. The output then says where they are.
    - `files`: "auto" (a row's only file as its URL, several as a JSON list), "list", "first", or "explode": a row for
      each file.
    - `errors`: "raise" (the default) fails the job once the batch of a row that failed is done, "collect" leaves null.
    - `on_interrupt`: "cancel" what is in flight when the job ends early (Ctrl-C, `ray.cancel`, an error, a `take(5)`
      that has enough), or "detach".
    - `progress=True` shows on the driver what the journal knows of the job, beside Ray's own bars.
    - `label`, `journal_inputs`, `check_input`, `cancel_after`, `price`, `price_per_second`, `most`, `retries`,
      `patience`: as for `Client.map`.

    Raises `ConfigError`, `InvalidReference` and `InputError` at once for what cannot be meant, or cannot be sent to
    workers. What a worker raises comes as Ray's errors: rows that the model does not take are an `InputError` before
    any row of their batch is created.
    """
    if not isinstance(dataset, Dataset):
        raise ConfigError(
            f"run() got a {type(dataset).__name__} and runs over a Dataset. Make one of it, such as "
            "ray.data.from_pandas(df). Nothing was created."
        )
    given: dict[str, Any] = dict(options)
    if given.get("into") is not None:
        raise ConfigError(
            f"into={given['into']!r:.60} is for one column alone. Write input={{{given['into']!r:.60}: "
            "col('the column')}. Nothing was created."
        )
    workers = whole("workers", given.pop("workers", 2), 1, kind=ConfigError)
    size = whole("batch_size", given.pop("batch_size", _BATCH), 1, kind=ConfigError)
    num_cpus = given.pop("num_cpus", 0.5)
    given["progress"] = given.get("progress") or False  # Ray shows bars of its own
    job = Job.of(model, input, given, "run", details=details)
    job.check_sendable(cloudpickle.dumps)
    made = dataset.map_batches(
        Share,
        fn_constructor_args=(job,),
        batch_format="pyarrow",
        batch_size=size,
        # A batch that waits in an actor begins after a cancel, and hears of it too late.
        compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=num_cpus,
        # Ray takes the rows of a limit() before they are paid then, if they fill a batch.
        udf_modifying_row_count=job.files == "explode",
    )
    # With a context of its own: a dataset shares that of the one that it is made of, which has no such step.
    made = Dataset.copy(made, _deep_copy=True)
    made.context.custom_execution_callback_classes.append(Executions(job))  # Ray calls it
    return made
