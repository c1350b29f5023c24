"""The `replicate` accessors of Series and DataFrame.

pandas makes an accessor anew on every access: they hold nothing but the data that they were asked on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Literal, TypeAlias, Unpack, overload

import pandas as pd

import replicate_kit
from replicate_kit import blocking
from replicate_kit.batch import Plan, Result
from replicate_kit.batch.accessors import Order, checked, described, named
from replicate_kit.errors import InputError
from replicate_kit.messages import whole
from replicate_kit_pandas.adapter import Adapter
from replicate_kit_pandas.options import RunOptions
from replicate_kit_pandas.showing import PictureTable, found

__all__ = ["Accessor", "DataFrameAccessor", "SeriesAccessor", "accessor_of"]

Input: TypeAlias = Mapping[str, Any] | None


class Accessor:
    """What the accessors of Series and DataFrame share: all of it."""

    def __init__(self, data: pd.Series[Any] | pd.DataFrame) -> None:
        self._data = data

    def _order(self, model: Any, input: Input, options: Mapping[str, Any], method: str) -> Order:
        """Check the options of a call."""
        known = RunOptions.__optional_keys__
        return Order(
            Adapter(self._data),
            replicate_kit.default_client,
            model,
            input,
            checked(options, known, method, Adapter),
        )

    @overload
    def run(
        self, model: Any, input: Input = None, *, details: Literal[True], **options: Unpack[RunOptions]
    ) -> pd.DataFrame: ...
    @overload
    def run(
        self,
        model: Any,
        input: Input = None,
        *,
        details: Literal[False] = False,
        **options: Unpack[RunOptions],
    ) -> pd.Series[Any]: ...
    def run(
        self, model: Any, input: Input = None, *, details: bool = False, **options: Unpack[RunOptions]
    ) -> pd.Series[Any] | pd.DataFrame:
        """Run `model` for each row, many at a time; give the outputs with the same index, in the same order.

        `input` says what fills the model's inputs: `col("title")` a column, `template("{title} by {artist}")` a
        text with columns in it, a function what it gives for a row (as a dict; the value itself for a Series), and
        anything else is a constant. All inputs of the model stand there, and nothing else does. A Series fills,
        besides, the input named by `into`, else the one that bears the series' name, else the only required one
        that `input` leaves open; in a template `{}` is its value. Without `input`, a DataFrame fills the inputs
        that have the names of its columns, and a null leaves out one that is not required.

        A row with a null in what it is made of is skipped: it costs nothing, and is null in the result. Equal
        inputs are run once. Texts of text models come whole, files as URL strings. `details=True` gives a
        DataFrame with the columns output, status, error, prediction_id, seconds, cached and cost, fit for Parquet:
        outputs that are structures are JSON in it.

        Options, all by keyword:

        - `client`: the `Client` to use; the package's default client where none is given.
        - `errors`: "raise" (the default) raises `RowsFailed` once every other row is done, with the whole result
          as its `partial`; "collect" leaves nulls where rows failed.
        - `files`: what becomes of models that give lists of files. "auto": URLs if no row has more than one,
          else lists; "list": lists; "first": the first of each; "explode": a row of the result for each file,
          with its label repeated.
        - `limit`: look at so many rows alone, the first ones, to try what comes of it. The others are null in the
          result, and have the status "skipped".
        - `retry`: an error that an accessor raised over this data, or a result of it with `details=True` and
          `errors="collect"`, also one that was in a Parquet file. Rows that failed, were left out or did not finish
          run again, and the others stay as they stand in it; so do rows beyond the `limit`. What may be paid for is
          not paid again: rows that are "unknown" stay and count as failed, and so do rows that succeeded and whose
          output could not be stored or decoded, unless the `journal` has it, where it is free. Texts name states of
          the journal, as for `Client.map`.
        - `save_to`, `storage_options`, `stems`: store the files in this folder or fsspec URL; the output then
          says where they are.
        - `journal`: a file that remembers what was paid for, so that running again costs nothing.
        - `concurrency`, `budget`, `price`, `retries`, `progress`, `dedupe`, `check_input`, and whatever else
          `Client.map` takes.

        Raises `InputError` or `ConfigError` before anything is spent where it is unclear what is meant. Whatever
        ends the run early (Ctrl-C, a service that is down) carries what was done as its `partial`, and the status of
        each row as its `statuses`.

        >>> import pandas as pd
        >>> from replicate_kit import Client
        >>> prompts = pd.Series(["sea", None, "hills"], name="prompt")
        >>> poems = prompts.replicate.run("demo/poet", client=Client(backend="mock"))
        >>> poems.isna().tolist()
        [False, True, False]
        """
        made: pd.Series[Any] | pd.DataFrame = (
            self._order(model, input, options, "run").prepare().run(details=details)
        )
        return made

    @overload
    async def async_run(
        self, model: Any, input: Input = None, *, details: Literal[True], **options: Unpack[RunOptions]
    ) -> pd.DataFrame: ...
    @overload
    async def async_run(
        self,
        model: Any,
        input: Input = None,
        *,
        details: Literal[False] = False,
        **options: Unpack[RunOptions],
    ) -> pd.Series[Any]: ...
    async def async_run(
        self, model: Any, input: Input = None, *, details: bool = False, **options: Unpack[RunOptions]
    ) -> pd.Series[Any] | pd.DataFrame:
        """Do what `run` does, without holding up the event loop (asyncio or trio)."""
        job = await self._order(model, input, options, "async_run").async_prepare()
        made: pd.Series[Any] | pd.DataFrame = await job.async_run(details=details)
        return made

    def iter(
        self, model: Any, input: Input = None, **options: Unpack[RunOptions]
    ) -> Iterator[tuple[Hashable, Result]]:
        """Give `(label, result)` for each row as soon as it is finished; `ordered=True` keeps them in order.

        Takes the arguments of `run` but `details`. `result.index` is the position of the row, `result.error` is
        set where it failed, and nulls are passed over, and so is what `retry` leaves as it is. Leaving the loop early
        stops the run.

        >>> import pandas as pd
        >>> from replicate_kit import Client
        >>> prompts = pd.Series(["sea", "hills"], index=["a", "b"], name="prompt")
        >>> results = prompts.replicate.iter("demo/poet", client=Client(backend="mock"))
        >>> sorted(label for label, result in results)
        ['a', 'b']
        """
        return self._order(model, input, options, "iter").prepare().iterate()

    async def async_iter(
        self, model: Any, input: Input = None, **options: Unpack[RunOptions]
    ) -> AsyncIterator[tuple[Hashable, Result]]:
        """Do what `iter` does, for `async for`; put it into `contextlib.aclosing` to leave it early."""
        job = await self._order(model, input, options, "async_iter").async_prepare()
        async with aclosing(job.async_iterate()) as rows:
            async for row in rows:
                yield row

    async def async_plan(
        self, model: Any, input: Input = None, *, details: bool = False, **options: Unpack[RunOptions]
    ) -> Plan:
        """Find out what `run` would create and pay, without creating anything.

        Takes the arguments of `run`, whether they matter or not. Rows that are skipped because of a null do not count,
        nor do those that `retry` leaves as they are.

        >>> import pandas as pd
        >>> from replicate_kit import Client
        >>> prompts = pd.Series(["sea", None, "sea"], name="prompt")
        >>> plan = prompts.replicate.plan("demo/poet", client=Client(backend="mock"))
        >>> plan.rows, plan.distinct
        (2, 1)
        """
        job = await self._order(model, input, options, "plan").async_prepare()
        return await job.async_plan()

    plan = blocking(async_plan)

    def show(self, *columns: Hashable | list[Any], width: int = 128, rows: int = 60) -> PictureTable:
        """Show the first `rows` rows in a notebook, with the pictures that `columns` name, `width` pixels wide.

        Name the columns one by one or in one list. Their cells are local paths (as `save_to` leaves them), web
        addresses, or lists of them. A Series of them needs no name. Texts keep their line breaks.

        >>> import pandas as pd, replicate_kit
        >>> table = pd.DataFrame({"image": ["https://example.com/a.png"]}).replicate.show("image")
        >>> '<img src="https://example.com/a.png"' in table._repr_html_()
        True
        """
        width, rows = whole("width", width, 1), whole("rows", rows, 0)
        names = named(columns, () if isinstance(self._data, pd.Series) else self._data.columns)
        if isinstance(self._data, pd.Series):
            if unknown := set(names) - {self._data.name}:
                raise InputError(
                    f"A series has no column {unknown.pop()!r}: its name is {self._data.name!r}. Write show() to see "
                    "its own pictures, or use the accessor of the DataFrame, df.replicate.show(…)."
                )
            return PictureTable(self._data.to_frame("picture"), ["picture"], width, rows)
        return PictureTable(self._data, [found(self._data, name) for name in names], width, rows)

    def __repr__(self) -> str:
        """Say what can be done here.

        >>> import pandas as pd, replicate_kit
        >>> pd.DataFrame({"title": ["Sea", "Hills"]}).replicate
        <replicate over a DataFrame of 2 rows: title>
          .run(model, input={"prompt": col("title")})  the outputs, one for each row
          ...
        """
        if isinstance(self._data, pd.Series):
            return described(len(self._data), self._data.name)
        return described(len(self._data), columns=list(self._data.columns))


class SeriesAccessor(Accessor):
    """Runs a model over a Series: `df["prompt"].replicate.run("owner/model", into="prompt")`."""


class DataFrameAccessor(Accessor):
    """Runs a model over a DataFrame: `df.replicate.run("owner/model", input={"prompt": col("title")})`."""


@overload
def accessor_of(data: pd.Series[Any]) -> SeriesAccessor: ...
@overload
def accessor_of(data: pd.DataFrame) -> DataFrameAccessor: ...
def accessor_of(data: pd.Series[Any] | pd.DataFrame) -> SeriesAccessor | DataFrameAccessor:
    """Give `data.replicate` with its type: checkers and editors do not know accessors that are registered.

    >>> import pandas as pd
    >>> accessor_of(pd.DataFrame({"prompt": ["sea"]})).run
    <bound method Accessor.run of ...>
    """
    return SeriesAccessor(data) if isinstance(data, pd.Series) else DataFrameAccessor(data)
