"""One call of an accessor: its rows, the run over them, and what becomes of the results."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from replicate_kit._formats.arguments import whole
from replicate_kit._formats.wording import shown_label
from replicate_kit._runtime.blocking import blocking
from replicate_kit.batch._plan.options import MapOptions
from replicate_kit.batch._plan.plan import Plan
from replicate_kit.batch._results.results import Result
from replicate_kit.batch.accessors._adapter import Adapter
from replicate_kit.batch.accessors._earlier import Earlier, earlier_of
from replicate_kit.batch.accessors._failures import RowsFailed, carry, invalid_rows
from replicate_kit.batch.accessors._options import for_plan, is_earlier
from replicate_kit.errors import BatchError, InputError, ReplicateError
from replicate_kit.resources._jobs.creating import reference_of
from replicate_kit.tables._binding import bind
from replicate_kit.tables._collecting import Collector, Files
from replicate_kit.tables._rows import Rows

if TYPE_CHECKING:
    from replicate_kit.client import Client

__all__ = ["Job", "Order"]


@dataclass(frozen=True)
class Order:
    """What was asked for: a model over a table. `client` is used where `options` name none."""

    adapter: Adapter
    client: Client
    model: Any
    input: Mapping[str, Any] | None
    options: dict[str, Any] = field(default_factory=dict)

    async def async_prepare(self) -> Job:
        """Learn the model's inputs and fill them in; raises `InputError` before anything is spent."""
        options = dict(self.options)
        client: Client = options.pop("client", None) or self.client
        into, limit = options.pop("into", None), options.pop("limit", None)
        count = len(self.adapter)
        tried = count if limit is None else min(count, whole("limit", limit, 0))
        earlier = self._earlier(options)
        again = None if earlier is None else earlier.again(tried, options.get("journal"))
        runnable = await client.models.async_resolve(reference_of(self.model, client.session))
        rows = bind(
            self.adapter.columns(slice(tried) if again is None else again),
            self.input,
            runnable.schema,
            model=self.model,
            into=into,
            check_input=options.get("check_input", True),
            dedupe=options.get("dedupe", True),
        )
        gives_lists = runnable.schema is not None and runnable.schema.gives_files
        kept: list[Kept] = []
        if earlier is not None and again is not None:
            rows.positions = [again[each] for each in rows.positions]
            others = sorted(set(range(count)).difference(again))
            kept = [Kept(each, earlier.values(each), earlier.error(each)) for each in others]
        return Job(client, self.model, self.adapter, rows, tried, options, gives_lists, kept)

    prepare = blocking(async_prepare)

    def _earlier(self, options: dict[str, Any]) -> Earlier | None:
        """Take an earlier result out of the options, if there is one."""
        if not is_earlier(retry := options.get("retry"), self.adapter):
            return None
        earlier = earlier_of(retry, self.adapter, options)
        del options["retry"]
        if options.get("journal") is not None:  # which would give the same failures again
            options["retry"] = ("failed", "expired")
        return earlier


class Kept(NamedTuple):
    """A row that does not run again: its position, what the earlier result has of it, and its error."""

    position: int
    values: Mapping[str, Any]
    error: ReplicateError | None


