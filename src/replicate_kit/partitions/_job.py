"""One job over partitions: checked on the driver, run by workers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from threading import Thread
from typing import Any, Literal, Self, cast
from uuid import uuid4

from replicate_kit._formats.redacting import redacted
from replicate_kit._formats.wording import counted, escaped, shown_label, with_safe_repr
from replicate_kit._runtime.foreign_code import described
from replicate_kit.batch import MapOptions, Plan, Result, journals
from replicate_kit.batch._ledger.stores import is_shared
from replicate_kit.batch._runs.display import shower
from replicate_kit.batch.accessors._failures import invalid_rows, shortened
from replicate_kit.client import Client
from replicate_kit.errors import BatchError, BudgetExhausted, ConfigError, InputError, ReplicateError
from replicate_kit.partitions._clients import ClientSettings, token_advised
from replicate_kit.partitions._labels import job_label
from replicate_kit.partitions._memory import Memory
from replicate_kit.partitions._options import checked
from replicate_kit.partitions._watching import Watch
from replicate_kit.resources._jobs.creating import reference_of
from replicate_kit.tables._binding import bind
from replicate_kit.tables._checking import check_kind
from replicate_kit.tables._collecting import RESULTS, Collector, Lines, is_list_of_files
from replicate_kit.tables._columns import Columns, OneColumn
from replicate_kit.tables._rows import Rows, fill

__all__ = ["Job"]

Table = Columns | OneColumn

_POLL = 0.5  # seconds between two questions whether a partition is to stop
_AT_ONCE = 16  # cancels in flight
_SHOWN = 5  # rows in a message
_PROCESS = uuid4().hex  # a child that was forked has another id
_OURS = ("client", "into", "files", "send_token", "errors", "label", "progress")


class _Stopped(Exception):
    """The engine does not want the partition any more."""


@with_safe_repr
@dataclass(frozen=True, repr=False)
class Job:
    """A model over a table in parts. It is pickled to workers, where calling it runs one partition.

    `label` is that of its runs in the journal: the user's, with a part of the job's own, so that what it has in flight
    is found. `settings` are those of the workers' clients; a job without them runs all its parts in this process, with
    `own_client`, and cannot be pickled. `into`, `files` and `collects` are as the options of that name; `options` are
    those of `client.map`.
    """

    model: str
    input: Mapping[str, Any] | None
    settings: ClientSettings | None
    options: Mapping[str, Any]
    label: str
    details: bool = False
    into: str | None = None
    files: str = "auto"
    collects: bool = False
    progress: bool | None = None
    own_client: Client | None = field(default=None, compare=False)
    home: tuple[str, int] = field(default_factory=lambda: _here(), compare=False)
    memory: Memory | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        model: Any,
        input: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        method: str,
        *,
        details: bool = False,
        empty: Table | None = None,
        local: bool = False,
    ) -> Self:
        """Check what was asked for, on the driver; nothing is called, and nothing read from the network.

        `options` are those of `PartitionOptions`, `method` is what the user called. A `local` job runs all its parts in
        this process: its options are `LocalOptions`, and its client may be any. Without a `journal` it has one of its
        own in memory, so that no row is paid twice by this job; that goes with the last job that has it. As long as it
        is there, another such job that pays for the same rows warns of that, once. `empty` is a table without rows and
        with the columns of the partitions, if they are known: then names of columns in `input` are checked, too.

        Raises `ConfigError`, `InputError`, `InvalidReference`, and `MissingExtraError` for progress=True without tqdm.
        """
        given = checked(options, method, local=local)
        client = given.get("client") or _default_client()
        reference = str(reference_of(model, client.session))
        into = given.get("into")
        check_kind(input)
        if input and into is None and isinstance(empty, OneColumn):
            fill(empty, input)  # the schema tells later which input the series fills
        elif empty is not None and (into is not None or (input is not None and isinstance(empty, Columns))):
            bind(empty, input, None, model=reference, into=into, check_input=False)
        shower(given.get("progress"))  # raises what a thread of the driver could tell nobody
        return cls(
            model=reference,
            input=input,
            settings=None if local else ClientSettings(client, send_token=bool(given.get("send_token"))),
            options={name: value for name, value in given.items() if name not in _OURS},
            label=job_label(given.get("label")),
            details=bool(details),
            into=into,
            files=given.get("files") or "auto",
            collects=given.get("errors") == "collect",
            progress=given.get("progress"),
            own_client=client,
            memory=Memory.of(given["journal"], begin=options.get("journal") is None) if local else None,
        )

    def check_sendable(self, dumps: Callable[[Any], bytes]) -> None:
        """Raise `InputError` for an `input` that cannot be sent to workers; `dumps` is how the engine pickles."""
        try:
            dumps(self.input)
        except Exception as error:
            raise InputError(
                f"input= cannot be sent to workers ({described(error)}). Its functions may use what can be pickled: "
                "open files, locks and connections within the function. Nothing was created."
            ) from None

    @property
    def columns(self) -> dict[str, str]:
        """The columns of the result with their types: "string", "float64", "bool". Each may have nulls but "bool".

        They are the same for each partition, also for one without rows. An output is a text: texts and the URLs of
        files as they are, anything else as JSON.
        """
        kinds = {name: kind or "string" for name, kind in RESULTS.items()}
        return kinds if self.details else {"output": kinds["output"]}

    @property
    def shows_progress(self) -> bool:
        """Whether `watching` shows anything where this is asked."""
        return shower(self.progress) is not None

    @property
    def journal(self) -> str:
        """The URL of the journal, with its password."""
        return str(self.options["journal"])

    def __call__(self, table: Table, *, stopped: Callable[[], bool] | None = None) -> Lines:
        """Run one partition; give the columns of its result, a line for each of its rows.

        `stopped` is asked at first, and then twice a second, whether to stop. The run is then stopped as Ctrl-C does
        it: what it has in flight is canceled, unless `on_interrupt` is "detach", and `BatchError` is raised.

        Raises `ConfigError` for a journal that this process does not reach,
        `InputError` for rows that the model does not take, before the first of this partition is created, and
        `BatchError` once all others are done where rows failed; with errors="collect" these are null.
        """
        collector = Collector(
            len(table), {}, details=self.details, files="explode" if self.files == "explode" else "first"
        )
        if not len(table):
            return collector.lines()
        if self.home != _here() and not is_shared(self.journal):
            raise ConfigError(
                f"journal={redacted(self.journal)!r} is of one process, and this worker is another one: its rows would "
                "be paid again. Pass a journal that all workers reach, such as "
                "journal='postgresql://user@host/database', or have threads run the partitions. Nothing of this "
                "partition was created."
            )
        client = self._client()
        with nullcontext() if self.settings is None else token_advised(client):
            return self._run(table, client, collector, stopped)

    def _client(self) -> Client:
        """The client of this process."""
        client = self.own_client if self.settings is None else self.settings.client()
        assert client is not None
        return client

    def _run(
        self, table: Table, client: Client, collector: Collector, stopped: Callable[[], bool] | None
    ) -> Lines:
        """Run the rows of a partition."""
        runnable = client.models.resolve(reference_of(self.model, client.session))
        rows = bind(
            table,
            self.input,
            runnable.schema,
            model=self.model,
            into=self.into,
            check_input=self.options.get("check_input", True),
        )
        if not len(rows):
            return collector.lines()
        gives_files = runnable.schema is not None and runnable.schema.gives_files

        options: dict[str, Any] = {**self.options, "ordered": False, "errors": "collect", "label": self.label}
        options |= {"progress": _asking(stopped)}
        if not self.collects:
            options["on_plan"] = _review(table, rows, "partition" if self.settings else "part")
        done = 0
        try:
            if stopped is not None and stopped():  # it may have waited behind others that were stopped
                raise _Stopped
            noting = nullcontext(_ignored) if self.memory is None else self.memory.noting(self.model, client)
            with noting as note, client.map(self.model, rows, **cast("MapOptions", options)) as batch:
                for result in batch:
                    done += 1
                    note(result)
                    output = self._text(result, gives_files=gives_files)
                    collector.add(replace(result, output=output), rows.positions[result.index])
        except _Stopped:
            detached = self.options.get("on_interrupt") == "detach"
            raise BatchError(
                f"The partition was stopped by its engine with {done} of {counted(len(rows), 'row')} done. What was in "
                f"flight {'goes on' if detached else 'was canceled'}. Run it again: what is done is free then.",
                journal=redacted(self.journal),
            ) from None
        if collector.errors and not self.collects:
            raise self._failed(collector, table)
        return collector.lines()

    def _text(self, result: Result, *, gives_files: bool) -> Any:
        """Make a text of an output, by the row alone: other partitions have others."""
        output = result.output
        if is_list_of_files(result) and (result.files or gives_files):
            if self.files == "explode":
                return output
            if self.files == "first" or (self.files == "auto" and len(output) <= 1):
                output = output[0] if output else None
        if output is None or isinstance(output, str):
            return None if output is None else escaped(output)
        return escaped(json.dumps(output, ensure_ascii=False, default=str))

    def _failed(self, collector: Collector, table: Table) -> BatchError:
        """Make the error for rows that failed."""
        failed = sorted(collector.errors)
        lines = [
            f"- row {shown_label(table.label(each))}: {shortened(collector.errors[each])}"
            for each in failed[:_SHOWN]
        ]
        more = [f"- … and {len(failed) - _SHOWN} more"] * (len(failed) > _SHOWN)
        journal = "journal" if self.settings else repr(self.journal)
        advice = "The journal has all that was paid for. Pass errors='collect' for nulls in these rows"
        if not all(isinstance(each, BudgetExhausted) for each in collector.errors.values()):
            again = f"replicate_kit.batch.journals.retry({journal})"
            advice += f", or let the next run pay for them again with {again}"
        part = "partition" if self.settings else "part"
        head = f"{len(failed)} of {counted(len(table), 'row')} of a {part} failed:"
        return BatchError("\n".join([head, *lines, *more, f"{advice}."]), journal=redacted(self.journal))

    def cancel(self, *, grace: float = 0.0) -> int:
        """Cancel what the journal has in flight of this job, from the driver; give the number.

        For engines that kill their workers: a run that lives cancels what it has itself when it is stopped, and has up
        to `grace` seconds for that. A create that was on its way when a worker was killed has no id yet; the next run
        finds it. Raises `JournalError`, and what the API answered if one could not be canceled, after all others were.
        """
        client = self.own_client or self._client()
        until = time.monotonic() + grace
        while (ids := self._in_flight()) and time.monotonic() < until:
            time.sleep(_POLL)
        failures: list[ReplicateError] = []

        def work(mine: Sequence[str]) -> None:
            for each in mine:
                try:
                    client.predictions.cancel(each)
                except ReplicateError as error:
                    failures.append(error)

        # No pool: a program that ends starts none any more, and may have to cancel.
        shares = [ids[n::_AT_ONCE] for n in range(min(_AT_ONCE, len(ids)))]
        threads = [Thread(target=work, args=(each,)) for each in shares]
        for thread, mine in zip(threads, shares, strict=True):
            try:
                thread.start()
            except RuntimeError:  # Python 3.12.0 and 3.12.1 start no threads at all while a program ends.
                work(mine)
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        if failures:
            raise failures[0]
        return len(ids)

    def _in_flight(self) -> list[str]:
        """Name the predictions of this job that have not ended, as the journal has it."""
        rows = journals.entries(self.journal, "created")
        return [each["prediction_id"] for each in rows if each["label"] == self.label]

    @contextmanager
    def watching(self, total: int | None = None) -> Iterator[Watch]:
        """Show the progress of the job while the block runs, on the driver, as `progress` says.

        It is read from the journal every few seconds. `total` is the number of rows, if it is known. Rows that earlier
        jobs have paid for are not counted.
        """
        with Watch(self.journal, self.label, shower(self.progress), total) as watch:
            yield watch

    def __getstate__(self) -> dict[str, Any]:
        if self.settings is None:
            raise InputError(
                f"The job {self.label} runs {self.model} in this process, and cannot be sent to another one. Make it "
                "where it runs. Nothing was created."
            )
        # A worker makes its own client; the driver's may hold a token.
        return {**vars(self), "own_client": None}

    def __repr__(self) -> str:
        return f"<Job {self.label}: {self.model} over partitions, with the journal {redacted(self.journal)}>"


def _ignored(_: Result) -> None:
    """Note nothing: journals that were given are for all who have them."""


def _here() -> tuple[str, int]:
    """What tells this process from others, also from those of other machines."""
    return _PROCESS, os.getpid()


def _default_client() -> Client:
    """The package's default client, whose environment is read when it is first used."""
    from replicate_kit import _default

    return _default.default_client


def _review(table: Table, rows: Rows, part: str) -> Callable[[Plan], None]:
    """Refuse rows that the model does not take. It knows no job: a run may be there for longer than that."""

    def review(plan: Plan) -> None:
        if plan.invalid:
            labels = [table.label(rows.positions[each.row]) for each in plan.problems[:_SHOWN]]
            raise InputError(invalid_rows(plan, labels, part=part))

    return review


def _asking(stopped: Callable[[], bool] | None) -> Callable[[Any], None] | Literal[False]:
    """Ask now and then whether to stop: what shows progress is called while a run waits, and may stop it."""
    if stopped is None:
        return False
    asked = 0.0

    def ask(_: Any) -> None:
        nonlocal asked
        if time.monotonic() - asked >= _POLL:
            asked = time.monotonic()
            if stopped():
                raise _Stopped

    return ask
