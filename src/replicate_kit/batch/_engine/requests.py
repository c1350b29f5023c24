"""The requests of a run: those of `client.predictions` and the session, each within the rate limits."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from replicate_kit._door.sendable import CheckedHeaders
from replicate_kit._formats.redacting import HIDDEN_INPUT, input_secrets
from replicate_kit._formats.references import Reference, escape
from replicate_kit._http.answers import decoded_in_part
from replicate_kit._http.hiding import secrets_hidden
from replicate_kit._http.retry import http_date, retry_after
from replicate_kit._unresolved.clocks import SETTLING, Clocks
from replicate_kit.batch._engine.limits import Bucket, Ticket, stated_limit
from replicate_kit.batch._engine.sharing import SharedBucket
from replicate_kit.errors import APIError, InvalidResponse, NotFound, RateLimited
from replicate_kit.records import parse_time
from replicate_kit.resources._jobs.creating import cancel_after_header, create_of, prefer_header
from replicate_kit.resources.predictions import Prediction
from replicate_kit.transport import Response

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.resources.predictions import Predictions

__all__ = ["Requests"]

JSON = dict[str, Any]

_UNSTATED = 2.0  # seconds to wait after a 429 that does not say how long
log = logging.getLogger("replicate_kit")

# Seconds. After these we ask a server again that names a longer time: it can refuse again, which costs nothing.
_LONGEST_WAIT = 600.0
_LONGEST_CREATE = 20.0  # seconds; a create is held for one second at most, so that this is ample
_LOOK = 1.0  # seconds between two looks at the server's clock: no clock goes wrong within them that was right before
_OTHERS = 3000 / 60  # requests a second that are no creates (the API's documentation of rate limits)
_NOTHING_HIDDEN = nullcontext()


class Requests:
    """Creates, looks, lists and cancels, without the session's own retries.

    Each of these would wait by itself, where a refusal has to close the bucket for all rows; and a create might be sent
    after the time that its intent names. `overloaded` is called when a create is refused. Where creates are `shared`,
    their bucket is this run's part of one that others use, too.
    """

    def __init__(
        self,
        predictions: Predictions,
        creates_per_minute: float,
        overloaded: Callable[[], None],
        secret_inputs: frozenset[str] = frozenset(),
        *,
        shared: bool = False,
    ) -> None:
        self.predictions, self._session = predictions, predictions.session
        self._overloaded, self._secret_inputs = overloaded, secret_inputs
        rate, now = creates_per_minute / 60.0, asyncio.get_running_loop().time
        self.creates = (SharedBucket if shared else Bucket)(rate, max(1.0, rate), now)
        self.others = Bucket(_OTHERS, _OTHERS, now)
        self.timeout = min(self._session.config.timeout, _LONGEST_CREATE)
        self.longest = 2 * self.timeout  # each phase of a request has the timeout for itself
        self.settling = max(SETTLING, self.longest)
        self.clocks = Clocks()
        self._next_date = self._next_creation = 0.0  # when to look again, by our clock
        self._comparing, self._asked = asyncio.Lock(), False
        self._told: tuple[float, float] | None = None

    @property
    def session(self) -> Session:
        """The session that sends them."""
        return self._session

    @property
    def lists(self) -> bool:
        """Whether the backend lists predictions: where it does not, no create can be searched for."""
        return self._session.abilities.lists_predictions

    @property
    def knows_time(self) -> bool:
        """Whether the server's clock was seen, or there is no way to."""
        return self._asked or self.clocks.compared or not self.lists

    async def compare_clocks(self) -> None:
        """Ask the server for its time by a list request, unless an answer has told it; it is asked only once."""
        async with self._comparing:
            if not self.knows_time:
                with suppress(APIError):  # an answer too
                    await self.page()
                self._asked = True

    async def create(
        self,
        target: Reference,
        input: JSON,
        ticket: Ticket,
        *,
        hold: bool,
        deadline: int,
        last_check: Callable[[], None],
    ) -> Prediction:
        """Create a prediction, and tell the plugins. Raises `UncertainCreate` where its outcome is unknown.

        `last_check` is called when nothing is left but to send it; what it raises says that it was not sent.
        """
        began = self.clocks.now()
        path, body = create_of(target, {"input": input})
        headers = _headers(hold, deadline)
        options = {"json": body, "headers": headers, "check": Prediction.checked, "last_check": last_check}
        with self._hidden(input) if self._secret_inputs else _NOTHING_HIDDEN:
            found = await self._send(began, self.creates, ticket, "POST", path, **options)
        if began >= self._next_creation and (moment := parse_time(found.get("created_at"))) is not None:
            self._next_creation = began + _LOOK
            self.clocks.created(moment.timestamp(), began)
        prediction = self.predictions.load(found)
        if prediction.ended:
            prediction.note_times()
        return prediction

    def _hidden(self, input: JSON) -> AbstractContextManager[None]:
        """Take out of errors what only the schema declares to be secret: the session knows the rest by its names."""
        return secrets_hidden(lambda: input_secrets(input, self._secret_inputs), HIDDEN_INPUT)

    async def get(self, id: str) -> JSON:
        """Look at one prediction."""
        return await self._other("GET", f"predictions/{escape(id)}", check=Prediction.checked)

    async def cancel(self, id: str) -> JSON:
        """Cancel one prediction; give it as it then is."""
        path = f"predictions/{escape(id)}/cancel"
        return await self._other("POST", path, repeatable=True, check=Prediction.checked)

    async def page(self, link: str | None = None, **filters: str) -> tuple[list[JSON], str | None]:
        """List one page of predictions, newest first; give it and the link to the next."""
        try:
            params = None if link else filters
            body = await self._other("GET", link or "predictions", params=params, check=_page)
        except NotFound as error:  # as gateways say it for a while; ids are not looked for here
            raise InvalidResponse(f"The list of predictions is not there: {error}") from error
        return [each for each in body["results"] if isinstance(each, dict)], body.get("next")

    async def _other(self, method: str, path: str, **options: Any) -> JSON:
        """Send what is no create, as soon as the rate limit allows it."""
        while wait := self.others.ready_in():  # noqa: ASYNC110 - the wait is known
            await asyncio.sleep(wait)
        ticket = self.others.take()
        found: JSON = await self._send(self.clocks.now(), self.others, ticket, method, path, **options)
        return found

    async def _send(
        self,
        began: float,
        bucket: Bucket | SharedBucket,
        ticket: Ticket,
        method: str,
        path: str,
        **options: Any,
    ) -> Any:
        """Send one request, once, and tell the limits and the clocks what came of it. `began` is now, by our clock."""

        def answered(response: Response) -> None:
            self._read_date(response.headers, began)
            bucket.told(response.headers, ticket)

        try:
            return await self._session.fetch(
                method,
                path,
                retries=0,
                timeout=self.timeout,
                answered=answered,
                read=decoded_in_part,
                **options,
            )
        except APIError as error:
            self._read_date(error.headers, began)
            if isinstance(error, RateLimited):
                self._refused(bucket, error)
            raise

    def _refused(self, bucket: Bucket | SharedBucket, error: RateLimited) -> None:
        """A 429 closes the bucket for everybody, for as long as it says."""
        said = error.body if isinstance(error.body, str) else _text(error.body)
        asked = retry_after(Response(429, headers=error.headers, text=said))
        limit = stated_limit(said)
        bucket.refused(_UNSTATED if asked is None else min(asked, _LONGEST_WAIT), limit)
        if bucket is self.creates:
            self._overloaded()
            if limit is not None and limit != self._told:
                self._told = limit
                log.warning(
                    "The account may create only %g predictions a minute, and the run goes on at that pace; nothing is "
                    "lost. The API says: %s An account with more credit may create more. Add some at "
                    "https://replicate.com/account/billing; a run that begins afterwards is faster.",
                    60 * limit[0],
                    error.detail or said,
                )

    def _read_date(self, headers: Mapping[str, str], began: float) -> None:
        """Learn what the server's clock showed, where an answer has a date that can be read."""
        if began >= self._next_date and (moment := http_date(headers.get("date"))) is not None:
            self._next_date = began + _LOOK
            self.clocks.dated(moment.timestamp(), began)


@cache
def _headers(hold: bool, deadline: int) -> CheckedHeaders:
    """What a create says of how long it is held, and how long its prediction may take: alike for nearly all rows."""
    return CheckedHeaders(prefer_header(1 if hold else False) | cancel_after_header(deadline))


def _page(body: Any) -> JSON:
    """Give a page of a list. Raises `InvalidResponse` for what is none."""
    if not isinstance(body, dict) or not isinstance(body.get("results"), list):
        raise InvalidResponse("The list of predictions is not one. Check that base_url leads to the API.")
    return body


def _text(body: Any) -> str:
    """The body of an error as text."""
    return json.dumps(body)
