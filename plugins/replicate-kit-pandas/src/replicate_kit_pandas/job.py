"""One call of an accessor: its rows, the run over them, and what becomes of the results."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pandas as pd

import replicate_kit
from replicate_kit import Client, blocking
from replicate_kit.batch import MapOptions, Plan, Result
from replicate_kit.errors import BatchError, InputError
from replicate_kit.resources.models import reference_of
from replicate_kit.schema import ModelSchema
from replicate_kit_pandas.checking import check_constants, check_kind
from replicate_kit_pandas.collecting import Collector
from replicate_kit_pandas.errors import RowsFailed, invalid_rows, shown
from replicate_kit_pandas.matching import check_names, input_of_frame, input_of_series, integers
from replicate_kit_pandas.options import Files, for_plan
from replicate_kit_pandas.rows import Rows, fill
from replicate_kit_pandas.tables import FrameTable, SeriesTable, Table

__all__ = ["Job", "Order"]


@dataclass(frozen=True)
class Order:
    """What was asked for: a model over a Series or a DataFrame."""

    data: pd.Series[Any] | pd.DataFrame
    model: Any
    input: Mapping[str, Any] | None
    options: dict[str, Any] = field(default_factory=dict)

    async def async_prepare(self) -> Job:
        """Learn the model's inputs and fill them in; raises `InputError` before anything is spent."""
        check_kind(self.input)
        options = dict(self.options)
        client: Client = options.pop("client", None) or replicate_kit.default_client
        into = options.pop("into", None)
        runnable = await client.models.async_resolve(reference_of(self.model, client.session))
        schema, table = runnable.schema, self._table()
        input = self._input(schema, into)
        if isinstance(self.data, pd.DataFrame):
            check_constants(input, list(self.data.columns), dedupe=options.get("dedupe", True))
        if options.get("check_input", True):
            check_names(schema, input, self.model)
        rows = fill(table, input, integers(schema))
        return Job(client, self.model, table.index, rows, options)

    prepare = blocking(async_prepare)

    def _input(self, schema: ModelSchema | None, into: str | None) -> Mapping[str, Any]:
        """Say what fills the model's inputs, where that was not said in full."""
        if isinstance(self.data, pd.Series):
            return input_of_series(schema, self.data.name, self.input or {}, into, self.model)
        if into is not None:
            raise InputError(_INTO_ON_FRAME.format(into))
        return input_of_frame(schema, self.data.columns, self.model) if self.input is None else self.input

    def _table(self) -> Table:
        """See the data as columns."""
        return SeriesTable(self.data) if isinstance(self.data, pd.Series) else FrameTable(self.data)


@dataclass(frozen=True)
class Job:
    """Rows that are ready to run. `options` are those of `client.map`, and `files`."""

    client: Client
    model: Any
    index: pd.Index[Any]
    rows: Rows
    options: dict[str, Any]

    def run(self, *, details: bool) -> pd.Series[Any] | pd.DataFrame:
        """Run the rows on this thread; give the Series or DataFrame."""
        collector = self._collector(details)
        with self.client.map(self.model, self.rows, **self._options()) as results, self._keeping(collector):
            for result in results:
                collector.add(self._placed(result))
        return self._checked(collector)

    async def async_run(self, *, details: bool) -> pd.Series[Any] | pd.DataFrame:
        """Run the rows in the running event loop; give the Series or DataFrame."""
        collector = self._collector(details)
        async with self.client.async_map(self.model, self.rows, **self._options()) as results:
            with self._keeping(collector):
                async for result in results:
                    collector.add(self._placed(result))
        return self._checked(collector)

    def iterate(self) -> Iterator[tuple[Hashable, Result]]:
        """Give the label and the result of each row as it finishes."""
        with self.client.map(self.model, self.rows, **self._options()) as results:
            for result in map(self._placed, results):
                yield self.index[result.index], result

    async def async_iterate(self) -> AsyncGenerator[tuple[Hashable, Result], None]:
        """Give the label and the result of each row as it finishes."""
        async with self.client.async_map(self.model, self.rows, **self._options()) as results:
            async for each in results:
                result = self._placed(each)
                yield self.index[result.index], result

    async def async_plan(self) -> Plan:
        """Ask what there is to pay."""
        plan = await self.client.async_plan(self.model, self.rows, **for_plan(self.options))
        return self._numbered(plan)

    def _placed(self, result: Result) -> Result:
        """Say where in the table a result belongs."""
        position = self.rows.positions[result.index]
        if result.status != "invalid":
            return replace(result, index=position)
        text = str(result.error).partition("\n")[2]
        error = InputError(
            f"Row {shown(self.index[position])} cannot be sent, so nothing was created:\n{text}"
        )
        return replace(result, index=position, error=error)

    def _options(self) -> MapOptions:
        """Adapt the options: no failed row stops the run, and rows are numbered as in the table."""
        options: Any = {"ordered": False, **self.options, "errors": "collect"}
        options.pop("files", None)
        if (stems := options.get("stems")) is not None:
            options["stems"] = lambda number, input: stems(self.rows.positions[number], input)
        options["on_plan"] = self._review
        return cast("MapOptions", options)

    def _review(self, plan: Plan) -> None:
        """Refuse rows that the model does not take, before anything is spent, unless errors are collected."""
        plan = self._numbered(plan)
        if plan.invalid and self.options.get("errors") != "collect":
            raise InputError(invalid_rows(plan, [self.index[each.row] for each in plan.problems]))
        if (on_plan := self.options.get("on_plan")) is not None:
            on_plan(plan)

    def _numbered(self, plan: Plan) -> Plan:
        """Number the rows of a plan as they are in the table."""
        problems = (each._replace(row=self.rows.positions[each.row]) for each in plan.problems)
        return replace(plan, problems=tuple(problems))

    def _collector(self, details: bool) -> Collector:
        files = cast("Files", self.options.get("files") or "auto")
        return Collector(self.index, self.rows.positions, details=details, files=files)

    def _checked(self, collector: Collector) -> pd.Series[Any] | pd.DataFrame:
        """Raise for failed rows unless that was declined; every row is done by now."""
        result, errors = collector.result(), collector.errors
        if len(errors) and self.options.get("errors") != "collect":
            raise RowsFailed(result, errors, len(self.index))
        return result

    @contextmanager
    def _keeping(self, collector: Collector) -> Iterator[None]:
        """Whatever ends the run early takes along what was done until then."""
        try:
            yield
        except BaseException as error:
            for result in error.results if isinstance(error, BatchError) else ():
                collector.add(self._placed(result))
            error.partial = collector.result()  # type: ignore[attr-defined]
            error.add_note("What was done until then is this error's .partial.")
            raise


_INTO_ON_FRAME = (
    "into={0!r} is for a Series. For a DataFrame, say which column fills the input: "
    "input={{{0!r}: col('…')}}. Nothing was created."
)
