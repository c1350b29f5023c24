"""What becomes of a prediction whose caller gives up: Ctrl-C, a deadline, a cancelled task."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from replicate_kit._formats.references import Reference
from replicate_kit.errors import APIError, TransportError
from replicate_kit.resources.predictions import Prediction

if TYPE_CHECKING:
    from replicate_kit._http.session import Session

__all__ = ["Attempt", "canceled_if_given_up", "give_up"]

_SOON: dict[str, Any] = {"timeout": 10.0, "retries": 1}  # whoever gives up is waiting for us
_CLOCKS_DIFFER_BY = timedelta(seconds=10)


async def give_up(prediction: Prediction, reason: BaseException) -> None:
    """Cancel the prediction that is being given up, and note what became of it."""
    try:
        await prediction.async_cancel(**_SOON)
        reason.add_note(f"The prediction {prediction.id} is now {prediction.status!r}.")
    except (APIError, TransportError) as error:
        reason.add_note(f"The prediction {prediction.id} could not be canceled and may still run: {error}")


@asynccontextmanager
async def canceled_if_given_up(prediction: Prediction) -> AsyncGenerator[None]:
    """While the block waits, Ctrl-C and the end of its task cancel the prediction; leaving it otherwise does not."""
    try:
        yield
    except (Exception, GeneratorExit):
        raise
    except BaseException as reason:
        await prediction.session.shield(give_up(prediction, reason))
        raise


class Attempt:
    """A create whose answer has not come yet: the API may hold it back for a minute while the model runs."""

    def __init__(self, reference: Reference, input: Mapping[str, Any], session: Session) -> None:
        self._reference, self._input, self._session = reference, input, session
        self._began = datetime.now(UTC) - _CLOCKS_DIFFER_BY

    async def give_up(self, reason: BaseException, *, cancel: bool) -> None:
        """Look for the prediction among the newest, and cancel it if it can only be this one; note what is known."""
        try:
            found = await self._found()
        except (APIError, TransportError):
            found = []
        # Of two, one may be another program's: to cancel that would cost somebody a prediction.
        if cancel and len(found) == 1:
            await give_up(found[0], reason)
        else:
            listed = ", ".join(each.id for each in found) or "client.predictions.list() shows it if so"
            reason.add_note(f"A prediction of {self._reference} may have been created and run on: {listed}.")

    async def _found(self) -> list[Prediction]:
        """The running predictions of the same model and input that are not older than the attempt."""
        page = await self._session.fetch("GET", "predictions", **_SOON)
        results = page.get("results") if isinstance(page, dict) else None
        listed = [Prediction(each, self._session) for each in results or ()]
        return [each for each in listed if not each.ended and self._made(each)]

    def _made(self, prediction: Prediction) -> bool:
        """Whether a prediction is what was asked for."""
        reference = self._reference
        same = (
            prediction.version == reference.version
            if reference.model is None
            else prediction.model == reference.model
        )
        recent = prediction.created_at is not None and prediction.created_at >= self._began
        return same and recent and prediction.input == self._input
