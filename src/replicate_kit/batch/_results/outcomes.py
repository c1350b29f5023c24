"""What came of a prediction or a create, and how that is written down."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from replicate_kit import errors
from replicate_kit._formats.nesting import MOST_NESTED, is_nested_deeper
from replicate_kit.batch._ledger.entries import Key
from replicate_kit.batch._ledger.stored import Lost
from replicate_kit.batch._money.amounts import billed_seconds, counted_metrics
from replicate_kit.batch._results.results import error_json
from replicate_kit.records import parse_time
from replicate_kit.resources.predictions import Prediction

__all__ = [
    "ACCOUNT",
    "Failure",
    "Outcome",
    "dumped",
    "expired",
    "failure_of",
    "lost",
    "outcome_of",
]

JSON = dict[str, Any]

# The API's own words for an interruption that another attempt may not meet (its documentation of error codes).
# Models say "please try again" as well, of inputs that they will never take.
_TRANSIENT = re.compile(r"^prediction interrupted\b|\(code: PA\)", re.IGNORECASE)
# Only of a backend that declares them to refuse; elsewhere they leave it open whether there is a prediction.
_BUSY = frozenset({408, 409, 425, 499})
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_CUT = timedelta(seconds=1)  # the API writes times with six, three or no digits after the second


ACCOUNT = (errors.AuthenticationError, errors.InsufficientCredit, errors.PermissionDenied)
"""What says that the account may not create anything, and nothing against what is in flight."""


class Failure(enum.Enum):
    """What it means that a create failed."""

    UNRESOLVED = enum.auto()
    """It may have worked: look for it."""
    LATER = enum.auto()
    """It certainly did not work; the same will work later."""
    REFUSED = enum.auto()
    """The row is at fault."""
    OF_ALL = enum.auto()
    """No row can be created."""


def failure_of(error: errors.ReplicateError) -> Failure:
    """Tell what it means that a create failed with this error."""
    if isinstance(error, errors.UncertainCreate):
        return Failure.UNRESOLVED
    # Such as a certificate that is not trusted: every other row would fail in the same way.
    if isinstance(error, errors.ConnectFailed) and not error.temporary:
        return Failure.OF_ALL
    # A ServerError is certain here: the session makes an UncertainCreate of every other one.
    if isinstance(error, errors.RateLimited | errors.ConnectFailed | errors.ServerError):
        return Failure.LATER
    if isinstance(error, errors.ValidationError):
        # The API answers 422 also where the version does not exist, for which no row is at fault.
        return Failure.OF_ALL if "version" in (error.title or "").lower() else Failure.REFUSED
    if isinstance(error, errors.APIError) and error.status in _BUSY:
        return Failure.LATER
    if isinstance(error, errors.APIError) and error.status in (400, 413):
        return Failure.REFUSED
    return Failure.OF_ALL


class Outcome(NamedTuple):
    """How a prediction ended: the state of its row, the API's status, its output, its error, its billed seconds.

    `metrics` are what its model counted. `again` says that the service itself interrupted it, or did not begin in time:
    another try may work.
    """

    state: Literal["finished", "failed", "canceled", "unknown", "expired"]
    status: str
    output: Any = None
    error: JSON | None = None
    seconds: float | None = None
    again: bool = False
    metrics: Mapping[str, float] = {}


def outcome_of(prediction: JSON, *, ours: bool) -> Outcome:
    """Tell how a prediction ended. `ours` says that we canceled it, so that it may be created again."""
    return _outcome_of(prediction, ours=ours)._replace(metrics=counted_metrics(prediction))


def _outcome_of(prediction: JSON, *, ours: bool) -> Outcome:
    """Tell that but for its metrics."""
    status, seconds = str(prediction.get("status")), billed_seconds(prediction)
    if status == "succeeded":
        if prediction.get("output") is None and prediction.get("data_removed"):
            return Outcome("expired", "expired", error=expired(prediction.get("id")), seconds=seconds)
        if is_nested_deeper(prediction.get("output"), MOST_NESTED):
            return Outcome("failed", status, error=_too_deep(prediction.get("id")), seconds=seconds)
        return Outcome("finished", status, output=prediction.get("output"), seconds=seconds)
    # A model's own error is not tried again: it would be paid for each time.
    transient = _is_transient(prediction)
    again = transient or (ours and status in ("canceled", "aborted"))
    return Outcome("canceled" if again else "failed", status, None, _failure(prediction), seconds, transient)


def _is_transient(prediction: JSON) -> bool:
    """Whether the service itself says that it was only interrupted, or had no turn for it before its deadline."""
    if prediction.get("status") == "aborted":
        ended, deadline = parse_time(prediction.get("completed_at")), parse_time(prediction.get("deadline"))
        return ended is not None and deadline is not None and ended > deadline - _CUT
    return prediction.get("status") == "failed" and bool(_TRANSIENT.search(str(prediction.get("error"))))


def lost(key: Key, message: str) -> Outcome:
    """The outcome of a row of which it stays unknown whether it was created, or what became of it."""
    return Outcome(
        "unknown",
        "unknown",
        error=error_json(
            errors.UnknownPrediction(
                f"{message} It was not created again, because it may have been paid for. If you know which prediction "
                f"is the row's, or that there is none, settle the row, free; its key is {key.digest.hex()}: with "
                "`replicate-kit journal settle`, or in Python with replicate_kit.batch.journals.settle. Or pass "
                "retry=('unknown',) to pay for it again."
            )
        ),
    )


def _failure(prediction: JSON) -> JSON:
    """The error of a prediction that has no output to give."""
    try:
        Prediction(prediction).raise_for_status()
    except errors.PredictionError as error:
        return error_json(error)
    return {"kind": "ModelError", "message": f"The prediction ended as {prediction.get('status')!r}."}


def _too_deep(id: str | None) -> JSON:
    """The error of an output that Python could neither write down nor read again."""
    return error_json(
        errors.InvalidResponse(
            f"The prediction {id} succeeded and is paid for, and its output is nested more than {MOST_NESTED} levels "
            "deep, which Python cannot read. Fetch it with another tool while the API has it. Pass "
            "retry=('failed',) to pay for another one."
        )
    )


def expired(id: str | None, lost: Sequence[Lost] = ()) -> JSON:
    """The error of a prediction whose output is gone; `lost` are the files that were stored of it, and are gone too."""
    removed = "removed its output since (it does so an hour after the end)"
    if not lost:
        said = f"The prediction {id} succeeded, and the API has {removed}. Pass"
    else:
        others = f" (and {len(lost) - 1} more of its row are missing or changed)" if len(lost) > 1 else ""
        said = (
            f"{lost[0].problem}{others}; the prediction {id} succeeded, and the API has {removed}. Put the file "
            "back and run it again, or pass"
        )
    return error_json(errors.OutputExpired(f"{said} retry=('expired',) to pay for it again."))


def dumped(value: Any) -> str | None:
    """Pack JSON. Halves of characters, which models may give one by one, are kept as escapes."""
    if value is None:
        return None
    text = _ENCODER.encode(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text
