"""Run a model and take its output: what `client.run` and `client.stream` do."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit._files.input_files import is_file
from replicate_kit._formats.arguments import check_function, seconds_or_none
from replicate_kit._formats.redacting import HIDDEN_INPUT, input_secrets
from replicate_kit._formats.store_urls import mark_files
from replicate_kit._formats.wording import did_you_mean, with_safe_repr
from replicate_kit._http.hiding import secrets_hidden
from replicate_kit._moved import option_advice
from replicate_kit._runtime.blocking import is_blocking
from replicate_kit.errors import (
    APIError,
    InputError,
    PredictionTimeout,
    ReplicateError,
    TransportError,
    UncertainCreate,
    UnknownOption,
)
from replicate_kit.resources._jobs.creating import (
    WebhookEvent,
    cancel_after_header,
    check_webhook,
    events_filter,
    mapping_of,
    prefer_header,
)
from replicate_kit.resources._jobs.lifecycle import overdue
from replicate_kit.resources._running.abandoning import Attempt, give_up, guarded
from replicate_kit.resources._running.outputs import OutputIterator
from replicate_kit.resources.predictions import Prediction, Predictions

if TYPE_CHECKING:
    from replicate_kit._formats.references import Reference
    from replicate_kit._formats.sse import ServerSentEvent
    from replicate_kit._http.session import Session
    from replicate_kit.schema import ModelSchema
    from replicate_kit.storage import StoredFile
    from replicate_kit.stores._saving import Destination

__all__ = ["Run", "Runnable", "check"]

log = logging.getLogger("replicate_kit")


@with_safe_repr
class Runnable(NamedTuple):
    """What a reference leads to: how to create predictions of it, and what its inputs and outputs are.

    `reference` names a version, except for official models and deployments, which run whichever version is
    current. `schema` is None where the API shows none.
    """

    reference: Reference
    official: bool = False
    schema: ModelSchema | None = None

    @property
    def is_iterator(self) -> bool:
        """Whether its output comes chunk by chunk."""
        return self.schema is not None and self.schema.is_iterator

    @property
    def is_concatenated(self) -> bool:
        """Whether the chunks of its output are parts of one text."""
        return self.schema is not None and self.schema.is_concatenated

    @property
    def secret_inputs(self) -> frozenset[str]:
        """The inputs that its schema declares to be secret."""
        return frozenset() if self.schema is None else self.schema.secret_inputs

    def inputs_hidden(self, input: Any) -> AbstractContextManager[None]:
        """Take the secret inputs out of the errors of a block: a server, or a model, may quote them."""
        return secrets_hidden(lambda: input_secrets(input, self.secret_inputs), HIDDEN_INPUT)


# Not shown, as the folder, its options and the webhook may hold passwords.
@dataclass(kw_only=True, eq=False, repr=False)
class Run:
    """How to run a model; see `Client.run` for what each setting does."""

    wait: bool | int = True
    timeout: float | None = None
    cancel_on_exit: bool = True
    cancel_after: float | str | None = None
    check_input: bool = True
    save_to: Destination | None = None
    storage_options: Mapping[str, Any] | None = None
    webhook: str | None = None
    webhook_events_filter: Iterable[WebhookEvent] | None = None
    progress: Callable[[Prediction], None] | None = None

    @classmethod
    def with_options(cls, **options: Any) -> Run:
        """Make one of options that a caller gave; raises `UnknownOption` for one that does not exist."""
        if said := option_advice("run", options):
            raise UnknownOption(said)
        if unknown := sorted(options.keys() - {each.name for each in fields(cls)}):
            raise UnknownOption(
                f"There is no option {' or '.join(map(repr, unknown))}. The model's own inputs go into input: "
                f"input={{{unknown[0]!r}: …}}. The options are: {', '.join(each.name for each in fields(cls))}."
            )
        return cls(**options)

    def __post_init__(self) -> None:
        """Read the settings now: what is refused later may be refused after files were uploaded, or more."""
        check_function(
            "progress", self.progress, "one that is called with the Prediction; bars are drawn by map"
        )
        prefer_header(self.wait)
        cancel_after_header(self.cancel_after)
        self.timeout = seconds_or_none("timeout", self.timeout, endless=True)
        # A list, since a function that `use` made sends it with every call, and a generator gives its items once.
        self.webhook_events_filter = events_filter(self.webhook_events_filter)

    async def __call__(self, runnable: Runnable, input: Mapping[str, Any] | None, session: Session) -> Any:
        """Run it to its end and give its output."""
        with runnable.inputs_hidden(input):
            return await self._output_of(runnable, input, session)

    async def _output_of(self, runnable: Runnable, input: Mapping[str, Any] | None, session: Session) -> Any:
        """Create it and wait for its output; where that comes chunk by chunk, give it as it comes."""
        encoded = await self._encoded(runnable, input, session)
        piecewise = (
            runnable.is_iterator and self.save_to is None and self.timeout is None and self.progress is None
        )
        began = session.now()
        # Chunks are given as they come, so the answer is not to wait until all are there.
        prediction = await self._create(runnable, encoded, session, wait=False if piecewise else self._wait())
        if piecewise:
            return OutputIterator(prediction, cancel_on_exit=self.cancel_on_exit, is_blocking=is_blocking())
        await self._finish(prediction, session.now() - began)
        return await self._output(prediction, runnable)

    async def create(
        self, runnable: Runnable, input: Mapping[str, Any] | None, session: Session
    ) -> Prediction:
        """Start it and give its prediction at once."""
        with runnable.inputs_hidden(input):
            encoded = await self._encoded(runnable, input, session)
            return await self._create(runnable, encoded, session, wait=False)

    async def stream(
        self, runnable: Runnable, input: Mapping[str, Any] | None, session: Session
    ) -> AsyncGenerator[ServerSentEvent]:
        """Run it and give the events of its stream."""
        prediction = await self.create(runnable, input, session)
        events = prediction.async_stream()
        async with aclosing(guarded(events, prediction) if self.cancel_on_exit else events) as given:
            async for event in given:
                yield event

    async def _encoded(self, runnable: Runnable, input: Mapping[str, Any] | None, session: Session) -> Any:
        """Make JSON of the input; raise for what would be refused, before it costs anything."""
        check_webhook(self.webhook, session)
        input = mapping_of(input)
        if self.save_to is not None:
            known = {*input, *(runnable.schema.properties if runnable.schema else ())}
            from replicate_kit.stores._saving import check_target, plain_output  # for who stores files

            await check_target(
                self.save_to,
                session,
                self.storage_options,
                fields=known,
                rows=False,
                secret=runnable.secret_inputs,
            )
            if runnable.schema and runnable.schema.is_plain:
                log.warning("%s", plain_output(runnable.reference, self.save_to))
        files = runnable.schema.file_inputs if runnable.schema else ()
        if self.check_input and runnable.schema:
            _refuse(runnable, runnable.schema.misplaced_files(input, is_file), input)
        encoded = await session.encode(mark_files(input, files))
        if self.check_input:
            check(runnable, encoded)
        return encoded

    async def _create(
        self, runnable: Runnable, input: Mapping[str, Any], session: Session, wait: bool | int
    ) -> Prediction:
        """Create the prediction; it knows its model's schema, and so which of its outputs are files."""
        attempt = Attempt(runnable, input, session)
        try:
            prediction = await self._answered(attempt, runnable, input, session, wait)
        except (Exception, GeneratorExit):
            raise
        except BaseException as reason:  # Ctrl-C or a cancelled task, while the answer was held back
            await session.shield(attempt.give_up(reason, cancel=self.cancel_on_exit))
            raise
        prediction.schema = runnable.schema
        prediction.keep_secrets(input_secrets(input, runnable.secret_inputs))
        return prediction

    async def _answered(
        self,
        attempt: Attempt,
        runnable: Runnable,
        input: Mapping[str, Any],
        session: Session,
        wait: bool | int,
    ) -> Prediction:
        """Send the create; if it stays unknown what became of that, let the error say what the API lists."""
        try:
            return await Predictions(session).async_create(
                runnable.reference,
                input,
                wait=wait,
                cancel_after=self.cancel_after,
                webhook=self.webhook,
                webhook_events_filter=self.webhook_events_filter,
            )
        except UncertainCreate as error:
            await attempt.explain(error)
            raise

    def _wait(self) -> bool | int:
        """How long the API may hold its first answer: no longer than the caller waits in all."""
        if self.timeout is None or self.wait is False:
            return self.wait
        seconds = int(min(self.timeout, 60 if self.wait is True else self.wait))
        return seconds if seconds >= 1 else False

    async def _finish(self, prediction: Prediction, waited: float) -> None:
        """Wait for the end; whoever gives up on the way learns which prediction it was, and its fate."""
        remaining = None if self.timeout is None else max(self.timeout - waited, 0)
        try:
            await prediction.async_wait(remaining, progress=self.progress)
        except (APIError, TransportError) as error:
            _attach(prediction, error, "runs on")
            raise
        except PredictionTimeout as late:
            raise await self._overdue(prediction, late) from late.__cause__
        except BaseException as reason:  # Ctrl-C, a cancelled task
            if self.cancel_on_exit:
                await prediction.session.shield(give_up(prediction, reason))
            raise

    async def _overdue(self, prediction: Prediction, late: PredictionTimeout) -> PredictionTimeout:
        """Cancel what took too long, if it is to be; make the error that says so, with all the time it was given.

        `late` knows only of what was left of that when the wait began.
        """
        if not self.cancel_on_exit:
            advice = f"It runs on: client.predictions.get({prediction.id!r}).wait() waits for it again."
            return overdue(prediction, self.timeout, advice)
        error = overdue(
            prediction,
            self.timeout,
            "So it is being canceled. Pass a longer timeout=, or cancel_on_exit=False to let it run on.",
        )
        await prediction.session.shield(give_up(prediction, error))
        return error

    async def _output(self, prediction: Prediction, runnable: Runnable) -> Any:
        """Take the output. Whatever goes wrong here names the prediction: it is paid for."""
        prediction.raise_for_status()
        try:
            return await self._taken(prediction, runnable)
        except BaseException as error:  # Ctrl-C while files are stored, too
            _attach(prediction, error, "succeeded")
            raise

    async def _taken(self, prediction: Prediction, runnable: Runnable) -> Any:
        """Decode the output, and store its files where that was asked for."""
        output = prediction.output
        if runnable.is_concatenated and isinstance(output, list):
            output = "".join(str(chunk) for chunk in output)
        if self.save_to is None:
            return output
        return await self._saved(output, prediction, self.save_to)

    async def _saved(self, output: Any, prediction: Prediction, save_to: Destination) -> Any:
        """Store the files of an output; give it with their new URLs."""
        from replicate_kit.stores._saving import hosts_in, no_files, record_files, store_outputs

        files: list[StoredFile] = []
        stored = await store_outputs(
            output,
            folder=save_to,
            prediction_id=prediction.id,
            model=prediction.model,
            told_model=prediction.model,
            version=prediction.version,
            fields=prediction.input,
            session=prediction.session,
            options=self.storage_options,
            on_stored=files.append,
        )
        hosts = hosts_in(stored)
        was_told = prediction.schema is not None and prediction.schema.is_plain
        if not files and (hosts or not was_told):
            what = f"The output of {prediction.id} has"
            log.warning("%s", no_files(what, save_to, prediction.session, hosts))
        await record_files(files, save_to, prediction.session, self.storage_options)
        return stored


def _attach(prediction: Prediction, error: BaseException, outcome: str) -> None:
    """Give an error the prediction that it is about."""
    if isinstance(error, ReplicateError):
        error.prediction = prediction
    error.add_note(
        f"The prediction {prediction.id} was created and {outcome}: client.predictions.get({prediction.id!r})"
    )


_URI = "format 'uri'"
_PATHS = "A local file is passed as pathlib.Path(…), not as text. "


def check(runnable: Runnable, input: Mapping[str, Any]) -> None:
    """Check an input against the model's schema; raises `InputError` that lists everything at fault."""
    _refuse(runnable, runnable.schema.check(input) if runnable.schema else [], input)


def _refuse(runnable: Runnable, problems: Sequence[object], input: Mapping[str, Any]) -> None:
    """Raise for an input that has problems."""
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        known = runnable.schema.properties if runnable.schema else {}
        hints = "".join(did_you_mean(name, known) for name in input if name not in known)
        raise InputError(
            f"{runnable.reference} does not take this input, so nothing was created:\n{listed}\n"
            f"Its inputs are: {', '.join(known)}.{hints} {_PATHS if _URI in listed else ''}To send it all "
            "the same, pass check_input=False."
        )
