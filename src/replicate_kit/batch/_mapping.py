"""`map`, `async_map`, `plan` and `async_plan`: the methods that clients have of this room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from replicate_kit._runtime.blocking import blocking
from replicate_kit._runtime.tracebacks import entrance
from replicate_kit.errors import InputError

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.batch._plan.options import MapOptions, PlanOptions
    from replicate_kit.batch._plan.plan import Plan
    from replicate_kit.batch._runs.planned import Job
    from replicate_kit.batch._runs.streams import AsyncBatch, Batch
    from replicate_kit.resources.models import Models
    from replicate_kit.resources.predictions import Predictions
    from replicate_kit.tables._adapters import ArrowStream

__all__ = ["Maps"]


Inputs: TypeAlias = "Iterable[Mapping[str, Any]] | Iterable[str] | ArrowStream"


class Maps:
    """What a client does with many rows."""

    session: Session
    models: Models
    predictions: Predictions

    # The room is entered when it is first used: clients that run single predictions need no SQLite.

    @entrance
    def map(self, ref: Any, inputs: Inputs, **options: Unpack[MapOptions]) -> Batch:
        """Run a model once for each distinct row of inputs, and give a `Result` for each row.

        `ref` is as for `run`; `inputs` is any iterable of mappings, such as a list of dicts, and may be as long as
        one likes: rows wait on disk. It may be a list of texts, for a model with one required input, a table of
        pandas, polars or Arrow, a relation of DuckDB, or a dataset of Hugging Face: columns fill the inputs of their
        names, others are left out, and so is a null.

        Nothing is created before every row was checked against the model's schema. What was paid for is never paid
        again with the same `journal`, whatever happened to the run before.

        - `ordered`: results in the order of the rows (the default), or as they finish.
        - `errors`: "collect" puts a row's error into its result; "raise" stops the run at the first one and
          raises `BatchError`, which carries the results so far.
        - `journal`: the file that remembers what was paid for. Run it again with the same one, and finished
          rows are free, predictions under way are taken up, and only the rest is created. Without it one is
          kept in the user's cache folder until all rows are done.
        - `journal_inputs`: "keep" writes each row's input into the journal (the default); "hash" writes its SHA-256
          alone, so that prompts are not at rest there. Rows are found again all the same, since a later run brings
          its rows along; exports of the journal have no inputs then. Outputs stay in the journal.
        - `label`: a short text that the journal keeps with this run, such as "nightly"; `journals.costs` adds up what
          was spent by it. It changes nothing of what counts as the same row. At most 100 characters.
        - `save_to`, `storage_options`: store output files in this folder or fsspec URL, as they are made.
          `stems(index, input)` names them; without it they are named by the input's text and content. A
          template such as "pictures/{row:05}-{prompt}{ext}" and a `replicate_kit.SaveTo` name them too. Files that
          are gone from a folder since an earlier run are stored again, or are errors if the API has removed them.
        - `concurrency`: predictions in flight at most; without it as many as the service takes well.
          `creates_per_minute`: what the account may create, as far as the API does not say it itself; left out, 600, or
          as many as the backend says (`Abilities.creates_per_minute`).
        - `dedupe`: rows with equal inputs share one prediction (the default); False gives each its own.
        - `check_input`: check rows against the model's schema, where the API shows one.
        - `cancel_after`: how long a prediction may take from its creation, in seconds (at least 5) or as a text
          such as "10m"; the API ends it then, also if nobody looks after it any more. An hour if nothing is said.
        - `retries`: how often a prediction is created again that the service itself interrupted, or did not begin in
          time (which is not billed). A model's own error is never tried again.
        - `retry`: which rows of the journal to pay for again: "failed", "unknown" (their outcome could not be
          found out; `journals.settle` tells the journal what you know of them), "expired" (their output is gone).
        - `refresh_version`: use the model's newest version, and not the one that the journal recorded first.
        - `price`, `price_per_second`: what a prediction, and a second of it, cost. Where a model is paid by what it
          counts in the `metrics` of its predictions, `price` has money for a unit of each, and `most` what one
          prediction uses of it at most: `price={"output_token_count": 0.00001}, most={"output_token_count": 512}`.
        - `budget`: money that this run may spend at most, or a `Budget` of predictions, seconds, money and metrics;
          rows beyond it are left out. A budget is one run's: the next one may spend it again. `Budget(money=10,
          per="journal")` counts what the journal has spent already, too.
        - `on_interrupt`: "cancel" what is in flight on Ctrl-C, on SIGTERM, on an error, or when the results are
          left early; "detach" leaves it to be taken up by the next run.
        - `on_plan`: called with the `Plan` before anything is spent, on the run's own thread; what it raises is
          raised here, and nothing is created.
        - `patience`: seconds for which the service may be down before the run stops.
        - `progress`: a function that is called with a `Progress` now and then. Without it a bar is shown in
          notebooks and on terminals if the run takes more than a second and tqdm is installed, which the extra
          `progress` brings. True shows it at once, in a log as a line now and then, and raises
          `MissingExtraError` without tqdm; False shows nothing.

        Numbers may be those of Python, numpy and decimals. Raises `ConfigError` at once for those that are negative,
        not finite, true, false or a text, and for other options that cannot be meant.

        Raises `InputError` for invalid rows (with errors="raise"), `NotFound` for a model that does not exist
        and `JournalError` for a journal that cannot be used, all before anything is spent; `BatchError` when
        the run stops on its way.

        >>> from replicate_kit import Client
        >>> rows = [{"prompt": "a wombat"}, {"prompt": "a numbat"}, {"prompt": "a wombat"}]
        >>> with Client(backend="mock").map("demo/painter", rows) as batch:
        ...     [result.status for result in batch]
        ['succeeded', 'succeeded', 'succeeded']
        >>> batch.plan.to_pay
        2
        """
        from replicate_kit.batch._runs.streams import Batch

        return Batch(self._job(ref, inputs, options))

    @entrance
    def async_map(self, ref: Any, inputs: Inputs, **options: Unpack[MapOptions]) -> AsyncBatch:
        """Do the same as `map`, for `async for`, in asyncio and trio.

        >>> import asyncio
        >>> from replicate_kit import Client
        >>> async def main() -> list[str]:
        ...     async with Client(backend="mock").async_map("demo/poet", [{"prompt": "sea"}]) as batch:
        ...         return [result.status async for result in batch]
        >>> asyncio.run(main())
        ['succeeded']
        """
        from replicate_kit.batch._runs.streams import AsyncBatch

        return AsyncBatch(self._job(ref, inputs, options))

    async def async_plan(self, ref: Any, inputs: Inputs, **options: Unpack[PlanOptions]) -> Plan:
        """Say what `map` would do and cost, without spending anything.

        >>> from replicate_kit import Client
        >>> rows = [{"prompt": "a wombat"}, {"prompt": 7}]
        >>> plan = Client(backend="mock").plan("demo/painter", rows, price=0.003)
        >>> plan.to_pay, plan.invalid, plan.cost
        (1, 1, 0.003)
        """
        from replicate_kit.batch._runs.runner import Runner

        runner = Runner(self._job(ref, inputs, options), dry=True)
        runner.start()
        await self.session.wait(runner.ended, None)
        plan = runner.plan.result()
        runner.ended.result()  # a journal that could not be closed is no matter to keep quiet about
        return plan

    plan = blocking(async_plan)

    def _job(self, ref: Any, inputs: Any, options: Mapping[str, Any]) -> Job:
        """Gather what was asked for."""
        from replicate_kit.batch._plan.options import Options
        from replicate_kit.batch._runs.planned import Job

        _check_rows(inputs)
        usual = {"creates_per_minute": self.session.abilities.creates_per_minute}
        return Job(ref, inputs, Options.of({**usual, **options}), self.session, self.models, self.predictions)


def _check_rows(inputs: Any) -> None:
    """Refuse what is no rows at all, whatever it would give one by one; raises `InputError`."""
    from replicate_kit.tables._adapters import is_table

    if is_table(inputs):
        return
    kind = type(inputs).__name__
    if hasattr(inputs, "columns") and (hasattr(inputs, "to_dict") or hasattr(inputs, "dtypes")):
        # What such a table gives one by one are the names of its columns, which are texts and could be paid for.
        said = f"The rows are a {kind} of a package that replicate_kit does not know."
    elif isinstance(inputs, set | frozenset):
        said = f"The rows are a {kind}, which has no order, and results are in the order of the rows."
    elif hasattr(inputs, "read") and hasattr(inputs, "readline"):
        said = f"The rows are an open file ({kind}). Read them first, such as file.read().splitlines()."
    elif getattr(inputs, "is_text", False) is True:
        said = f"The rows are the text of a model ({kind}), of which each word would be one: str(output) is a row."
    elif isinstance(inputs, Mapping | str | bytes | bytearray) or not isinstance(inputs, Iterable):
        said = f"The rows are a {kind}."
    else:
        return
    raise InputError(
        f"{said} Pass a list of them, such as [{{'prompt': 'a wombat'}}], or a table. Nothing was created."
    )
