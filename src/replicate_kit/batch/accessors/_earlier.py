"""An earlier result as `retry=`: which of its rows run again, and what the others keep.

What was paid for is never paid again here: rows that are unknown stay, and so do those that succeeded, with an error
or not. A row whose output could not be stored or decoded runs only where the journal has that output, so that it is
free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from replicate_kit._formats.wording import shown_label, shown_names
from replicate_kit.batch.accessors._adapter import Adapter
from replicate_kit.batch.accessors._failures import errors_of
from replicate_kit.batch.journals import entries
from replicate_kit.errors import ConfigError, InputError, JournalError, ReplicateError, UnknownPrediction
from replicate_kit.tables._collecting import RESULTS

__all__ = ["AGAIN", "SAME_ROWS", "Earlier", "earlier_of", "other_count"]

AGAIN = frozenset(
    {"failed", "canceled", "aborted", "expired", "rejected", "invalid", "skipped", "unfinished", "null"}
)
"""The statuses of rows that run again."""

_UNKNOWN = "It is not known what became of this row, which may have been paid for. It was not created again."
_ERROR = (
    "Pass the error itself, retry=error, or a result that was made with details=True and errors='collect'."
)

SAME_ROWS = "Pass the result of these very rows, in the same order."
"""What to do about an earlier result of other rows."""


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


def earlier_of(retry: Any, adapter: Adapter, options: Mapping[str, Any]) -> Earlier:
    """Read an earlier result of the rows of a table: a DataFrame of its library, or the error of an accessor.

    Raises `InputError` for what is none of these rows, and `ConfigError` for options that do not go with one.
    """
    if options.get("journal") is not None and not options.get("dedupe", True):
        raise ConfigError(
            "With dedupe=False the journal tells equal rows apart by their number, which is another one when only some "
            "of the rows run. Pass retry=('failed', 'expired') instead of an earlier result: with the journal, it runs "
            "the same rows again, and the others are free. Nothing was created."
        )
    if isinstance(retry, adapter.series):
        _refuse("is a Series, which does not tell why a row has no output.", _ERROR)
    if isinstance(retry, BaseException):
        return _of_error(retry, adapter)
    return _of_frame(retry, adapter)


def _of_error(error: BaseException, adapter: Adapter) -> Earlier:
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
    if not isinstance(result, adapter.frames | adapter.series):
        _refuse(
            f"has a result that is none of {adapter.library}.",
            f"Pass an error of {adapter.library}'s accessor.",
        )
    _check_rows(result, adapter)
    if isinstance(result, adapter.frames):
        return Earlier(_of_frame(result, adapter).columns, errors)
    texts = [str(errors[position]) if position in errors else None for position in range(len(adapter))]
    return Earlier(
        {"output": adapter.values(result), "status": adapter.values(statuses), "error": texts}, errors
    )


def _of_frame(frame: Any, adapter: Adapter) -> Earlier:
    """Read a result that was made with details."""
    names = adapter.names(frame)
    wanting = [name for name in ("output", "status") if names.count(name) != 1]
    if wanting:
        counts = [f"{names.count(name) or 'no'} columns {name!r}" for name in wanting]
        _refuse(
            f"is a DataFrame with {' and '.join(counts)}, where a result has one.",
            "Pass a result that was made with details=True and errors='collect', with its columns as they were.",
        )
    _check_rows(frame, adapter)
    columns = {name: adapter.values(frame[name]) for name in RESULTS if names.count(name) == 1}
    for position, status in enumerate(columns["status"]):
        if status is None:
            _refuse(f"has no status in row {shown_label(adapter.label(position))}.", adapter.null_status)
        if not isinstance(status, str) or status not in AGAIN | {"succeeded", "unknown"}:
            _refuse(
                f"has the status {status!r:.60} in row {shown_label(adapter.label(position))}, which no result has.",
                f"The statuses are: {shown_names(sorted(AGAIN | {'succeeded', 'unknown'}))}.",
            )
    if "cached" in columns:
        columns["cached"] = [bool(each) for each in columns["cached"]]
    return Earlier(columns, {})


def _check_rows(result: Any, adapter: Adapter) -> None:
    """Refuse a result of other rows, or of the same ones in another order."""
    if (mismatch := adapter.mismatch(result)) is not None:
        _refuse(*mismatch)


def other_count(theirs: int, ours: int, *, exploded: bool) -> tuple[str, str]:
    """Say that an earlier result has another number of rows, as a `mismatch` of a adapter."""
    if exploded:
        return (
            f"has {theirs} rows, and the data {ours}. The result of files='explode' has a row for each file, and "
            "cannot be retried.",
            "For files in rows of their own, run with files='list', and explode what comes of it.",
        )
    return f"has {theirs} rows, and the data {ours}.", SAME_ROWS


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
