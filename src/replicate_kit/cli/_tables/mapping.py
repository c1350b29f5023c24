"""What `replicate-kit map` does: rows of a file in, rows with results out, one after
another. None of them are held in memory, but for the sheet of a spreadsheet, which is read as one.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from replicate_kit.cli import _show
from replicate_kit.cli._amounts import Amounts
from replicate_kit.cli._asking import resolved
from replicate_kit.cli._cells import Remarks, json_of
from replicate_kit.cli._interrupting import announced
from replicate_kit.cli._paths import STANDARD
from replicate_kit.cli._tables.compressed import split_name
from replicate_kit.cli._tables.filling import Filling, UnknownColumns, read_filling
from replicate_kit.cli._tables.standard import INPUT, OUTPUT, named
from replicate_kit.cli._tables.tables import (
    Reading,
    Row,
    Write,
    advise_on_columns,
    check_format,
    name_results,
    open_output,
    open_table,
    read_columns,
    read_rows,
    remark_on_table,
)
from replicate_kit.cli._tables.unreadable import TableError
from replicate_kit.cli._values import read_input
from replicate_kit.cli._wording import as_typed
from replicate_kit.errors import BudgetExhausted, InputError, ReplicateError
from replicate_kit.tables import RESULTS
from replicate_kit.tables._collecting import is_list_of_files, values_of
from replicate_kit.tables._matching import check_names

if TYPE_CHECKING:
    from replicate_kit.batch import Plan, Progress, Result
    from replicate_kit.client import Client
    from replicate_kit.schema import ModelSchema

__all__ = ["Mapped", "prepare"]


@dataclass
class Mapped:
    """A model over a table: what is to be run, and afterwards what came of it."""

    client: Client
    model: str
    table: Path
    given: Path | str
    filling: Filling
    columns: Mapping[str, Any]
    stamp: tuple[int, int]
    out: Path | None
    journal: Path | str
    limit: int | None
    options: dict[str, Any]
    escape_formulas: bool = False
    reading: Reading = field(default_factory=Reading)
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)  # the statuses of the rows that have an error
    kept: list[Result] = field(default_factory=list)
    progress: Progress | None = None
    reached: Progress | None = None  # how far the run was when it ended, whichever way
    estimate: float | None = None  # the most that it may cost, as planned
    remarks: Remarks = field(default_factory=Remarks)
    notes: list[str] = field(default_factory=list)  # what the results do not have as it is, in words
    unwritten: Exception | None = None  # why there is no file of results

    @cached_property
    def names(self) -> Mapping[str, str]:
        """What the columns of results are called: the table's own keep their names."""
        prefixes = chain(("", "replicate_"), (f"replicate_{number}_" for number in count(2)))
        free = next(
            each for each in prefixes if self.columns.keys().isdisjoint(each + name for name in RESULTS)
        )
        return {name: free + name for name in RESULTS}

    @property
    def name(self) -> str:
        """What the table is called in messages."""
        return str(self.given) if isinstance(self.given, Path) else INPUT

    @property
    def shown_journal(self) -> str:
        """What the journal is called in messages: without a password."""
        from replicate_kit.batch._ledger.stores import shown

        return shown(self.journal)

    @property
    def failed(self) -> int:
        """How many rows have an error."""
        return self.counts["failed"]

    @property
    def is_complete(self) -> bool:
        """Whether every row that was to be sent has its output."""
        return not self.faults

    def summary(self) -> dict[str, Any]:
        """The counts at the end: rows have succeeded, failed or were skipped; of these a budget left some out."""
        names = ("rows", "succeeded", "failed", "skipped", "left_out", "cached")
        counts: dict[str, Any] = {name: self.counts[name] for name in names}
        counts["created"] = self.progress.created if self.progress else 0
        counts["cost"] = self.progress.cost if self.progress else None
        counts["estimate"] = self.estimate
        out = str(self.out or STANDARD) if self.unwritten is None else None
        return {**counts, "label": self.options.get("label"), "out": out, "journal": self.shown_journal}

    def rows(self) -> Generator[Row]:
        """The rows of the table, as many as were asked for."""
        with closing(read_rows(self.table, self.reading)) as rows:
            yield from islice(rows, self.limit)

    def inputs(self) -> Iterator[dict[str, Any]]:
        """The inputs of the rows that are to be sent."""
        for _, _, input in self._filled():
            if input is not None:
                yield input

    def numbers(self) -> Sequence[int]:
        """Which rows of the table are sent, counted from 1."""
        return array("q", (number for number, _, input in self._filled() if input is not None))

    def _filled(self) -> Iterator[tuple[int, Row, dict[str, Any] | None]]:
        """The rows, counted from 1, with their inputs; None for those that are not sent.

        The table is closed where an input cannot be filled: the error would keep it open.
        """
        with closing(self.rows()) as rows:
            for number, (row, input) in enumerate(self.filling.over(rows), 1):
                yield number, row, input

    def plan(self) -> Plan:
        """Find out what there is to create and pay."""
        from replicate_kit.batch import PlanOptions

        known = PlanOptions.__optional_keys__
        chosen: Any = {name: value for name, value in self.options.items() if name in known}
        with _show.working(f"Reading {self.name}…"):
            return self.client.plan(self.model, self.inputs(), **chosen)

    def run(self, on_plan: Callable[[Plan], None], *, keep: bool = False) -> None:
        """Run the rows and write their results; `keep` those that ran, too.

        `on_plan` may refuse the plan, by what it raises, before anything is spent. Where the results cannot be
        written, `unwritten` says why: the run goes on to its end, since what it creates is paid for, and the journal
        keeps it.
        """
        try:
            with self._opened() as write:  # before anything is spent
                failure = self._run(write, on_plan, keep=keep)
                if self.unwritten is not None:  # what is incomplete must not take the place of another file
                    raise self.unwritten
            if failure is not None:
                raise failure
        except Exception as error:
            if self.progress is None or isinstance(error, ReplicateError):  # it is the run that failed
                raise
            self.unwritten = error

    def _opened(self) -> AbstractContextManager[Write]:
        """Open what the results are written to."""
        if self.out is None:
            return open_output(self.table, escape_formulas=self.escape_formulas)
        return open_table(self.out, escape_formulas=self.escape_formulas)

    def _run(self, write: Write, on_plan: Callable[[Plan], None], *, keep: bool) -> ReplicateError | None:
        """Run the rows, and write what they give as it comes; give what failed after the last of them."""
        detach = self.options.get("on_interrupt") == "detach"
        with self.client.map(self.model, self.inputs(), on_plan=on_plan, **self.options) as results:
            try:
                with announced(lambda: results.progress.in_flight, detach=detach):
                    self._write(write, results, keep=keep)
            finally:
                self.reached = results.progress
            self.progress = results.progress
            try:
                next(results, None)  # there are no more
            except ReplicateError as error:
                return error
        return None

    def _write(self, write: Write, results: Iterator[Result], *, keep: bool) -> None:
        """Write the results; where that fails, take the others all the same, so that the run comes to its end."""
        types = {**self.columns, **{self.names[name]: kind for name, kind in RESULTS.items()}}
        lines = self._lines(results, keep=keep)
        try:
            self.notes = write(types, lines, types, self.remarks)
        except ReplicateError:
            raise
        except Exception as error:
            if self.out is None and isinstance(error, BrokenPipeError):  # as with `| head`: nobody wants more
                with suppress(OSError):
                    click.echo(
                        f"Nobody reads the results any more, so the run stops. The journal {self.shown_journal} keeps "
                        "what it has.",
                        err=True,
                    )
                raise
            self.unwritten = error
            with suppress(OSError):  # where nobody can be told, the run goes on all the same
                click.echo(f"{self.failure} The run goes on: its journal keeps the results.", err=True)
            with suppress(OSError, click.ClickException):  # of the table, which may be gone as well
                deque(lines, maxlen=0)
            for result in results:
                self._count(result, keep=keep)

    @property
    def failure(self) -> str:
        """Say why the results could not be written."""
        error = self.unwritten
        if isinstance(error, click.ClickException):
            return error.message
        told = error.strerror if isinstance(error, OSError) else None
        reason = told or f"{type(error).__name__}: {error}"
        return f"{self.out or OUTPUT} could not be written ({reason})."

    def _lines(self, results: Iterator[Result], *, keep: bool) -> Iterator[Row]:
        """Join the rows of the table with their results, which come in the same order."""
        for number, row, input in self._filled():
            result = next(results, None) if input is not None else None
            self._count(result, keep=keep)
            values, how = _values(result)
            self.remarks.note(how, f"row {number}, column {self.names['output']!r}")
            yield {**row, **{self.names[name]: value for name, value in values.items()}}
        if _stamp(self.table) != self.stamp:
            raise click.ClickException(
                f"{self.name} was changed while its rows ran, so that results cannot be told apart. Run it again: "
                "nothing is paid twice."
            )

    def _count(self, result: Result | None, *, keep: bool) -> None:
        """Count what came of a row, and keep it if that is wanted."""
        if result is not None and keep:
            self.kept.append(result)
        self.counts.update(["rows", _kind(result)])
        self.counts["cached"] += result is not None and result.cached
        if result is not None and result.error is not None:
            left_out = isinstance(result.error, BudgetExhausted)
            self.counts["left_out"] += left_out
            self.faults["left out" if left_out else result.status] += 1


