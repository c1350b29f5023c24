"""Results → columns of plain values, in the order of the rows, whatever the order in which they come."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, get_args

from replicate_kit._formats.wording import escaped
from replicate_kit.errors import ConfigError, ReplicateError

__all__ = [
    "RESULTS",
    "Collector",
    "Files",
    "Lines",
    "RowResult",
    "check_files",
    "flat",
    "is_list_of_files",
    "kind_of",
    "values_of",
]

log = logging.getLogger("replicate_kit")

Files: TypeAlias = Literal["auto", "list", "first", "explode"]

RESULTS: Mapping[str, str | None] = {
    "output": None,
    "status": "string",
    "error": "string",
    "prediction_id": "string",
    "seconds": "float64",
    "cached": "bool",
    "cost": "float64",
}
"""What is known of each row, column by column, with the type of those that have one: an output may be anything."""

_TEXTS = tuple(name for name, kind in RESULTS.items() if kind == "string")


class RowResult(Protocol):
    """What is read of a result: see `replicate_kit.Result`."""

    @property
    def index(self) -> int: ...
    @property
    def output(self) -> Any: ...
    @property
    def error(self) -> ReplicateError | None: ...
    @property
    def status(self) -> str: ...
    @property
    def prediction_id(self) -> str | None: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def cached(self) -> bool: ...
    @property
    def cost(self) -> float | None: ...
    @property
    def files(self) -> tuple[str, ...]: ...


_READ: Mapping[str, Callable[[RowResult], Any]] = {
    "output": lambda result: result.output,
    "status": lambda result: result.status,
    "error": lambda result: None if result.error is None else str(result.error),
    "prediction_id": lambda result: result.prediction_id,
    "seconds": lambda result: result.seconds,
    "cached": lambda result: bool(result.cached),
    "cost": lambda result: result.cost,
}


_NOT_RUN: Mapping[str, Any] = {**dict.fromkeys(RESULTS), "status": "null", "cached": False}


def values_of(result: RowResult | None, names: Iterable[str] = tuple(RESULTS)) -> dict[str, Any]:
    """Give what is known of one row, by these names of `RESULTS`. A row that has no result has the status "null"."""
    if result is None:
        return {name: _NOT_RUN[name] for name in names}
    return {name: _READ[name](result) for name in names}


def is_list_of_files(result: RowResult) -> bool:
    """Whether an output is a list of files and of nothing else; that of none is one, too."""
    return _is_list_of_texts(result.output) and result.output == list(result.files)


class Lines(NamedTuple):
    """The lines of a table of results: its columns, and which row of the inputs each line is of.

    `rows` is None where each row has one line.
    """

    columns: dict[str, list[Any]]
    rows: list[int] | None


class Collector:
    """Takes the results of a table of `count` rows in any order; gives their columns at any time.

    `statuses` are those of rows of which nothing has come yet, by their positions, such as "unfinished"; a row that is
    none of them has a null in what it is made of, and the status "null". With `details` there are the columns of
    `RESULTS`, ready for a file: outputs that are structures are JSON in it. Without them there is the column `output`
    alone, as the model gave it.

    `files` says what becomes of lists of files: "auto" makes one of each where no row has more, "list" leaves lists,
    "first" takes the first of each, and "explode" gives each a line of its own. `gives_lists` says that the model's
    schema promises such lists, also where none has come.

    `statuses` of the collector has the status of each row, `errors` the errors so far, by position.

    Raises `ConfigError` for other `files`.

    >>> from replicate_kit import Result
    >>> from replicate_kit.tables import Collector
    >>> collector = Collector(2, {0: "unfinished", 1: "unfinished"})
    >>> collector.add(Result(1, {}, ["https://example.com/a.png"], files=("https://example.com/a.png",)))
    >>> collector.lines().columns
    {'output': [None, 'https://example.com/a.png']}
    """

    def __init__(
        self,
        count: int,
        statuses: Mapping[int, str],
        *,
        details: bool = False,
        files: Files = "auto",
        gives_lists: bool = False,
    ) -> None:
        check_files(files)
        self._files, self._details, self._gives_lists = files, details, gives_lists
        names = tuple(RESULTS) if details else ("output",)
        self._columns = {name: [value] * count for name, value in values_of(None, names).items()}
        self._lists: set[int] = set()
        self._kept: set[int] = set()
        self.errors: dict[int, ReplicateError] = {}
        """The errors so far, by the positions of their rows."""
        self.statuses: list[str] = [_NOT_RUN["status"]] * count
        """The status of each row."""
        if details:
            self._columns["status"] = self.statuses
        for position, status in statuses.items():
            self.statuses[position] = status

    def add(self, result: RowResult, position: int | None = None) -> None:
        """Put one result, where its row stands: its index is that of the row, unless its position is given."""
        position = result.index if position is None else position
        self._put(position, values_of(result, self._columns), result.error)
        self.statuses[position] = result.status
        if is_list_of_files(result):
            self._lists.add(position)

    def keep(self, position: int, values: Mapping[str, Any], error: ReplicateError | None = None) -> None:
        """Put what an earlier result has of a row: its `output`, its `status`, and what else of `RESULTS` is known.

        A text that is kept stays as it is, since it may be the JSON of a structure already: with details, what does
        not fit into one column with it is made JSON, and it is not. Where the model gives lists of files,
        so are the texts and lists of texts that are kept: they are of the same model.

        >>> from replicate_kit import Result
        >>> from replicate_kit.tables import Collector
        >>> collector = Collector(2, {}, details=True)
        >>> collector.keep(0, {"output": '{"mood": "calm"}', "status": "succeeded"})
        >>> collector.add(Result(1, {}, {"mood": "wild"}, status="succeeded"))
        >>> collector.lines().columns["output"]
        ['{"mood": "calm"}', '{"mood": "wild"}']
        """
        self._put(position, {name: values.get(name, _NOT_RUN[name]) for name in self._columns}, error)
        self.statuses[position] = values["status"]
        self._kept.add(position)

    def _put(self, position: int, values: Mapping[str, Any], error: ReplicateError | None) -> None:
        """Write a row, whatever stood there."""
        for name, value in values.items():
            self._columns[name][position] = value
        self._lists.discard(position)
        self._kept.discard(position)
        self.errors.pop(position, None)
        if error is not None:
            self.errors[position] = error

    def lines(self) -> Lines:
        """Give the columns of what has come."""
        columns, rows = self._arranged()
        if self._details:
            origins = range(len(columns["output"])) if rows is None else rows
            kept = {line for line, row in enumerate(origins) if row in self._kept} if self._kept else ()
            columns = {**columns, "output": flat(columns["output"], kept)}
            columns |= {name: _without_halves(columns[name], name) for name in ("output", *_TEXTS)}
        return Lines(columns, rows)

    def _arranged(self) -> Lines:
        """Arrange lists of files as was asked."""
        outputs = self._columns["output"]
        many = {row: outputs[row] for row in self._lists}
        if not (any(many.values()) or self._gives_lists):  # of nothing: nobody knows whether of files
            many = {}
        else:
            many |= {row: found for row in self._kept if (found := _texts_in(outputs[row])) is not None}
        if self._files == "explode":
            return self._exploded(many)
        is_one = self._files == "first" or (
            self._files == "auto" and all(len(each) <= 1 for each in many.values())
        )
        outputs = outputs.copy()
        for row, urls in many.items():
            outputs[row] = (urls[0] if urls else None) if is_one else urls
        return Lines({**self._columns, "output": outputs}, None)

    def _exploded(self, many: Mapping[int, list[Any]]) -> Lines:
        """Give each file a line of its own."""
        lines = [
            (row, each)
            for row, output in enumerate(self._columns["output"])
            for each in ((many[row] or [None]) if row in many else [output])
        ]
        rows = [row for row, _ in lines]
        columns = {name: [values[row] for row in rows] for name, values in self._columns.items()}
        return Lines({**columns, "output": [each for _, each in lines]}, rows)


def check_files(files: object) -> None:
    """Refuse another choice of what becomes of lists of files; raises `ConfigError`."""
    choices = get_args(Files)
    if not isinstance(files, str) or files not in choices:
        raise ConfigError(f"files={files!r:.60} must be one of {', '.join(map(repr, choices))}.")


def kind_of(values: Sequence[Any]) -> str:
    """What the values of a column have in common, nulls apart: "text", "whole", "truth", "number", "texts" (lists of
    them), "empty", or "mixed".
    """
    kinds = {type(each) for each in values}
    kinds.discard(type(None))
    if not kinds:
        return "empty"
    for kind, types in _KINDS.items():
        if kinds <= types:
            return kind
    is_of_texts = all(each is None or _is_list_of_texts(each) for each in values)
    return "texts" if is_of_texts else "mixed"


_KINDS: Mapping[str, set[type]] = {"text": {str}, "truth": {bool}, "whole": {int}, "number": {int, float}}


def flat(values: list[Any], kept: Collection[int] = ()) -> list[Any]:
    """Write as JSON what no flat column can hold: structures, values of several kinds, and whole numbers
    that no column of such, or of fractions, holds as they are. Texts in the lines `kept` stay as they are.
    """
    kind = kind_of(values)
    too_large = {"whole": 2**63 - 1, "number": 2**53}.get(kind)
    if kind == "mixed" or (too_large and any(type(each) is int and abs(each) > too_large for each in values)):
        return [
            each
            if each is None or (isinstance(each, str) and line in kept)
            else json.dumps(each, ensure_ascii=False, default=str)
            for line, each in enumerate(values)
        ]
    return values


def _without_halves(values: list[Any], column: str) -> list[Any]:
    """Write halves of surrogate pairs as escapes, since neither Parquet nor CSV nor Arrow can hold them; say so."""
    whole = [_escaped(each) for each in values]
    changed = [row for row, (each, value) in enumerate(zip(whole, values, strict=True)) if each is not value]
    if changed:
        # Not a warning, which may be set up to be raised: the results are paid for.
        log.warning(
            "The column %r has half of a surrogate pair in %d of its texts, the first in line %d. No file of text can "
            "hold that, so it is written as an escape, such as \\ud83d. Without details=True, outputs are as the model "
            "gave them.",
            column,
            len(changed),
            changed[0],
        )
    return whole


def _escaped(value: Any) -> Any:
    """Write halves of surrogate pairs in a value as escapes; anything else stays what it is."""
    if isinstance(value, list):
        made = [_escaped(each) for each in value]
        return value if all(one is other for one, other in zip(made, value, strict=True)) else made
    if not isinstance(value, str) or value.isascii():
        return value
    whole = escaped(value)
    return value if whole == value else whole


def _texts_in(value: Any) -> list[str] | None:
    """A list of texts, or a text as a list of one; None for anything else."""
    if isinstance(value, str):
        return [value]
    return value if _is_list_of_texts(value) else None


def _is_list_of_texts(value: Any) -> bool:
    """Whether a value is one that Parquet keeps as a list of strings."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
