"""An earlier result as `retry=`: which of its rows run again, and what the others keep.

What was paid for is never paid again here: rows that are unknown stay, and so do those that succeeded, with an error
or not. A row whose output could not be stored or decoded runs only where the journal has that output, so that it is
free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from replicate_kit.batch.journals import entries
from replicate_kit.errors import ConfigError, InputError, JournalError, ReplicateError, UnknownPrediction
from replicate_kit.messages import shown_label, shown_names
from replicate_kit.tables import RESULTS
from replicate_kit_pandas.errors import errors_of

__all__ = ["AGAIN", "Earlier", "earlier_of", "is_earlier"]

AGAIN = frozenset(
    {"failed", "canceled", "aborted", "expired", "rejected", "invalid", "skipped", "unfinished", "null"}
)
"""The statuses of rows that run again."""

_UNKNOWN = "It is not known what became of this row, which may have been paid for. It was not created again."
_ERROR = (
    "Pass the error itself, retry=error, or a result that was made with details=True and errors='collect'."
)


@dataclass(frozen=True)
class Earlier:
    """What an earlier result has of each row of the data, column by column, and the exceptions that came with it."""

    columns: Mapping[str, Sequence[Any]]
    errors: Mapping[int, ReplicateError]

    def again(self, looked_at: int, journal: Any) -> list[int]:
        """Say which of the first `looked_at` rows run again, by their positions."""
        statuses = self.columns["status"][:looked_at]
        found = {position for position, status in enumerate(statuses) if status in AGAIN}
        spoilt = [
            position
            for position, status in enumerate(statuses)
            if status == "succeeded" and self._has_error(position)
        ]
        if spoilt and journal is not None:
            free = _outputs_in(journal)
            found.update(position for position in spoilt if self._prediction(position) in free)
        return sorted(found)

    def values(self, position: int) -> dict[str, Any]:
        """Give what is known of a row."""
        return {name: column[position] for name, column in self.columns.items()}

    def error(self, position: int) -> ReplicateError | None:
        """Give the error of a row that is not to run again; None where it has none."""
        if position in self.errors:
            return self.errors[position]
        text = self._text(position)
        if self.columns["status"][position] == "unknown":
            return UnknownPrediction(text or _UNKNOWN)
        return None if text is None else ReplicateError(text)

    def _has_error(self, position: int) -> bool:
        return position in self.errors or self._text(position) is not None

    def _text(self, position: int) -> str | None:
        """The text of a row's error."""
        column = self.columns.get("error")
        return None if column is None or column[position] is None else str(column[position])

    def _prediction(self, position: int) -> str | None:
        """The id of a row's prediction."""
        column = self.columns.get("prediction_id")
        if column is not None and column[position] is not None:
            return str(column[position])
        prediction = getattr(self.errors.get(position), "prediction", None)
        return None if prediction is None else prediction.id


def is_earlier(retry: object) -> bool:
    """Whether `retry=` is meant to be an earlier result, and not states of the journal."""
    return isinstance(retry, pd.DataFrame | pd.Series | BaseException)


def earlier_of(retry: Any, index: pd.Index[Any], options: Mapping[str, Any]) -> Earlier:
    """Read an earlier result of the rows that `index` labels.

    Raises `InputError` for what is none of these rows, and `ConfigError` for options that do not go with one.

    >>> import pandas as pd
    >>> result = pd.DataFrame({"output": ["a poem", None], "status": ["succeeded", "failed"]})
    >>> earlier_of(result, result.index, {}).again(2, None)
    [1]
    """
    if options.get("journal") is not None and not options.get("dedupe", True):
        raise ConfigError(
            "With dedupe=False the journal tells equal rows apart by their number, which is another one when only some "
            "of the rows run. Pass retry=('failed', 'expired') instead of an earlier result: with the journal, it runs "
            "the same rows again, and the others are free. Nothing was created."
        )
    if isinstance(retry, pd.Series):
        _refuse("is a Series, which does not tell why a row has no output.", _ERROR)
    if isinstance(retry, BaseException):
        return _of_error(retry, index)
    return _of_frame(retry, index)


