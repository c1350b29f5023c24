"""Run a model and take its output: what `client.run` and `client.stream` do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replicate_kit.errors import APIError, InputError, TransportError
from replicate_kit.resources.models import Models, Runnable
from replicate_kit.resources.predictions import Prediction, Predictions, WebhookEvent, reference_of
from replicate_kit.saving import store_outputs

if TYPE_CHECKING:
    from replicate_kit.session import Session
    from replicate_kit.sse import ServerSentEvent

__all__ = ["OutputIterator", "Run", "check"]


class OutputIterator:
    """The output of a model that gives it piece by piece: iterate it with `for` or `async for` while the
    model works.

    `str()` waits for the end and joins the pieces where they are parts of one text. `prediction` is the run
    behind it. Iterating again gives the same pieces again.

    >>> from replicate_kit import Client
    >>> words = Client(backend="mock").run("demo/poet", {"prompt": "sea"})
    >>> "".join(words) == str(words)
    True
    """

    def __init__(self, prediction: Prediction) -> None:
        self.prediction = prediction

    def __iter__(self) -> Iterator[Any]:
        return self.prediction.output_iterator()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self.prediction.async_output_iterator()

    def __str__(self) -> str:
        return "".join(str(piece) for piece in self)

    def __repr__(self) -> str:
        return f"<OutputIterator of {self.prediction!r}>"


@dataclass(frozen=True, kw_only=True)
class Run:
    """How to run a model; see `Client.run` for what each setting does."""

    wait: bool | int = True
    timeout: float | None = None
    cancel_on_exit: bool = True
    cancel_after: float | str | None = None
    check_input: bool = True
    save_to: str | None = None
    storage_options: Mapping[str, Any] | None = None
    webhook: str | None = None
    webhook_events_filter: Iterable[WebhookEvent] | None = None
    progress: Callable[[Prediction], None] | None = None

    async def __call__(
        self, ref: Any, input: Mapping[str, Any] | None, session: Session, models: Models
    ) -> Any:
        """Run what `ref` names to its end and give its output."""
        runnable, encoded = await self._prepared(ref, input, session, models)
        piecewise = (
            runnable.is_iterator and self.save_to is None and self.timeout is None and self.progress is None
        )
        prediction = await self._create(runnable, encoded, session, wait=False if piecewise else self.wait)
        if piecewise:
            return OutputIterator(prediction)
        await self._finish(prediction)
        return await self._output(prediction, runnable)

    async def stream(
        self, ref: Any, input: Mapping[str, Any] | None, session: Session, models: Models
    ) -> AsyncIterator[ServerSentEvent]:
        """Run what `ref` names and give the events of its stream."""
        runnable, encoded = await self._prepared(ref, input, session, models)
        prediction = await self._create(runnable, encoded, session, wait=False)
        async with aclosing(prediction.async_stream()) as events:
            async for event in events:
                yield event

    async def _prepared(
        self, ref: Any, input: Mapping[str, Any] | None, session: Session, models: Models
    ) -> tuple[Runnable, dict[str, Any]]:
        """Find what to run and make JSON of its input; raise for what would be refused, before it costs
        anything.
        """
        runnable = await models.async_resolve(reference_of(ref, session))
        encoded = await session.encode(dict(input or {}))
        if self.check_input:
            check(runnable, encoded)
        return runnable, encoded

    async def _create(
        self, runnable: Runnable, input: Mapping[str, Any], session: Session, wait: bool | int
    ) -> Prediction:
        """Create the prediction."""
        return await Predictions(session).async_create(
            runnable.reference,
            input,
            wait=wait,
            cancel_after=self.cancel_after,
            webhook=self.webhook,
            webhook_events_filter=self.webhook_events_filter,
        )

    async def _finish(self, prediction: Prediction) -> None:
        """Wait for the end; whoever gives up on the way learns which prediction it was, and what became of
        it.
        """
        try:
            await prediction.async_wait(self.timeout, progress=self.progress)
        except (APIError, TransportError) as error:
            error.prediction = prediction
            error.add_note(
                f"The prediction {prediction.id} was created and runs on: "
                f"client.predictions.get({prediction.id!r})"
            )
            raise
        except BaseException as reason:  # a timeout, Ctrl-C, a cancelled task
            if self.cancel_on_exit:
                await prediction.session.shield(_cancel(prediction, reason))
            raise

    async def _output(self, prediction: Prediction, runnable: Runnable) -> Any:
        """Take the output, and store its files where that was asked for."""
        prediction.raise_for_status()
        output = prediction.output
        if runnable.is_concatenated and isinstance(output, list):
            output = "".join(str(piece) for piece in output)
        if self.save_to is None:
            return output
        return await store_outputs(
            output,
            folder=self.save_to,
            prediction_id=prediction.id,
            model=prediction.model,
            session=prediction.session,
            options=self.storage_options,
        )


async def _cancel(prediction: Prediction, reason: BaseException) -> None:
    """Cancel the prediction that is being given up, and note what became of it."""
    try:
        await prediction.async_cancel()
        reason.add_note(f"The prediction {prediction.id} is now {prediction.status!r}.")
    except (APIError, TransportError) as error:
        reason.add_note(f"The prediction {prediction.id} could not be canceled and may still run: {error}")


def check(runnable: Runnable, input: Mapping[str, Any]) -> None:
    """Check an input against the model's schema; raises `InputError` that lists everything at fault."""
    problems = runnable.schema.check(input) if runnable.schema else []
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        known = ", ".join(runnable.schema.properties) if runnable.schema else ""
        raise InputError(
            f"{runnable.reference} does not take this input, so nothing was created:\n{listed}\n"
            f"Its inputs are: {known}. To send it all the same, pass check_input=False."
        )