@dataclass(frozen=True)
class Job:
    """Rows that are ready to run. `tried` is how many rows are looked at, the first ones; `options` are those of
    `client.map`, and `files`; `gives_lists` says that the model gives lists of files; `kept` are rows that stay as an
    earlier result has them.
    """

    client: Client
    model: Any
    adapter: Adapter
    rows: Rows
    tried: int
    options: dict[str, Any]
    gives_lists: bool
    kept: Sequence[Kept]

    def run(self, *, details: bool) -> Any:
        """Run the rows on this thread; give the result."""
        collector = self._collector(details)
        with (
            self.client.map(self.model, self.rows, **self._options()) as results,
            self._keeping(collector, details),
        ):
            for result in results:
                self._collect(result, collector)
        data, failure = self._told(collector, details)
        if failure is not None:
            raise failure
        return data

    async def async_run(self, *, details: bool) -> Any:
        """Run the rows in the running event loop; give the result."""
        collector = self._collector(details)
        async with self.client.async_map(self.model, self.rows, **self._options()) as results:
            with self._keeping(collector, details):
                async for result in results:
                    self._collect(result, collector)
        data, failure = self._told(collector, details)
        if failure is not None:
            raise failure
        return data

    def iterate(self) -> Iterator[tuple[Any, Result]]:
        """Give the label and the result of each row as it finishes."""
        with self.client.map(self.model, self.rows, **self._options()) as results:
            for result in map(self._placed, results):
                yield self.adapter.label(result.index), result

    async def async_iterate(self) -> AsyncGenerator[tuple[Any, Result], None]:
        """Give the label and the result of each row as it finishes."""
        async with self.client.async_map(self.model, self.rows, **self._options()) as results:
            async for each in results:
                result = self._placed(each)
                yield self.adapter.label(result.index), result

    async def async_plan(self) -> Plan:
        """Ask what there is to pay."""
        plan = await self.client.async_plan(self.model, self.rows, **for_plan(self.options))
        return self._numbered(plan)

    def _collect(self, result: Result, collector: Collector) -> None:
        """Put a result where its row stands in the table."""
        if result.status == "invalid":
            collector.add(self._placed(result))
        else:
            collector.add(result, self.rows.positions[result.index])

    def _placed(self, result: Result) -> Result:
        """Say where in the table a result belongs."""
        position = self.rows.positions[result.index]
        if result.status != "invalid":
            return replace(result, index=position)
        text = str(result.error).partition("\n")[2]
        error = InputError(
            f"Row {shown_label(self.adapter.label(position))} cannot be sent, so nothing was created:\n{text}"
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
            labels = [self.adapter.label(each.row) for each in plan.problems]
            raise InputError(invalid_rows(plan, labels, self.adapter.to_number, self.adapter.to_columns))
        if (on_plan := self.options.get("on_plan")) is not None:
            on_plan(plan)

    def _numbered(self, plan: Plan) -> Plan:
        """Number the rows of a plan as they are in the table."""
        problems = (each._replace(row=self.rows.positions[each.row]) for each in plan.problems)
        return replace(plan, problems=tuple(problems))

    def _collector(self, details: bool) -> Collector:
        files = cast("Files", self.options.get("files") or "auto")
        beyond = range(self.tried, len(self.adapter))
        statuses = dict.fromkeys(self.rows.positions, "unfinished") | dict.fromkeys(beyond, "skipped")
        collector = Collector(
            len(self.adapter), statuses, details=details, files=files, gives_lists=self.gives_lists
        )
        for each in self.kept:
            collector.keep(*each)
        return collector

    def _arranged(self, collector: Collector, details: bool) -> Any:
        """Make the result of what has come."""
        return self.adapter.result(collector.lines(), details=details)

    def _told(self, collector: Collector, details: bool) -> tuple[Any, RowsFailed | None]:
        """Give the result, and the error of failed rows unless that was declined; every row is done by now."""
        result, errors = self._arranged(collector, details), collector.errors
        failed = sorted(each for each in errors if each < self.tried)
        if not failed or self.options.get("errors") == "collect":
            return result, None
        failure = self.adapter.failure(result, {each: errors[each] for each in failed})
        carry(failure, result, self._statuses(collector), errors)
        return result, failure

    def _statuses(self, collector: Collector) -> Any:
        """Make the Series of the status of each row of the data."""
        return self.adapter.statuses(list(collector.statuses))

    @contextmanager
    def _keeping(self, collector: Collector, details: bool) -> Iterator[None]:
        """Whatever ends the run early takes along what was done until then."""
        try:
            yield
        except BaseException as error:
            for result in error.results if isinstance(error, BatchError) else ():
                self._collect(result, collector)
            carry(error, self._arranged(collector, details), self._statuses(collector), collector.errors)
            error.add_note(
                "What was done until then is this error's .partial. To run the rest, pass retry=error, with the run's "
                "journal so that what was in flight is not paid twice."
            )
            raise
