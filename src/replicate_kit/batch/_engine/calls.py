"""The requests that a run makes, each within the limits, and what their answers teach."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from replicate_kit._formats.nesting import loads
from replicate_kit._formats.redacting import HIDDEN_INPUT, input_secrets
from replicate_kit._formats.references import Reference, escape
from replicate_kit._http.hiding import secrets_hidden
from replicate_kit._http.retry import http_date, retry_after
from replicate_kit._unresolved.clocks import SETTLING, Clocks, Span
from replicate_kit.batch._engine.flow import first_of
from replicate_kit.batch._engine.limits import Bucket, Ticket, Window, stated_limit
from replicate_kit.errors import (
    APIError,
    InvalidResponse,
    NotFound,
    RateLimited,
    ServerError,
    TransportError,
    UncertainCreate,
)
from replicate_kit.records import parse_time
from replicate_kit.resources._jobs.creating import cancel_after_header, prefer_header
from replicate_kit.transport import Response

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.batch._engine.endings import Trouble
    from replicate_kit.batch._ledger.journal import Work

__all__ = ["Calls", "patiently"]

JSON = dict[str, Any]

_UNSTATED = 2.0  # seconds to wait after a 429 that does not say how long
# Seconds. After these we ask a server again that names a longer time: it can refuse again, which costs nothing.
_LONGEST_WAIT = 600.0
_LONGEST_CREATE = 20.0  # seconds; a create is held for one second at most, so that this is ample


class Calls:
    """Creates, looks, lists and cancels. Waits for its turn before each request."""

    def __init__(
        self,
        session: Session,
        window: Window,
        creates_per_minute: float,
        stopping: asyncio.Event,
        secret_inputs: frozenset[str] = frozenset(),
    ) -> None:
        self._secret_inputs = secret_inputs
        self._session, self._window, self._stopping = session, window, stopping
        rate = creates_per_minute / 60.0
        # 600 creates and 3000 other requests a minute (the API's documentation of rate limits).
        self.creates = Bucket(rate, max(1.0, rate), time.monotonic)
        self.others = Bucket(50.0, 50.0, time.monotonic)
        self.timeout = min(session.config.timeout, _LONGEST_CREATE)
        self.settling = max(SETTLING, 2 * self.timeout)  # each phase of a request has the timeout for itself
        self.clocks = Clocks()
        self._comparing, self._asked = asyncio.Lock(), False

    @property
    def lists(self) -> bool:
        """Whether the backend lists predictions: where it does not, no create can be searched for."""
        return self._session.abilities.lists_predictions

    async def compare_clocks(self) -> None:
        """Ask the server for its time by a list request, unless an answer has told it; it is asked only once."""
        async with self._comparing:
            if self.lists and not (self._asked or self.clocks.compared):
                with suppress(APIError):  # an answer too
                    await self.page()
                self._asked = True

    def about_to_create(self, work: Work) -> None:
        """Note between which moments the server may act on a create that is sent now."""
        now = self.clocks.now()
        work.ours = Span(now, now + self.settling)
        work.theirs, work.clock = self.clocks.theirs(work.ours), "server" if self.clocks.compared else "ours"
        work.latest = math.inf

    def gave_up(self, work: Work) -> None:
        """Note that a create was not answered: it may have waited before it was sent, and is acted on yet."""
        assert work.ours is not None
        work.ours = Span(work.ours.first, max(work.ours.last, self.clocks.now() + self.timeout))

    def taken_up(self, work: Work) -> None:
        """Note that whoever sent a create is dead: the server has it by now, whatever the clocks have shown since."""
        work.latest = min(work.latest, self.clocks.now() + self.settling)
        # A run with a shorter timeout, or an earlier version, may have noted less time than a server needs.
        work.theirs = Span(work.theirs.first, max(work.theirs.last, work.theirs.first + self.settling))
        if work.ours is not None:
            work.ours = work.theirs

    def since_end(self, prediction: JSON) -> float:
        """Seconds since a prediction has ended, at the least that the server's clock tells."""
        ended, now = parse_time(prediction.get("completed_at")), self.clocks.now()
        return (
            0.0 if ended is None else max(0.0, self.clocks.theirs(Span(now, now)).first - ended.timestamp())
        )

    async def turn_to_create(self) -> Ticket | None:
        """Wait until a create may be sent; None if the run stops meanwhile."""
        while not self._stopping.is_set():
            wait = self.creates.ready_in()
            if not wait:
                return self.creates.take()
            await first_of(self._stopping, wait)
        return None

    async def create(
        self, target: Reference, input: JSON, ticket: Ticket, *, hold: bool, deadline: int
    ) -> JSON:
        """Create a prediction in its turn. Raises `UncertainCreate` where its fate is unknown."""
        headers = prefer_header(1 if hold else False) | cancel_after_header(deadline)
        version = target.version
        path = "predictions" if version else f"{target.path}/predictions"
        body: JSON = {"version": version, "input": input} if version else {"input": input}
        began = self.clocks.now()
        # The session knows secret inputs by their names. Those that only the schema declares are known here.
        with secrets_hidden(lambda: input_secrets(input, self._secret_inputs), HIDDEN_INPUT):
            response = await self._send(self.creates, ticket, "POST", path, json=body, headers=headers)
            found = _prediction(response, body, began)
        if (moment := parse_time(found.get("created_at"))) is not None:
            self.clocks.created(moment.timestamp(), began)
        return found

    async def get(self, id: str) -> JSON:
        """Look at one prediction."""
        return _prediction(await self._other("GET", f"predictions/{escape(id)}"))

    async def cancel(self, id: str) -> JSON:
        """Cancel one prediction; give it as it then is."""
        return _prediction(await self._other("POST", f"predictions/{escape(id)}/cancel", repeatable=True))

    async def page(self, link: str | None = None, **filters: str) -> tuple[list[JSON], str | None]:
        """List one page of predictions, newest first; give it and the link to the next."""
        try:
            response = await self._other("GET", link or "predictions", params=None if link else filters)
        except NotFound as error:  # as gateways say it for a while; ids are not looked for here
            raise InvalidResponse(f"The list of predictions is not there: {error}") from error
        body = _json(response)
        if not isinstance(body, dict) or not isinstance(body.get("results"), list):
            raise InvalidResponse("The list of predictions is not one. Check that base_url leads to the API.")
        return [each for each in body["results"] if isinstance(each, dict)], body.get("next")

    async def _other(self, method: str, path: str, **options: Any) -> Response:
        """Send what is no create, when its turn has come."""
        while wait := self.others.ready_in():  # noqa: ASYNC110 - the wait is known
            await asyncio.sleep(wait)
        return await self._send(self.others, self.others.take(), method, path, **options)

    async def _send(self, bucket: Bucket, ticket: Ticket, method: str, path: str, **options: Any) -> Response:
        """Send one request, once, and tell the limits and the clocks what came of it."""
        began = self.clocks.now()
        try:
            # Without the session's own retries. Each of these would wait by itself, where a refusal has to close the
            # bucket for all rows; and a create might be sent after the time that its intent names.
            response = await self._session.request(method, path, retries=0, timeout=self.timeout, **options)
        except APIError as error:
            self._read_date(error.headers, began)
            if isinstance(error, RateLimited):
                self._refused(bucket, error)
            raise
        self._read_date(response.headers, began)
        bucket.told(response.headers, ticket)
        return response

    def _refused(self, bucket: Bucket, error: RateLimited) -> None:
        """A 429 closes the bucket for everybody, for as long as it says."""
        said = Response(429, headers=error.headers, text=_text(error.body))
        asked = retry_after(said)
        bucket.refused(_UNSTATED if asked is None else min(asked, _LONGEST_WAIT), stated_limit(said.text))
        if bucket is self.creates:
            self._window.overloaded()

    def _read_date(self, headers: Mapping[str, str], began: float) -> None:
        """Learn what the server's clock showed, where an answer has a date that can be read."""
        if (moment := http_date(headers.get("date"))) is not None:
            self.clocks.dated(moment.timestamp(), began)


