"""Errors as 1.x has them: its own, or those of httpx, whatever backend sent the request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from replicate_kit import errors
from replicate_kit._formats.encodings import EncodingError
from replicate_kit.compat.replicate._messages import request_of
from replicate_kit.compat.replicate.exceptions import ReplicateError, ReplicateException

__all__ = ["as_theirs", "chain"]

_OF_HTTPX = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)

# What httpx raises where a request had no answer. A backend without httpx says no more than these kinds.
_KINDS: tuple[tuple[type[errors.TransportError], type[httpx.RequestError]], ...] = (
    (errors.ConnectFailed, httpx.ConnectError),
    (errors.RequestTimeout, httpx.ReadTimeout),
    (errors.ConnectionLost, httpx.RemoteProtocolError),
)


@contextmanager
def as_theirs() -> Iterator[None]:
    """Turn our errors into those that code written for 1.x expects: its own, or those of httpx."""
    try:
        yield
    except ReplicateException:
        raise
    except errors.ReplicateError as error:
        raise _theirs(error) from None


def _theirs(error: errors.ReplicateError) -> BaseException:
    """Find the error of 1.x for one of ours. What ours says is kept as a note."""
    failed: errors.TransportError | None = None
    for each in chain(error):
        if isinstance(each, errors.APIError):
            return ReplicateError.of(each)
        if isinstance(each, errors.TransportError):
            failed = each
        elif not isinstance(each, errors.ReplicateError):
            found = each if isinstance(each, _OF_HTTPX) or failed is None else _of_httpx(failed, each) or each
            found.add_note(str(error))
            return found
    if failed is not None and (made := _of_httpx(failed, None)) is not None:
        made.add_note(str(error))
        return made
    return error if isinstance(error, ValueError) else ReplicateException(str(error))


def _of_httpx(failed: errors.TransportError, cause: BaseException | None) -> httpx.RequestError | None:
    """Make the error that httpx has for a request without an answer, None where it has none."""
    kind = _alike(cause) or next((theirs for ours, theirs in _KINDS if isinstance(failed, ours)), None)
    if kind is httpx.ConnectError and any(isinstance(each, TimeoutError) for each in chain(cause)):
        kind = httpx.ConnectTimeout
    if isinstance(cause, EncodingError):
        kind = httpx.DecodingError
    if kind is None:
        return None
    return kind(str(failed), request=None if failed.request is None else request_of(failed.request))


def _alike(cause: BaseException | None) -> type[httpx.RequestError] | None:
    """Find the error of httpx with the name of another library's: httpx2 names its own as httpx does."""
    for each in type(cause).__mro__:
        found = getattr(httpx, each.__name__, None)
        if isinstance(found, type) and issubclass(found, httpx.RequestError):
            return found
    return None


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error and what caused it, the outermost first. A chain that leads back into itself ends there."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__
