"""The namespaces `replicate` of expressions and LazyFrames, which call nothing before polars evaluates them.

polars evaluates an expression in parts, on several threads, and more than once where a query has it twice. So it is a
job over parts, with a journal: each distinct row is paid for once by it, whoever asks, and however often.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, Unpack

import polars as pl
from polars import selectors

from replicate_kit.errors import ConfigError, InputError, ReplicateError
from replicate_kit.messages import shown_names
from replicate_kit.partitions import Follower, Job, LocalOptions
from replicate_kit.tables import Columns, Lines, OneColumn, columns_of
from replicate_kit_polars.collecting import DTYPES
from replicate_kit_polars.errors import remade

__all__ = ["ExprAccessor", "LazyFrameAccessor"]

Input: TypeAlias = Mapping[str, Any] | None
Table: TypeAlias = Columns | OneColumn


class ExprAccessor:
    """Runs a model over an expression: `pl.col("prompt").replicate.run("owner/model")`.

    `pl.struct("title", "artist").replicate` runs it over several columns.
    """

    def __init__(self, expression: pl.Expr) -> None:
        self._expression = expression

    def run(
        self, model: Any, input: Input = None, *, details: bool = False, **options: Unpack[LocalOptions]
    ) -> pl.Expr:
        """Give the expression `output`: what `model` gives for each row, when polars evaluates it.

        Nothing is called and nothing read before, by `explain()` and `collect_schema()` neither. `input` and `into` say
        what fills the model's inputs, as for a Series; a struct is a table of its fields, unless `into` is given. An
        output is a text: texts and URLs of files as they are, anything else as JSON (`.str.json_decode(dtype)`), for
        polars wants to know the dtype before. `details=True` gives a struct of output, status, error, prediction_id,
        seconds, cached and cost.

        Each distinct row is paid for once by this expression, however often one query or several have it, on whatever
        threads. It remembers that as long as it is there itself; rows that failed are not tried again. Two expressions
        that were built apart know nothing of each other, and the one that pays second for a row warns of it
        (`UserWarning`): pass the same `journal` to both, which also has what was paid for when the program has ended.

        The options are `replicate_kit.partitions.LocalOptions`. A `budget` has to be `per="journal"`; `concurrency` is
        of each part that polars evaluates at the same time.

        Raises `ConfigError` and `InputError` at once for what can be seen to be wrong. While it is evaluated,
        `InputError` is raised for rows that the model does not take, before the first of their part is created, and
        `BatchError` for rows that failed, after the other rows of their part; `errors="collect"` leaves nulls.

        >>> import polars as pl
        >>> from replicate_kit import Client
        >>> poem = pl.col("prompt").replicate.run("demo/poet", client=Client(backend="mock"))
        >>> poems = pl.LazyFrame({"prompt": ["sea", None, "sea"]}).with_columns(poem.alias("poem")).collect()
        >>> poems["poem"].is_null().to_list()
        [False, True, False]
        """
        return _evaluated(self._expression, _job(model, input, options, details))

    def __repr__(self) -> str:
        return "<replicate over an expression: .run(model) gives the expression of the outputs>"


class LazyFrameAccessor:
    """Runs a model over a LazyFrame: `lf.replicate.run("owner/model", input={"prompt": col("title")})`."""

    def __init__(self, frame: pl.LazyFrame) -> None:
        self._frame = frame

    def run(
        self, model: Any, input: Input = None, *, details: bool = False, **options: Unpack[LocalOptions]
    ) -> pl.LazyFrame:
        """Give the LazyFrame with the column `output` beside its own, lazily; with `details` the other columns, too.

        It is `with_columns` of what `pl.struct(…).replicate.run(…)` gives, which says what holds for both: so `head(3)`
        of it pays for three rows, and collecting it again for none. The struct has the columns that `input` names, so
        that polars reads no others for the output; it has all where `input` is left out, or has a function of the row.
        Raises `InputError`, besides, where the LazyFrame has no columns, or one of such a name already.

        >>> import polars as pl
        >>> from replicate_kit import Client, col
        >>> books = pl.LazyFrame({"title": ["Sea", None, "Hills"]})
        >>> poems = books.replicate.run("demo/poet", {"prompt": col("title")}, client=Client(backend="mock"))
        >>> poems.collect_schema().names(), poems.head(2).collect()["output"].is_null().to_list()
        (['title', 'output'], [False, True])
        """
        names = self._frame.collect_schema().names()
        if not names:  # no expression of polars is over no columns
            raise InputError("The LazyFrame has no columns. Nothing was created.")
        empty = columns_of(pl.DataFrame(schema=names))
        assert isinstance(empty, Columns)
        job = _job(model, input, options, details, empty=empty)
        if taken := [name for name in names if name in job.columns]:
            raise InputError(
                f"The LazyFrame has columns that the result has, too: {shown_names(taken)}. Rename them first, such as "
                f"lf.rename({{{taken[0]!r}: 'earlier_{taken[0]}'}}). Nothing was created."
            )
        # Names are no patterns here, as those of pl.col are. Without `input` the model's schema tells which fill it.
        result = _evaluated(pl.struct(selectors.by_name(empty.read) if empty.read else pl.all()), job)
        made = self._frame.with_columns(result)
        return made.unnest("output") if details else made

    def __repr__(self) -> str:
        return "<replicate over a LazyFrame: .run(model) adds the outputs, lazily; plan and iter are of lf.collect()>"


def _job(
    model: Any, input: Input, options: Mapping[str, Any], details: bool, empty: Table | None = None
) -> Job:
    """Check what was asked for."""
    if options.get("files") == "explode":
        raise ConfigError(
            "files='explode' makes rows, which an expression cannot. Pass files='list', and explode what comes of it: "
            ".str.json_decode(pl.List(pl.String)), then explode(…). Nothing was created."
        )
    return Job.of(model, input, options, "run", details=details, empty=empty, local=True)


def _evaluated(expression: pl.Expr, job: Job) -> pl.Expr:
    """Have polars run a job over an expression, row by row as it sees it, and know the dtype before."""
    parts = _Parts(job, Follower(job, lambda: True) if job.shows_progress else None)
    made = expression.map_batches(parts, return_dtype=parts.dtype, is_elementwise=True)
    return made.alias("output")


@dataclass(frozen=True)
class _Parts:
    """Runs a job over the parts that polars gives it, on its threads."""

    job: Job
    follower: Follower | None

    @property
    def dtype(self) -> Any:
        """The dtype of a result."""
        dtypes = {name: DTYPES[kind] for name, kind in self.job.columns.items()}
        return pl.Struct(dtypes) if self.job.details else dtypes["output"]

    def __call__(self, part: pl.Series) -> pl.Series:
        """Run a part; give a Series of the same length."""
        table = self._table(part)
        key = str(threading.get_ident())
        try:
            self._tell(key, runs=True)
            # Python's own Ctrl-C comes on the main thread.
            on_main = threading.current_thread() is threading.main_thread()
            lines = self.job(table, stopped=None if on_main else _interrupted)
        except ReplicateError as error:
            raise remade(error) from None
        finally:
            self._tell(key, runs=False)
        return self._arranged(lines)

    def _table(self, part: pl.Series) -> Table:
        """See a part as a table: a struct as that of its fields. Rows are called by what they hold."""
        if isinstance(part.dtype, pl.Struct) and self.job.into is None:
            found = columns_of(part.struct.unnest())
        else:
            found = columns_of(part)
        assert found is not None
        # part[position] would be a Series where the row is a list.
        found.label = lambda position: _RowName(part.name, part[position : position + 1].to_list()[0])
        return found

    def _arranged(self, lines: Lines) -> pl.Series:
        """Make a Series of the lines."""
        made = [
            pl.Series(name, lines.columns[name], dtype=DTYPES[kind])
            for name, kind in self.job.columns.items()
        ]
        return pl.DataFrame(made).to_struct("output") if self.job.details else made[0]

    def _tell(self, key: str, *, runs: bool) -> None:
        """Tell what shows the progress."""
        if self.follower is not None:
            self.follower.note(key, runs)


def _interrupted() -> bool:
    """Whether Ctrl-C was pressed while polars evaluates, which only polars tells on its threads: it refuses queries."""
    try:
        pl.select(pl.lit(1))
    except KeyboardInterrupt:
        return True
    return False


class _RowName(NamedTuple):
    """What a row holds, as messages call it: nobody knows its number in the whole table."""

    name: str
    value: Any

    def __repr__(self) -> str:
        cells = self.value if isinstance(self.value, dict) else {self.name: self.value}
        return f"with {', '.join(f'{name}={value!r:.40}' for name, value in cells.items())}"
