"""What becomes of a prediction that its caller gives up, or is not told of: Ctrl-C, a cancelled task, a lost answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from replicate_kit._formats.redacting import input_secrets
from replicate_kit._formats.wording import bounded
from replicate_kit._unresolved.clocks import Clocks
from replicate_kit.errors import APIError, TransportError
from replicate_kit.resources.predictions import Prediction

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.errors import UncertainCreate
    from replicate_kit.resources._running.running import Runnable

__all__ = ["SOON", "Attempt", "give_up", "guarded"]

T = TypeVar("T")

_ADVICE = "client.predictions.list() shows it if so"
_LONGEST = 300  # characters of an error that is quoted
_MOST_NAMED = 5

SOON: dict[str, Any] = {"timeout": 10.0, "retries": 1}
"""How long a request may take, in seconds, and how often it is sent again: whoever gives up is waiting for us."""


async def give_up(prediction: Prediction, reason: BaseException) -> None:
    """Cancel the prediction that is being given up, and note what became of it."""
    try:
        if not prediction.ended:
            await prediction.async_cancel(**SOON)
        reason.add_note(f"The prediction {prediction.id} is now {prediction.status!r}.")
    except (APIError, TransportError) as error:
        reason.add_note(f"The prediction {prediction.id} could not be canceled and may still run: {error}")


@asynccontextmanager
async def _canceled_if_given_up(prediction: Prediction) -> AsyncGenerator[None]:
    """While the block waits, Ctrl-C and the end of its task cancel the prediction; leaving it otherwise does not."""
    try:
        yield
    except (Exception, GeneratorExit):
        raise
    except BaseException as reason:
        await prediction.session.shield(give_up(prediction, reason))
        raise


async def guarded(chunks: AsyncGenerator[T], prediction: Prediction) -> AsyncGenerator[T]:
    """Give what comes; cancel the prediction if whoever waits for it is stopped."""
    async with aclosing(chunks), _canceled_if_given_up(prediction):
        async for chunk in chunks:
            yield chunk


class Attempt:
    """A create whose outcome may stay unknown: its caller gives up while the answer is held back, or it never comes."""

    def __init__(self, runnable: Runnable, input: Mapping[str, Any], session: Session) -> None:
        self._runnable, self._input, self._session = runnable, input, session
        self._clocks = Clocks()
        self._began = self._clocks.now()

    async def give_up(self, reason: BaseException, *, cancel: bool) -> None:
        """Search for the prediction, and cancel it if it can only be this one; note what is known."""
        found, hint = await self._searched()
        if found is None:
            what = f"A prediction of {self._runnable.reference} may have been created and run on"
            reason.add_note(f"{what}: {hint}.")
        elif cancel:
            await give_up(found, reason)
        else:
            reason.add_note(
                f"The prediction {found.id} was created and is now {found.status!r}: {_shown(found.id)}"
            )

    async def explain(self, error: UncertainCreate) -> None:
        """Search for the prediction, give it to the error if it can only be this one, and note what is known.

        It is not adopted: where another program created an equal one, that may be it.
        """
        found, hint = await self._searched()
        if found is None:
            error.add_note(f"A prediction of {self._runnable.reference} may have been created: {hint}.")
        else:
            error.prediction = found
            error.add_note(
                f"The API lists one prediction that this create can have made: {_shown(found.id)}. It is yours, unless "
                "an equal one was created at that time, here or by another program."
            )

    async def _searched(self) -> tuple[Prediction | None, str]:
        """Give the prediction if it can only be this one, else a hint. Whatever goes wrong is no more than a hint."""
        if not self._session.abilities.lists_predictions:
            return None, "this backend lists no predictions, so it cannot be searched for"
        try:
            # Loaded only here: hardly any run needs it.
            from replicate_kit.resources._running.searching import searched

            finding = await searched(self._runnable, self._input, self._session, self._clocks, self._began)
        except Exception as error:  # the error on its way says more than any that is met in search of it
            return None, f"{_ADVICE} (a search for it failed: {bounded(str(error), _LONGEST)})"
        if finding.prediction is None:
            return None, _listed([each["id"] for each in finding.candidates]) or _ADVICE
        return self._prediction(finding.prediction), ""

    def _prediction(self, json: dict[str, Any]) -> Prediction:
        """Make the record of what was found, as if the create had been answered with it."""
        prediction = Prediction(json, self._session)
        prediction.schema = self._runnable.schema
        prediction.keep_secrets(input_secrets(self._input, self._runnable.secret_inputs))
        return prediction


def _shown(id: str) -> str:
    """Say how to get at a prediction."""
    return f"client.predictions.get({id!r})"


def _listed(ids: Sequence[str]) -> str:
    """Name predictions, the likeliest first, and not hundreds of them."""
    more = f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else ""
    return ", ".join(ids[:_MOST_NAMED]) + more
