"""The retry layer: what may be sent again, and when.

A request is sent again only if that cannot make anything happen twice: methods that are idempotent by HTTP's
own definition (RFC 9110 §9.2.2) and requests marked as repeatable always; any other POST only where the
server certainly did not act on it: no connection was made, 429, 503 with Retry-After, or a status that the backend
declares to refuse.
"""

from __future__ import annotations

import functools
import logging
import random
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import NamedTuple

from replicate_kit._formats.patterns import pattern
from replicate_kit._runtime.runtimes import Runtime
from replicate_kit.errors import ConnectFailed, ConnectionLost, RequestTimeout, TransportError
from replicate_kit.transport import Request, Response, Transport

__all__ = ["RetryPolicy", "Retrying", "http_date", "retry_after"]

log = logging.getLogger("replicate_kit")

# QUERY, by which the API searches models (its OpenAPI description), is not among the methods of RFC 9110. It only
# reads.
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "QUERY"})
_WORTH_TELLING = 5.0  # seconds of a wait: whoever waits longer wonders what is wrong
_OVERLOADED = frozenset({408, 429, 500, 502, 503, 504})
_BUSY = frozenset(
    {408, 409, 425, 429, 499, *range(500, 600)}
)  # where refused, the same may work a little later
_RESETS = pattern(r"(?:resets in ~?|available in )(\d+(?:\.\d+)?) ?s(?:ec)?", re.IGNORECASE)


class RetryPolicy(NamedTuple):
    """How often and how long to try. Times are in seconds.

    A wait that the server asks for is kept to exactly; one longer than `longest_wait` ends the attempts,
    because to ask earlier would be refused again.
    """

    retries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 60.0
    jitter: Callable[[], float] = random.random

    def back_off(self, attempt: int) -> float:
        """Full jitter: anything between nothing and twice as much as at most last time."""
        return self.jitter() * min(self.longest_wait, self.first_wait * 2.0**attempt)


class Retrying:
    """A transport that sends again what may be sent again."""

    def __init__(
        self,
        inner: Transport,
        runtime: Runtime,
        policy: RetryPolicy | None = None,
        *,
        refuses: Collection[int] = (),
    ) -> None:
        self._inner, self._runtime, self._policy = inner, runtime, policy or RetryPolicy()
        self._refused = _BUSY.intersection(refuses)

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        """Send a request, again where that is right and useful."""
        for attempt in range(self._retries(request)):
            try:
                response = await self._attempt(request, stream)
            except TransportError as error:
                if not _may_repeat_after(error, request):
                    raise
                if not await self._pause(self._policy.back_off(attempt), request, type(error).__name__):
                    raise
                continue
            wait = await self._wait_after(response, request, attempt)
            if wait is None or not await self._pause(wait, request, _reason(response, wait)):
                return response
            await response.aclose()
        return await self._attempt(request, stream)

    async def aclose(self) -> None:
        """Close the transport inside."""
        await self._inner.aclose()

    async def _attempt(self, request: Request, stream: bool) -> Response:
        """Send a request once, with no more time for any of its phases than there is until its deadline."""
        if request.deadline is not None:
            left = request.deadline - self._runtime.now()
            request.timeout = request.timeout.at_most(max(left, 0.001))
        request.given_up = False
        return await self._inner.send(request, stream=stream)

    async def _pause(self, seconds: float, request: Request, why: str) -> bool:
        """Wait before another attempt; False where the deadline comes first."""
        left = None if request.deadline is None else request.deadline - self._runtime.now()
        level = logging.WARNING if seconds > _WORTH_TELLING else logging.INFO
        log.log(level, "%s: %s, sent again in %.1f s", request.named, why, seconds, extra={"event": "retry"})
        await self._runtime.sleep(seconds if left is None else max(0.0, min(seconds, left)))
        return left is None or seconds < left

    def _retries(self, request: Request) -> int:
        """How often this request may be sent again: a body that is gone once it was read, never."""
        retries = self._policy.retries if request.retries is None else request.retries
        return retries if retries and request.is_replayable else 0

    async def _wait_after(self, response: Response, request: Request, attempt: int) -> float | None:
        """Seconds to wait before sending again; None if the response stands."""
        status = response.status_code
        if status not in _OVERLOADED and status not in self._refused:
            return None
        # Where no header names the time to wait, the body may.
        await response.aread()
        asked = retry_after(response)
        if status not in self._refused and not _may_repeat_answered(status, asked, request):
            return None
        if asked is None:
            return self._policy.back_off(attempt)
        # A little more than asked, and not everyone at the same moment.
        return asked + self._policy.back_off(0) / 4 if asked <= self._policy.longest_wait else None


def _reason(response: Response, wait: float) -> str:
    """Why a request is sent again, with what can be done about a limit that takes long."""
    if response.status_code != 429 or wait <= _WORTH_TELLING:
        return str(response.status_code)
    return (
        "429, as the account is at its rate limit (with less than $5 of credit it may create 6 predictions a minute: "
        "https://replicate.com/account/billing)"
    )


def _repeatable(request: Request) -> bool:
    """Whether sending this request twice does no more than sending it once."""
    return request.method in _IDEMPOTENT or request.repeatable


def _may_repeat_after(error: TransportError, request: Request) -> bool:
    """Whether to try again after no answer came; one that did not end in all its time would not do so next time."""
    if isinstance(error, ConnectFailed):
        return error.temporary
    return (
        isinstance(error, ConnectionLost | RequestTimeout) and _repeatable(request) and not request.given_up
    )


def _may_repeat_answered(status: int, asked: float | None, request: Request) -> bool:
    """Whether to try again after this answer: 429, and 503 that names a time, say that nothing was done."""
    return _repeatable(request) or status == 429 or (status == 503 and asked is not None)


def retry_after(response: Response) -> float | None:
    """The seconds that a response asks to wait, from its header or, failing that, its body; None if it names
    none.

    The body must have been read. The API states the time in words as well: "Your rate limit resets in ~30s."

    >>> from replicate_kit.transport import Response
    >>> retry_after(Response(429, headers={"Retry-After": "7"}))
    7.0
    >>> retry_after(Response(429, json={"detail": "Request was throttled. Your rate limit resets in ~30s."}))
    30.0
    """
    header = response.headers.get("retry-after")
    seconds = _header_seconds(header, response.headers.get("date")) if header else None
    return seconds if seconds is not None else _body_seconds(response)


def _header_seconds(value: str, sent: str | None) -> float | None:
    """Read Retry-After in both of its forms: seconds, or an HTTP date, by the server's clock where it shows it."""
    if re.fullmatch(r"\s*\d{1,9}(\.\d+)?\s*", value):
        return float(value)
    when = http_date(value)
    return None if when is None else max(0.0, (when - (http_date(sent) or datetime.now(UTC))).total_seconds())


@functools.lru_cache(maxsize=64)
def http_date(value: str | None) -> datetime | None:
    """Read an HTTP date; None for what is none.

    >>> http_date("Tue, 24 Nov 2026 10:00:00 GMT")
    datetime.datetime(2026, 11, 24, 10, 0, tzinfo=datetime.timezone.utc)
    """
    # Answers of the same second have the same date, and a batch reads all of them.
    from email.utils import parsedate_to_datetime  # few answers have a date that anybody reads

    try:
        when = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _body_seconds(response: Response) -> float | None:
    """Find the time in the body of a refusal."""
    if response.status_code not in (429, 503):
        return None
    match = re.search(r'"retry_after": ?(\d{1,9}(?:\.\d+)?)\b', response.text) or _RESETS.search(
        response.text
    )
    return float(match[1]) if match else None