def prepare(
    client: Client,
    model: str,
    table: Path,
    given: Path | str,
    *,
    inputs: Sequence[str],
    constants: Sequence[str],
    out: Path | str | None,
    journal: Path | str | None,
    limit: int | None,
    save_to: str | None,
    manifest: bool,
    budget: Amounts,
    max_predictions: int | None,
    budget_per_journal: bool,
    escape_formulas: bool = False,
    sheet: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    **options: Any,
) -> Mapped:
    """Read the table's columns and the model's schema; raise for what does not fit before anything is spent.

    `given` is the table as it was typed, `table` the file that it is in.
    """
    from replicate_kit.batch import Budget
    from replicate_kit.storage import SaveTo

    stamp, reading = _stamp(table), Reading(sheet, delimiter, encoding).found(table)
    columns = read_columns(table, reading)
    _show.remarks(map(named, remark_on_table(table, reading)))
    base = given if isinstance(given, Path) else Path("stdin")
    target = _target(given, out)
    if not columns:
        raise TableError(
            f"{table} has no rows that name a column, so there is nothing to run. Name another table."
        )
    schema = resolved(client, model).schema
    try:
        rows = partial(read_rows, table, reading)
        filling = read_filling(
            inputs, read_input(constants, schema), list(columns), schema, base.parent, rows
        )
    except UnknownColumns as error:
        raise click.UsageError(f"{error.message}{advise_on_columns(table)}") from None
    if options["check_input"]:
        _check_names(schema, filling, model)
    per: Literal["run", "journal"] = "journal" if budget_per_journal else "run"
    # Beside the table, not the results: what was paid for is found again wherever the results go.
    kept = journal or base.with_name(f"{split_name(base)[0]}.journal.sqlite")
    metrics = {name: amount for name, amount in budget.items() if name is not None}
    limits = Budget(predictions=max_predictions, money=budget.get(None), metrics=metrics or None, per=per)
    options |= {"journal": kept, "budget": limits}
    options["save_to"] = None if save_to is None else replace(SaveTo.of(save_to), manifest=manifest)
    return Mapped(
        client,
        model,
        table,
        given,
        filling,
        columns,
        stamp,
        target,
        kept,
        limit,
        options,
        escape_formulas,
        reading,
    )


