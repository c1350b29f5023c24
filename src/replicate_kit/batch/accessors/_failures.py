"""Rows that failed, and rows that the model does not take: what accessors say of them, and what they carry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from replicate_kit._formats.wording import shown_label
from replicate_kit.errors import ReplicateError

if TYPE_CHECKING:
    from replicate_kit.batch._plan.plan import Plan

__all__ = ["RowsFailed", "carry", "errors_of", "invalid_rows", "shortened"]

_SHOWN = 5
_LONGEST = 500  # characters of an error: our own end with what to do, models may say any number
_URI = "format 'uri'"
_OTHER_FOR_TEXT = re.compile(r"Expected: string, given: (integer|number|boolean)")
_DICT_FOR_TEXT = re.compile(r"Expected: string, given: object")
_TEXT_FOR_NUMBER = re.compile(r"Expected: [^,\n]*\b(integer|number)\b[^,\n]*, given: string")


class RowsFailed(ReplicateError):
    """Some rows failed, after all the others were done.

    `partial` is what would have been returned, with nulls where rows failed; `errors` has the exceptions by what their
    rows are called, and an `items()` for both. Errors of models carry their prediction. `statuses` has the status of
    each row of the data, such as "succeeded" and "failed".

    `retry=` of the accessors takes this error: then its failed rows run again, and the others stay as they are.
    """

    statuses: Any

    def __init__(self, partial: Any, errors: Any, total: int) -> None:
        super().__init__(_message(errors, total))
        self.partial, self.errors = partial, errors


def carry(error: BaseException, partial: Any, statuses: Any, errors: Mapping[int, ReplicateError]) -> None:
    """Have an error carry the result as it is, the status of each row, and the errors by position.

    Labels may repeat, so that `RowsFailed.errors` alone does not tell which rows failed.
    """
    vars(error).update(partial=partial, statuses=statuses, _errors_of_rows=dict(errors))


def errors_of(error: BaseException) -> Mapping[int, ReplicateError] | None:
    """The errors of rows that an error carries, by position; None where no accessor has raised it."""
    found: Mapping[int, ReplicateError] | None = vars(error).get("_errors_of_rows")
    return found


def _message(errors: Any, total: int) -> str:
    """List the first of the failed rows, and say what to do."""
    listed = [_line(label, error) for label, error in islice(errors.items(), _SHOWN)]
    more: Sequence[str] = [f"- … and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
    return "\n".join(
        (
            f"{len(errors)} of {total} rows failed:",
            *listed,
            *more,
            "Nothing that was done is lost: this error's .partial is the result with nulls in these rows, and "
            ".errors has the reasons. Pass retry=error to run them again, as far as nothing is paid twice by that, or "
            "errors='collect' to get that result instead of this error.",
        )
    )


def invalid_rows(
    plan: Plan,
    labels: Sequence[object],
    to_number: str = "a cast of that column",
    to_columns: str = "a selection of their fields",
    *,
    part: str = "",
) -> str:
    """Say which rows the model does not take. `labels` are those of the problems that the plan shows.

    `to_number` and `to_columns` are the code of the library, see `Adapter`; `part` is what a part of a table is called.
    """
    hints = _hints("\n".join(each.message for each in plan.problems[:_SHOWN]), to_number, to_columns)
    advice = f"{hints}Correct them, or pass errors='collect' to run the others."
    return plan.refusal([shown_label(label) for label in labels[:_SHOWN]], advice, part=part)


def _hints(problems: str, to_number: str, to_columns: str) -> str:
    """Say what such problems mostly come from in a table."""
    hints = {
        "Paths of local files are sent with col('…', path=True). ": _URI in problems,
        f"Numbers in a column of text become numbers with {to_number}. ": _TEXT_FOR_NUMBER.search(problems),
        "Numbers become text in a template, such as template('{…}'). ": _OTHER_FOR_TEXT.search(problems),
        f"Dicts become columns with {to_columns}. ": _DICT_FOR_TEXT.search(problems),
    }
    return "".join(hint for hint, fits in hints.items() if fits)


def _line(label: object, error: BaseException) -> str:
    """One failed row on one line."""
    return f"- row {shown_label(label)}: {type(error).__name__}: {shortened(error)}"


def shortened(error: BaseException) -> str:
    """Write what an error says on one line, and not without end."""
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
