"""What predictions and trainings have in common: they start, run for a while, and end one way or another."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, Self

from replicate_kit import errors
from replicate_kit._formats.arguments import check_function, seconds_or_none
from replicate_kit._formats.looks import given_pause
from replicate_kit._formats.patterns import pattern
from replicate_kit._formats.redacting import HIDDEN_INPUT, input_secrets, scrubbed
from replicate_kit._formats.references import escape
from replicate_kit._formats.statuses import TERMINAL
from replicate_kit._runtime.blocking import blocking
from replicate_kit._runtime.foreign_code import said_of
from replicate_kit.records import Field, Record, parse_time
from replicate_kit.resources._jobs import timing

__all__ = ["APPEARS_WITHIN", "Job"]

log = logging.getLogger("replicate_kit")

APPEARS_WITHIN = 15.0
"""Seconds within which the API finds what it has just created, wherever it is asked for; users of its official clients
were answered 404 for new predictions (in 2024, and again in 2026)."""

_GRACE = 10.0  # seconds for a look at an output that is there, however little time is left
_PROGRESS_BAR = pattern(r"(\d{1,3})%\|")


class Job(Record):
    """Something that runs at the API. `reload`, `wait` and `cancel` change it in place.

    Statuses are `starting`, `processing`, `succeeded`, `failed`, `canceled` and `aborted` (ended before it
    started, not billed); one that the API adds later reads as it is.
    """

    _path: ClassVar[str]
    """The API path of its kind."""

    _new_until = -math.inf
    """Until when, on the session's clock, the API may not find it yet."""

    _created: float | None = None
    """When it was created, on the session's clock, where that was seen."""

    id: Field[str] = Field(default="")
    status: Field[str] = Field(default="")
    model: Field[str | None] = Field()
    version: Field[str | None] = Field()
    input: Field[dict[str, Any]] = Field(default={})
    error: Field[Any] = Field()
    logs: Field[str] = Field(default="")
    metrics: Field[dict[str, Any]] = Field(default={})
    source: Field[str | None] = Field()
    urls: Field[dict[str, str]] = Field(default={})
    data_removed: Field[bool] = Field(default=False)
    created_at: Field[datetime | None] = Field(parse_time)
    started_at: Field[datetime | None] = Field(parse_time)
    completed_at: Field[datetime | None] = Field(parse_time)
    webhook: Field[str | None] = Field()
    webhook_events_filter: Field[list[str] | None] = Field()

    _secrets: frozenset[str] = frozenset()
    """The texts of its secret inputs, where whoever created it knows them: the API shows those redacted."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in TERMINAL or self.completed_at is not None

    @property
    def progress(self) -> float | None:
        """How far it is, from 0 to 1, by the last progress bar in its logs (tqdm's form); None if there is
        none.
        """
        found = _PROGRESS_BAR.findall(self.logs[-4000:])
        return min(int(found[-1]), 100) / 100 if found else None

    def raise_for_status(self) -> None:
        """Raise `ModelError`, `PredictionCanceled` or `PredictionAborted` if it ended without success."""
        kind = type(self).__name__.lower()
        if self.status == "failed":
            raise errors.ModelError(
                self.without_secrets(str(self.error or "The model failed and gave no reason.")),
                prediction=self,
            )
        if self.status == "canceled":
            raise errors.PredictionCanceled(
                f"The {kind} {self.id} was canceled while it ran, so it has no complete output. "
                "Run it again if you need one.",
                prediction=self,
            )
        if self.status == "aborted":
            raise errors.PredictionAborted(
                f"The {kind} {self.id} was aborted before it started: its deadline passed, or it was "
                "canceled "
                "in the queue. It is not billed; run it again, with a longer cancel_after if it had one.",
                prediction=self,
            )

    def without_secrets(self, text: str) -> str:
        """Take its secret inputs out of a text that may quote them; its JSON has what the API sent.

        >>> Job({"input": {"api_key": "hunter2"}}).without_secrets("hunter2 is not valid")
        '[secret] is not valid'
        """
        return scrubbed(text, self._secrets | input_secrets(self.input), HIDDEN_INPUT)

    def keep_secrets(self, secrets: frozenset[str]) -> None:
        """Note the texts of its secret inputs, to be taken out of what is said of it."""
        self._secrets |= secrets

    async def async_reload(self) -> None:
        """Fetch its present state. Raises `NotFound` if the API no longer knows it."""
        await self._fetch()

    async def async_cancel(self, *, timeout: float | None = None, retries: int | None = None) -> None:
        """Stop it. One that has ended stays as it is. `timeout`, in seconds, and `retries` are those of the
        request.
        """
        # Cancelling twice does no more than cancelling once, so it may be sent again.
        path = f"{self._path}/{escape(self.id)}/cancel"
        self.take_in(await self._ask("POST", path, repeatable=True, timeout=timeout, retries=retries))

    async def async_wait(
        self, timeout: float | None = None, *, progress: Callable[[Self], None] | None = None
    ) -> None:
        """Wait until it has ended, whichever way; `raise_for_status` tells which.

        `timeout` is in seconds; when it has passed, `PredictionTimeout` is raised and it runs on. An API that
        does not answer is waited for no longer than that, either. `progress` is called with it whenever it was
        looked at.
        """
        timeout = seconds_or_none("timeout", timeout, endless=True)
        check_function("progress", progress, "one that is called with it whenever it was looked at")
        began = self.session.now()
        deadline, failure = None if timeout is None else began + timeout, None
        if not self.ended and self._json.get("output") is not None:
            # A create that was held is answered with all of its output while its status still says that it runs.
            failure = await self._look(progress, None if deadline is None else max(deadline, began + _GRACE))
        with self.session.durations.waiting():
            while not self.ended:
                now = self.session.now()
                if timeout is not None and now >= began + timeout:
                    raise overdue(self, timeout, "It runs on: wait() again, or cancel() it.") from failure
                pause = self._pause(now, now - began)
                await self.session.sleep(pause if deadline is None else min(pause, deadline - now))
                failure = await self._look(progress, deadline)

    async def _look(
        self, progress: Callable[[Self], None] | None, deadline: float | None
    ) -> errors.ReplicateError | None:
        """See how it goes, and tell; give the trouble that lasted until the deadline."""
        try:
            await self._fetch(deadline)
        except (errors.TransportError, errors.ServerError, errors.RateLimited, errors.NotFound) as error:
            if deadline is None or self.session.now() < deadline:
                raise
            return error
        if progress is not None:
            with said_of("progress="):
                progress(self)
        return None

    async def _fetch(self, deadline: float | None = None) -> None:
        """Fetch its present state, before a deadline on the clock of the session."""
        path = f"{self._path}/{escape(self.id)}"
        self.take_in(await self._ask("GET", path, deadline=deadline))

    async def _ask(self, method: str, path: str, *, deadline: float | None = None, **options: Any) -> Any:
        """Send a request about it, again where the API does not find it yet; an error carries it."""
        until, pause = min(self._new_until, math.inf if deadline is None else deadline), 0.25
        while True:
            try:
                return await self.session.fetch(method, path, deadline=deadline, **options)
            except errors.NotFound as error:
                error.prediction = self
                left = until - self.session.now()
                if left <= 0:
                    raise
            await self.session.sleep(min(pause, left))
            pause = min(2 * pause, 2.0)

    @property
    def is_new(self) -> bool:
        """Whether it was created by this object, and so recently that the API may not find it everywhere yet."""
        return bool(self.session.now() < self._new_until)

    def created_now(self, since: float | None = None) -> Self:
        """Note that it was created just now, or at `since` on the session's clock, where the answer was held."""
        now = self.session.now()
        self._new_until, self._created = now + APPEARS_WITHIN, now if since is None else since
        if self.ended:
            self.note_times()
        return self

    def note_times(self) -> None:
        """Remember how long it took, for those of its kind that come after it."""
        timing.note(self.session.durations, self._json)

    def _pause(self, now: float, waited: float) -> float:
        """Seconds until the next look: as somebody said, or as others of its kind suggest."""
        interval: float | None = self.session.config.poll_interval
        if interval is not None:
            return given_pause(interval, waited)
        age = None if self._created is None else now - self._created
        return timing.pause(self.session.durations, self._json, age, waited)

    reload = blocking(async_reload)
    cancel = blocking(async_cancel)
    wait = blocking(async_wait)

    @classmethod
    def checked(cls, json: Any) -> dict[str, Any]:
        """Give the JSON if it is of this kind; raise `InvalidResponse` if not."""
        # Without an id it could be neither looked at nor canceled.
        if isinstance(json, dict) and isinstance(json.get("id"), str) and json["id"]:
            return json
        raise errors.InvalidResponse(
            f"The API's answer is not a {cls.__name__.lower()}. Check that base_url leads to Replicate's API."
        )

    def take_in(self, json: Any) -> None:
        """Take in what the API now says, as an answer that somebody else has fetched, and tell the plugins."""
        previous, self._json = self._json, self.checked(json)
        if self._json != previous:
            if previous.get("status") != self.status:
                self._log_status()
                if self.ended:
                    self.note_times()
            self._changed(previous)

    def _log_status(self) -> None:
        """Tell what has become of it."""
        if log.isEnabledFor(logging.INFO):
            kind = type(self).__name__.lower()
            about = {"event": kind, kind: self.id, "model": self.model, "status": self.status}
            log.info("%s %s: %s", kind, self.id, self.status, extra=about)

    def _changed(self, previous: dict[str, Any]) -> None:
        """Be told that something new is known."""


def overdue(job: Job, seconds: float | None, advice: str) -> errors.PredictionTimeout:
    """Make the error of what has not ended in the time that the caller gave it, `seconds` in all."""
    return errors.PredictionTimeout(
        f"The {type(job).__name__.lower()} {job.id} is still {job.status!r} after {round(seconds or 0, 2):g} s. "
        f"{advice}",
        prediction=job,
    )
