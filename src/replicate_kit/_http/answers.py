"""What an answer of the API means: the JSON that it holds, or the error that it stands for."""

from __future__ import annotations

import json
from typing import Any

from replicate_kit import errors
from replicate_kit._formats.nesting import loads
from replicate_kit._http.hiding import quoted
from replicate_kit._http.problems import api_error
from replicate_kit._http.retry import retry_after
from replicate_kit.transport import Abilities, Request, Response

__all__ = ["Uncertain", "decoded", "decoded_in_part", "error_of"]

_LARGE, _MOST_VALUES = 16 * 1024**2, 20_000_000

# These say that a request was not acted on (RFC 9110 §15, RFC 6585, RFC 7725). Of the others, 408, 409, 425 and 499
# come from gateways as well, also where the service behind them has acted: Envoy says 408 when a stream idles. Model
# servers say 424 when a model has failed.
_REFUSES = frozenset(
    {300, 301, 302, 304, 305, 307, 308, *range(400, 408), *range(410, 418), 421, 422, 426, 428, 429, 431, 451}
)
# These leave it open whether it was acted on, unless their status says that it was not.
_LEAVES_OPEN = (errors.RequestTimeout, errors.ConnectionLost, errors.InvalidResponse, errors.APIError)


class Uncertain:
    """A block that says so where a POST may have been acted on although no good answer came.

    A class, as each request enters one, and generators cost more.
    """

    __slots__ = ("_abilities", "_request")

    def __init__(self, request: Request, abilities: Abilities) -> None:
        self._request, self._abilities = request, abilities

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object, /) -> None:
        request = self._request
        if (
            not isinstance(error, _LEAVES_OPEN)
            or request.method != "POST"
            or request.repeatable
            or request.create is None
            or _was_refused(error, request, self._abilities)
        ):
            return
        raise errors.UncertainCreate(
            f"{error}\nIt is unknown whether the API acted on this request, so it was not sent again. Look for "
            "its result (for a prediction: client.predictions.list()) before you repeat it; client.map does so "
            "by itself.",
            path=request.url.path,
            body=request.create.body,
            sent_at=request.create.sent_at,
            request=request,
        ) from error


def _was_refused(error: errors.ReplicateError, request: Request, abilities: Abilities) -> bool:
    """Whether an answer says that nothing was done; 503 does so with Retry-After."""
    if not isinstance(error, errors.APIError):
        return False
    if error.status in abilities.refuses or (error.status == 503 and error.retry_after is not None):
        return True
    # What costs no money is no riddle: 409 says that a model of this name exists.
    return error.status in _REFUSES or (
        error.status < 500 and not (abilities.costs_money and _costs_money(request))
    )


def _costs_money(request: Request) -> bool:
    """Whether a request starts a prediction or a training."""
    return request.url.path.rpartition("/")[2] in ("predictions", "trainings")


def error_of(response: Response) -> errors.APIError:
    """Make the error of an answer, whatever its body is."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = response.text
    return api_error(
        status=response.status_code,
        body=quoted(body),
        headers=response.headers,
        where=response.request.named,
        retry_after=retry_after(response),
        request=response.request,
    )


def decoded(response: Response) -> Any:
    """Decode the body of a good answer."""
    if not response.content:
        return None
    if _values_in(response.content) > _MOST_VALUES:
        raise errors.InvalidResponse(
            f"{response.request.named}: the answer has more than {_MOST_VALUES} values, which is more than is kept in "
            "memory. Fetch it with another tool.",
            request=response.request,
        )
    try:
        return json.loads(response.content)
    except RecursionError as error:
        raise errors.InvalidResponse(
            f"{response.request.named}: the answer{_named(response)} is nested too deep for Python to read. Fetch it "
            "with another tool.",
            request=response.request,
        ) from error
    except ValueError as error:
        raise errors.InvalidResponse(
            f"{response.request.named}: the answer cannot be read as JSON ({response.headers.get('content-type')}). "
            "Check that base_url leads to Replicate's API.",
            request=response.request,
        ) from error


def decoded_in_part(response: Response) -> Any:
    """Decode a body of which a part may be nested too deep for Python, or hold numbers that are too long: one of many
    predictions, for example.
    """
    try:
        return loads(response.content)
    except (ValueError, RecursionError):
        return decoded(response)  # which says what is wrong


def _values_in(content: bytes) -> int:
    """Count what may be values in a large JSON text: of "[]," each three bytes become a list of sixty."""
    return sum(map(content.count, (b",", b"[", b"{"))) if len(content) > _LARGE else 0


def _named(response: Response) -> str:
    """Name what an answer is about that cannot be read: it may be paid for."""
    try:
        found = loads(response.content)
    except (ValueError, RecursionError):
        return ""
    return f", which is about {found['id']}," if isinstance(found, dict) and found.get("id") else ""