def _target(given: Path | str, out: Path | str | None) -> Path | None:
    """Say where the results go: a file that can be written, or None for standard output."""
    target = out or (name_results(given) if isinstance(given, Path) else STANDARD)
    if not isinstance(target, Path):
        return None
    check_format(target)
    return target


def _check_names(schema: ModelSchema | None, filling: Filling, model: str) -> None:
    """Refuse inputs that the model does not have, which would fail in every row: what was typed is wrong."""
    try:
        check_names(schema, filling.input, model)
    except InputError as error:
        raise click.UsageError(as_typed(str(error))) from None


def _stamp(path: Path) -> tuple[int, int]:
    """What tells whether a file was changed."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


def _kind(result: Result | None) -> str:
    """Say what came of a row: nothing was tried for those that are skipped, so that they have not failed."""
    if result is None or result.status == "skipped":
        return "skipped"
    return "succeeded" if result.error is None else "failed"


def _values(result: Result | None) -> tuple[Row, str | None]:
    """What stands beside a row, and how its output was written if not as it is."""
    values = values_of(result)
    if result is None:
        return {**values, "status": "skipped"}, None
    values["output"], how = _flat(result)
    if result.error is not None:
        values["error"] = _message(result)
    return values, how


def _message(result: Result) -> str:
    """Say what was wrong; which row it was shows the table, whose rows are not counted as those sent are."""
    text = as_typed(str(result.error)) if result.status != "failed" else str(result.error)
    return text.partition("\n")[2] if result.status == "invalid" else text


def _flat(result: Result) -> tuple[Any, str | None]:
    """One cell for an output: a text, a number, the URL of the only file; several and anything deeper as JSON."""
    output = result.output
    if is_list_of_files(result) and len(output) == 1:
        output = output[0]
    return json_of(output) if isinstance(output, list | dict) else (output, None)
