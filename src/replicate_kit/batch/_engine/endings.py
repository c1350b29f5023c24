"""What it means how a prediction or a create ended."""

from __future__ import annotations

import enum
import random
import re
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from replicate_kit import errors
from replicate_kit._formats.nesting import MOST_NESTED, is_nested_deeper
from replicate_kit.batch._ledger.journal import Ending, Work
from replicate_kit.batch._ledger.stored import Lost
from replicate_kit.batch._money.amounts import billed_seconds
from replicate_kit.batch._results.results import error_json
from replicate_kit.records import parse_time
from replicate_kit.resources.predictions import Prediction

__all__ = ["ACCOUNT", "Fate", "Trouble", "ending_of", "expired", "fate_of", "is_transient", "lost", "refused"]

JSON = dict[str, Any]

# The API's own words for an interruption that another attempt may not meet (its documentation of error codes).
# Models say "please try again" as well, of inputs that they will never take.
_TRANSIENT = re.compile(r"^prediction interrupted\b|\(code: PA\)", re.IGNORECASE)
# Only of a backend that declares them to refuse; elsewhere they leave it open whether there is a prediction.
_BUSY = frozenset({408, 409, 425, 499})
_CUT = timedelta(seconds=1)  # the API writes times with six, three or no digits after the second


ACCOUNT = (errors.AuthenticationError, errors.InsufficientCredit, errors.PermissionDenied)
"""What says that the account may not create anything, and nothing against what is in flight."""


class Fate(enum.Enum):
    """What is to be done about a create that failed."""

    UNCERTAIN = enum.auto()
    """It may have worked: look for it."""
    LATER = enum.auto()
    """It certainly did not work; the same will work later."""
    REFUSED = enum.auto()
    """The row is at fault."""
    FATAL = enum.auto()
    """No row can be created."""


def fate_of(error: errors.ReplicateError) -> Fate:
    """Tell what is to be done about a failed create."""
    if isinstance(error, errors.UncertainCreate):
        return Fate.UNCERTAIN
    # Such as a certificate that is not trusted: every other row would fail in the same way.
    if isinstance(error, errors.ConnectFailed) and not error.temporary:
        return Fate.FATAL
    # A ServerError is certain here: the session makes an UncertainCreate of every other one.
    if isinstance(error, errors.RateLimited | errors.ConnectFailed | errors.ServerError):
        return Fate.LATER
    if isinstance(error, errors.ValidationError):
        # The API answers 422 also where the version does not exist, for which no row is at fault.
        return Fate.FATAL if "version" in (error.title or "").lower() else Fate.REFUSED
    if isinstance(error, errors.APIError) and error.status in _BUSY:
        return Fate.LATER
    if isinstance(error, errors.APIError) and error.status in (400, 413):
        return Fate.REFUSED
    return Fate.FATAL


def ending_of(prediction: JSON, *, ours: bool) -> Ending:
    """Tell how a prediction ended. `ours` says that we canceled it, so that it may be created again."""
    status, seconds = str(prediction.get("status")), billed_seconds(prediction)
    if status == "succeeded":
        if prediction.get("output") is None and prediction.get("data_removed"):
            error = expired(prediction.get("id"))
            return Ending(state="expired", status="expired", error=error, seconds=seconds)
        if is_nested_deeper(prediction.get("output"), MOST_NESTED):
            return Ending(
                state="failed", status=status, error=_too_deep(prediction.get("id")), seconds=seconds
            )
        return Ending(state="finished", status=status, output=prediction.get("output"), seconds=seconds)
    # A model's own error is not tried again: it would be paid for each time.
    again = is_transient(prediction) or (ours and status in ("canceled", "aborted"))
    error = _failure(prediction)
    return Ending(state="canceled" if again else "failed", status=status, error=error, seconds=seconds)


def is_transient(prediction: JSON) -> bool:
    """Whether the service itself says that it was only interrupted, or had no turn for it before its deadline."""
    if prediction.get("status") == "aborted":
        ended, deadline = parse_time(prediction.get("completed_at")), parse_time(prediction.get("deadline"))
        return ended is not None and deadline is not None and ended > deadline - _CUT
    return prediction.get("status") == "failed" and bool(_TRANSIENT.search(str(prediction.get("error"))))


def refused(error: Exception, *, by_us: bool = False) -> Ending:
    """The end of a row that was not accepted; one that we refused ourselves may be created by the next run."""
    return Ending(state="canceled" if by_us else "failed", status="rejected", error=error_json(error))


def lost(work: Work, message: str) -> Ending:
    """The end of a row of which it stays unknown whether it was created."""
    return Ending(
        state="unknown",
        status="unknown",
        error=error_json(
            errors.UnknownPrediction(
                f"{message} It was not created again, because it may have been paid for. If you know which prediction "
                f"is the row's, or that there is none, settle the row, free; its key is {work.key.hex()}: with "
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


class Trouble:
    """Keeps count of a service that fails: how long to wait, and when it has been down for too long."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: float | None = None
        self._times, self._pausing_until = 0, 0.0

    def happened(self, error: Exception) -> float:
        """Note a failure and give the seconds to wait; raises it when patience has run out, or waiting cannot help."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > self._patience or not getattr(error, "temporary", True):
            raise error
        if now >= self._pausing_until:  # what fails together, or while it is waited already, is one failure
            self._times += 1
        most = min(15.0, self._patience / 4, 0.25 * 2.0 ** min(self._times, 10))
        pause = most * random.uniform(0.5, 1.0)
        self._pausing_until = max(self._pausing_until, now + pause)
        return pause

    def is_over(self) -> None:
        """Note that the service works."""
        self._since, self._times, self._pausing_until = None, 0, 0.0
