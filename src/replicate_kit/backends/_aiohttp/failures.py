"""What aiohttp's errors mean: what is known of the request's outcome, and what to do next."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp.http import HttpProcessingError

from replicate_kit import errors
from replicate_kit._door.receiving import too_slow
from replicate_kit.backends._aiohttp.exchanges import Exchange
from replicate_kit.backends._aiohttp.protocols import HeadTooLong
from replicate_kit.backends._aiohttp.slots import Closed, NoneFree
from replicate_kit.backends._common.unconnected import (
    CLOSED,
    NONE_FREE,
    asks_for_certificate,
    causes,
    not_connected,
    refused_by_proxy,
    server,
)

__all__ = ["ProxyRefused", "translated", "unconnected"]

_ON_THE_WAY = (aiohttp.ClientError, HttpProcessingError, OSError, HeadTooLong, NoneFree, Closed)


class ProxyRefused(Exception):
    """A proxy does not connect to the host; what it said."""


def translated(error: Exception, exchange: Exchange) -> tuple[Exception, BaseException | None]:
    """Find the error of ours for one of aiohttp's, and what may be shown as its cause.

    Some of aiohttp's quote the URL, whose query may be secret. Others than aiohttp's are given as they are.
    """
    if exchange.source_error is not None:
        return exchange.source_error, exchange.source_error.__cause__
    # A refusal of ours, of an address for example, may have passed through the library.
    ours = next((each for each in causes(error) if isinstance(each, errors.ReplicateError)), None)
    if ours is not None or not isinstance(error, (*_ON_THE_WAY, ValueError)):
        shown = ours or error
        return shown, shown.__cause__
    return _translate(error, exchange), error.__cause__ if _quotes(error, exchange) else error


def _quotes(error: Exception, exchange: Exchange) -> bool:
    """Whether an error shows the URL, or the headers of the request."""
    query = exchange.request.url.query
    return bool(query and query in str(error))


def _translate(error: Exception, exchange: Exchange) -> Exception:
    """Find the error of ours that says what is known of the request's outcome."""
    request, name, why = exchange.request, exchange.request.named, _said(error, exchange)
    if not isinstance(error, _ON_THE_WAY):
        return errors.TransportError(f"{name}: the request cannot be sent ({why}).", request=request)
    if not exchange.connected:
        return unconnected(error, exchange)
    if isinstance(error, asyncio.TimeoutError):
        if exchange.is_too_slow:
            return too_slow(request, "the headers of the answer")
        why = "the body was not taken" if exchange.step == "write" else "nothing came"
        said = f"no answer in time ({why}). Raise Client(timeout=…) if the service is slow."
        return errors.RequestTimeout(f"{name}: {said}", request=request)
    return errors.ConnectionLost(
        f"{name}: the connection broke ({why}).{_hint(error, exchange)}", request=request
    )


def _said(error: Exception, exchange: Exchange) -> str:
    """What an error says, without the URL that it may quote."""
    if isinstance(error, HttpProcessingError):
        return f"{error.code} {error.message}".partition("\n")[0]
    if isinstance(error, aiohttp.ServerDisconnectedError):  # which may show all that has come of an answer
        return "the server has closed it"
    if _quotes(error, exchange):
        return type(error).__name__
    return str(error) or type(error).__name__


def _hint(error: Exception, exchange: Exchange) -> str:
    """What to do where a connection broke because both sides speak differently."""
    request = exchange.request
    if request.url.scheme == "http" and isinstance(error, HttpProcessingError) and "\\x15\\x03" in str(error):
        return f" {server(request)} answers in TLS: write https:// instead of http:// in base_url."
    return asks_for_certificate(error, request)


def unconnected(error: Exception, exchange: Exchange) -> errors.ConnectFailed:
    """Make the error of a request of which nothing was sent."""
    request, why = exchange.request, _said(error, exchange)
    if isinstance(error, ProxyRefused):
        said, temporary = refused_by_proxy(why, request, exchange.proxy)
    elif isinstance(error, NoneFree):
        said, temporary = NONE_FREE, True
    elif isinstance(error, Closed):
        said, temporary = CLOSED, False
    else:
        said, temporary = not_connected(error, request, exchange.proxy, why)
    failed = errors.ConnectFailed(f"{request.named}: could not connect: {said}", request=request)
    failed.temporary = temporary
    return failed