def _of_error(error: BaseException, index: pd.Index[Any]) -> Earlier:
    """Read what an error of an accessor carries; a time limit's own error has that as its cause."""
    cause: BaseException | None = error
    while cause is not None and errors_of(cause) is None:
        cause = cause.__cause__
    if cause is None:
        _refuse(
            f"is a {type(error).__name__} without a result: it was raised before anything ran, or elsewhere.",
            "Leave out retry= to run all rows, or pass an error that has a .partial.",
        )
    result, statuses, errors = cause.partial, cause.statuses, errors_of(cause) or {}  # type: ignore[attr-defined]
    _check_index(result.index, index)
    if isinstance(result, pd.DataFrame):
        return Earlier(_of_frame(result, index).columns, errors)
    texts = [str(errors[position]) if position in errors else None for position in range(len(index))]
    return Earlier({"output": _values(result), "status": _values(statuses), "error": texts}, errors)


def _of_frame(frame: pd.DataFrame, index: pd.Index[Any]) -> Earlier:
    """Read a result that was made with details."""
    names = list(frame.columns)
    wanting = [name for name in ("output", "status") if names.count(name) != 1]
    if wanting:
        counts = [f"{names.count(name) or 'no'} columns {name!r}" for name in wanting]
        _refuse(
            f"is a DataFrame with {' and '.join(counts)}, where a result has one.",
            "Pass a result that was made with details=True and errors='collect', with its columns as they were.",
        )
    _check_index(frame.index, index)
    columns = {name: _values(frame[name]) for name in RESULTS if names.count(name) == 1}
    for position, status in enumerate(columns["status"]):
        if status is None:
            _refuse(
                f"has no status in row {shown_label(index[position])}.",
                "pandas.read_csv takes the status 'null' for a missing one. If it came so, write "
                "result['status'] = result['status'].fillna('null').",
            )
        if not isinstance(status, str) or status not in AGAIN | {"succeeded", "unknown"}:
            _refuse(
                f"has the status {status!r:.60} in row {shown_label(index[position])}, which no result has.",
                f"The statuses are: {shown_names(sorted(AGAIN | {'succeeded', 'unknown'}))}.",
            )
    if "cached" in columns:
        columns["cached"] = [bool(each) for each in columns["cached"]]
    return Earlier(columns, {})


def _check_index(theirs: pd.Index[Any], ours: pd.Index[Any]) -> None:
    """Refuse a result of other rows, or of the same ones in another order."""
    advice = "Pass the result of these very rows, in the same order."
    if len(theirs) != len(ours):
        repeats = len(theirs) > len(ours) and set(theirs.tolist()) == set(ours.tolist())
        exploded = " The result of files='explode' has a row for each file, and cannot be retried."
        _refuse(
            f"has {len(theirs)} rows, and the data {len(ours)}.{exploded if repeats else ''}",
            f"{advice} For files in rows of their own, run with files='list', and explode what comes of it."
            if repeats
            else advice,
        )
    if theirs.equals(ours):
        return
    pairs = zip(theirs.tolist(), ours.tolist(), strict=True)
    for position, (one, other) in enumerate(pairs):
        if not _are_same(one, other):
            _refuse(
                f"has the label {shown_label(one)} in its row {position}, counted from 0, where the data has "
                f"{shown_label(other)}.",
                advice,
            )


def _are_same(one: Any, other: Any) -> bool:
    """Whether two labels are equal, or null, of whatever kind."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_are_same, one, other))
    nulls = {bool(np.all(pd.isna(each))) for each in (one, other)}
    return bool(one == other) if nulls == {False} else nulls == {True}


def _values(series: pd.Series[Any]) -> list[Any]:
    """Take the values out of a column: nulls are None, and the arrays that Parquet makes of lists are lists again."""
    cells = zip(series.tolist(), series.isna().tolist(), strict=True)
    return [None if null else each.tolist() if isinstance(each, np.ndarray) else each for each, null in cells]


def _outputs_in(journal: Any) -> set[str]:
    """The predictions whose outputs a journal has; none where there is no journal yet."""
    try:
        return {
            each["prediction_id"]
            for each in entries(journal, ["finished", "saved"])
            if each["prediction_id"] is not None
        }
    except JournalError:  # what is wrong with it, the run says
        return set()


def _refuse(what: str, advice: str) -> NoReturn:
    """Raise the error for an earlier result that cannot be used."""
    raise InputError(f"retry= {what} {advice} Nothing was created.")