async def patiently(
    call: Callable[[str], Awaitable[JSON]], id: str, trouble: Trouble, stopping: asyncio.Event | None = None
) -> JSON:
    """Repeat a request that does no harm, until it works or the service has been down for too long.

    With `stopping`, a run that is stopped meanwhile is not kept waiting: the last error is raised.
    """
    while True:
        try:
            found = await call(id)
        except (TransportError, ServerError, RateLimited) as error:
            pause = trouble.happened(error)
            if stopping is None:
                await asyncio.sleep(pause)
                continue
            await first_of(stopping, pause)
            if stopping.is_set():
                raise
        else:
            trouble.is_over()
            return found


def _json(response: Response) -> Any:
    """Decode a body."""
    try:
        return loads(response.content)
    except (ValueError, RecursionError) as error:
        raise InvalidResponse(
            f"The answer to {response.request.method} {response.request.url.path} is not JSON.",
            request=response.request,
        ) from error


def _prediction(response: Response, body: Any = None, sent_at: float = 0.0) -> JSON:
    """Decode a prediction; a create that was answered with something else is uncertain."""
    try:
        found = _json(response)
        if isinstance(found, dict) and isinstance(found.get("id"), str) and found["id"]:
            return found
        raise InvalidResponse("The API's answer is not a prediction. Check that base_url leads to the API.")
    except InvalidResponse as error:
        if body is None:
            raise
        raise UncertainCreate(
            str(error), path=response.request.url.path, body=body, sent_at=sent_at, request=response.request
        ) from error


def _text(body: Any) -> str:
    """The body of an error as text."""
    return body if isinstance(body, str) else json.dumps(body)
