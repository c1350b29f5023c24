"""What a library's errors mean: what is known of the request's outcome, and what to do next."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from replicate_kit import errors
from replicate_kit.backends._common.unconnected import (
    NONE_FREE,
    asks_for_certificate,
    not_connected,
    refused_by_proxy,
    server,
)
from replicate_kit.backends._options.libraries import Library
from replicate_kit.transport import Request

__all__ = ["PROXY", "as_our_errors"]

PROXY = "replicate_kit.proxy"  # extension of the library's request: the proxy that it goes through, as it is shown

# Names of errors. Nothing of these requests has left, so that a create, too, may be sent again.
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})
_CANNOT_BE_SENT = frozenset({"UnsupportedProtocol", "LocalProtocolError", "InvalidURL"})


@contextmanager
def as_our_errors(request: Request, sent: Any, library: Library) -> Iterator[None]:
    """Turn the errors of a library, which sends a request as `sent`, into ours."""
    http = library.module
    try:
        yield
    except Exception as error:
        # A body that is not as long as announced is an error of h11 itself, and what a server says in TLS once the
        # handshake is over may be one of OpenSSL's.
        known = isinstance(error, http.HTTPError | http.InvalidURL | http.StreamError | ssl.SSLError)
        if not known and not _is(error, "LocalProtocolError"):
            raise
        failed = _translate(error, request, sent)
        if _is(error, "LocalProtocolError"):
            raise failed from None  # h11 and h2 quote the value of a header, which may be a secret
        raise failed from error


def _is(error: BaseException, *names: str) -> bool:
    """Whether an error is of one of these kinds, or of a kind below; both libraries name theirs alike."""
    return not {each.__name__ for each in type(error).__mro__}.isdisjoint(names)


def _translate(error: Exception, request: Request, sent: Any) -> errors.TransportError:
    """Find the error of ours that says what is known of the request's outcome."""
    name, why = request.named, str(error) or type(error).__name__
    if _is(error, *_CANNOT_BE_SENT):
        why = why.partition(" b'")[0].partition(' b"')[0]
        return errors.TransportError(f"{name}: the request cannot be sent ({why}).", request=request)
    if _is(error, *_NEVER_SENT):
        said, temporary = _unconnected(error, request, sent.extensions.get(PROXY), why)
        failed = errors.ConnectFailed(f"{name}: could not connect: {said}", request=request)
        failed.temporary = temporary
        return failed
    if _is(error, "TimeoutException"):
        said = f"no answer in time ({why}). Raise Client(timeout=…) if the service is slow."
        return errors.RequestTimeout(f"{name}: {said}", request=request)
    if _is(error, "DecodingError"):
        return errors.InvalidResponse(f"{name}: the body cannot be decoded ({why}).", request=request)
    return errors.ConnectionLost(
        f"{name}: the connection broke ({why}).{_hint(error, request)}", request=request
    )


def _hint(error: Exception, request: Request) -> str:
    """What to do where a connection broke because both sides speak differently."""
    if request.url.scheme == "http" and _is(error, "RemoteProtocolError") and "\\x15\\x03" in str(error):
        return f" {server(request)} answers in TLS: write https:// instead of http:// in base_url."
    return asks_for_certificate(error, request)


def _unconnected(error: Exception, request: Request, proxy: object, why: str) -> tuple[str, bool]:
    """Say why there is no connection and what to do; tell whether trying again may help."""
    if _is(error, "ProxyError"):
        return refused_by_proxy(why, request, proxy)
    if _is(error, "PoolTimeout"):
        return NONE_FREE, True
    return not_connected(error, request, proxy, why)
