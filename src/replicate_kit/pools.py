"""Pools of HTTP connections: httpx behind the narrow door, blocking and asynchronous."""

from __future__ import annotations

import os
import ssl
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from replicate_kit import errors
from replicate_kit._blocking import iterate, run
from replicate_kit.connecting import GUARDED, asynchronously, blockingly
from replicate_kit.receiving import Receiving
from replicate_kit.wording import where

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = ["CREDENTIALS", "as_our_errors", "connect_http", "readable_asynchronously"]

CREDENTIALS = (
    "replicate_kit.credentials"  # request extension: whether what the caller is known by goes with it
)


def connect_http(config: Config, /, *, blocking: bool) -> BlockingPool | AsyncPool:
    """Open a pool of HTTP connections with the httpx options of `config`."""
    options = {key: value for key, value in config.http_options.items() if key not in _MERGED_BY_SESSION}
    options["event_hooks"] = _hooks_for(options.get("event_hooks"), blocking=blocking)
    # One TLS context for all pools: loading the certificates costs more than everything else here.
    if options.get("verify", True) is True and not _NEED_THEIR_OWN_TLS & options.keys():
        options["verify"] = _tls()
    origin = httpx.URL(config.base_url)
    return BlockingPool(options, origin) if blocking else AsyncPool(options, origin)


# The session adds these to requests for the API's own origin, and to no other.
_MERGED_BY_SESSION = frozenset({"headers", "params", "cookies", "base_url", "timeout", "follow_redirects"})

_NEED_THEIR_OWN_TLS = frozenset({"transport", "cert", "http2", "trust_env"})

_tls_lock = threading.Lock()
_tls_contexts: dict[tuple[str | None, ...], ssl.SSLContext] = {}


def _after_fork() -> None:
    """Replace the lock, which another thread of the parent may have held."""
    global _tls_lock
    _tls_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _tls() -> ssl.SSLContext:
    """The TLS context that all pools share, made when the first one is opened, or trusts others than before."""
    trusted = tuple(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    with _tls_lock:
        if trusted not in _tls_contexts:
            _tls_contexts[trusted] = httpx.create_ssl_context()
        return _tls_contexts[trusted]


class BlockingPool:
    """A pool for callers on threads."""

    def __init__(self, options: Mapping[str, Any], origin: httpx.URL) -> None:
        self._client, self._options, self._origin = httpx.Client(**options), options, origin
        self._clients = [self._client]
        self._lock = threading.Lock()
        self._close = weakref.finalize(self, _close_in, os.getpid(), self._clients)

    async def send(self, request: httpx.Request, /, *, stream: bool = False) -> httpx.Response:
        if not isinstance(request.stream, httpx.SyncByteStream):
            request.stream = _Upload(request.stream)
        with as_our_errors(request), blockingly(request):
            client, auth = self._client_for(request), _auth(request, self._origin)
            response = client.send(request, stream=True, auth=auth)
        return await _received(readable_asynchronously(response), stream)

    async def aclose(self) -> None:
        self._close()

    def _client_for(self, request: httpx.Request) -> httpx.Client:
        """The pool of a request: one whose address is checked uses no connection that was opened without that."""
        if not _is_apart(request, self._options):
            return self._client
        with self._lock:
            if len(self._clients) == 1:
                self._clients.append(httpx.Client(**self._options))
            return self._clients[1]


def _close_in(process: int, clients: list[httpx.Client]) -> None:
    """Close pools in the process that opened them: what a fork inherits is the parent's."""
    if os.getpid() == process:
        for client in clients:
            client.close()


def _is_apart(request: httpx.Request, options: Mapping[str, Any]) -> bool:
    """Whether a request uses connections that no other kind of request does; there is one transport of one's own."""
    return bool(request.extensions.get(GUARDED)) and "transport" not in options


async def _received(response: httpx.Response, stream: bool) -> httpx.Response:
    """Read a response, unless it is to be streamed."""
    if not stream:
        try:
            await response.aread()
        finally:
            await response.aclose()
    return response


# httpx's pool looks at each of its connections for every request: at 64 in flight, pools of 8 take a third of the
# time that one takes.
_EACH, _MOST_POOLS = 8, 12
_IN_ONE_POOL = frozenset({"transport", "mounts", "limits", "http2"})  # options that speak of all connections


@dataclass
class _SmallPool:
    """Some of the connections, and the requests that they are at."""

    client: httpx.AsyncClient
    busy: int = 0

    def release(self) -> None:
        """Note that a request is over."""
        self.busy -= 1


class AsyncPool:
    """The connections for one event loop, in small pools, closed when that loop ends."""

    def __init__(self, options: Mapping[str, Any], origin: httpx.URL) -> None:
        self._most = 1 if _IN_ONE_POOL & options.keys() else _MOST_POOLS
        limits = httpx.Limits(max_connections=_EACH, max_keepalive_connections=_EACH)
        self._options = options if self._most == 1 else {**options, "limits": limits}
        self._origin = origin
        self._pools, self._apart = [self._opened()], list[_SmallPool]()
        self._keeper = self._until_the_loop_ends()
        self._started = False

    async def _until_the_loop_ends(self) -> AsyncGenerator[None]:
        """Close the pool when the loop finalizes its generators, as asyncio.run and trio.run do before they
        return.
        """
        try:
            yield
        finally:
            await self._close()

    async def send(self, request: httpx.Request, /, *, stream: bool = False) -> httpx.Response:
        if not self._started:
            self._started = True
            await anext(self._keeper)
        with ExitStack() as over, as_our_errors(request):
            pool = self._free(self._apart if _is_apart(request, self._options) else self._pools)
            pool.busy += 1
            over.callback(pool.release)
            with asynchronously(request):
                response = await pool.client.send(request, stream=True, auth=_auth(request, self._origin))
            # The connection is not free before the response is closed.
            response = readable_asynchronously(response, over.pop_all().close)
        return await _received(response, stream)

    async def aclose(self) -> None:
        # A generator that is left to the loop would be closed late, and with a warning.
        await self._keeper.aclose()
        await self._close()

    def _opened(self) -> _SmallPool:
        """Open another pool."""
        return _SmallPool(httpx.AsyncClient(**self._options))

    def _free(self, pools: list[_SmallPool]) -> _SmallPool:
        """The first pool that has a connection left, opened if need be, or the one with the least to do."""
        free = next((each for each in pools if each.busy < _EACH), None)
        if free is None and len(pools) < self._most:
            free = self._opened()
            pools.append(free)
        return free or min(pools, key=lambda each: each.busy)

    async def _close(self) -> None:
        """Close all pools."""
        for each in (*self._pools, *self._apart):
            await each.client.aclose()


def _auth(request: httpx.Request, origin: httpx.URL) -> Any:
    """Let httpx's own `auth` option act where the token goes: on requests for the API's origin at most."""
    same = (request.url.scheme, request.url.netloc) == (origin.scheme, origin.netloc)
    return httpx.USE_CLIENT_DEFAULT if same and request.extensions.get(CREDENTIALS, True) else None


def _hooks_for(
    hooks: Mapping[str, Sequence[Callable[..., Any]]] | None, *, blocking: bool
) -> dict[str, list[Any]]:
    """Adapt event hooks, plain ones and coroutine functions, to either client."""
    adapted = _run_hook if blocking else _awaited_hook
    return {event: [adapted(hook) for hook in each] for event, each in (hooks or {}).items()}


def _awaited_hook(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Make a hook for the asynchronous client, which awaits what it returns."""

    async def call(message: httpx.Request | httpx.Response) -> None:
        result = hook(message)
        if isinstance(result, Awaitable):
            await result

    return call


def _run_hook(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Make a hook for the blocking client, which would leave a coroutine where it is."""
    call = _awaited_hook(hook)
    return lambda message: run(call(message))


@contextmanager
def as_our_errors(request: httpx.Request) -> Iterator[None]:
    """Turn httpx's errors into ours."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise _translate(error, request) from error


_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
)
_CANNOT_BE_SENT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL)


def _translate(error: Exception, request: httpx.Request) -> errors.TransportError:
    """Find the error of ours that says what is known of the request's fate."""
    name, why = where(request), str(error) or type(error).__name__
    if isinstance(error, _CANNOT_BE_SENT):
        return errors.TransportError(f"{name}: the request cannot be sent ({why}).", request=request)
    if isinstance(error, _NEVER_SENT):
        said = f"could not connect ({why}). Check the network, base_url and proxy settings."
        return errors.ConnectFailed(f"{name}: {said}", request=request)
    if isinstance(error, httpx.TimeoutException):
        said = f"no answer in time ({why}). Raise Client(timeout=…) if the service is slow."
        return errors.RequestTimeout(f"{name}: {said}", request=request)
    if isinstance(error, httpx.DecodingError):
        return errors.InvalidResponse(f"{name}: the body cannot be decoded ({why}).", request=request)
    return errors.ConnectionLost(f"{name}: the connection broke ({why}).", request=request)


def readable_asynchronously(
    response: httpx.Response, closed: Callable[[], None] | None = None
) -> httpx.Response:
    """Give a response the one way of reading and closing that all drivers share; `closed` is called at its end.

    What is read of it is limited as its request says.
    """
    response.stream = Receiving(_Download(response.stream, response.request, closed), response)
    return response


class _Download(httpx.AsyncByteStream):
    """The body of a response: never suspends over a blocking stream, and fails with our errors."""

    def __init__(self, source: Any, request: httpx.Request, closed: Callable[[], None] | None) -> None:
        self._source, self._request, self._closed = source, request, closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with as_our_errors(self._request):
            if isinstance(self._source, httpx.AsyncByteStream):
                async for chunk in self._source:
                    yield chunk
            else:
                for chunk in self._source:
                    yield chunk

    async def aclose(self) -> None:
        if self._closed is not None:
            self._closed()
        if isinstance(self._source, httpx.AsyncByteStream):
            await self._source.aclose()
        else:
            self._source.close()


class _Upload(httpx.SyncByteStream):
    """An asynchronous request body, iterated on the caller's thread."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        return iterate(aiter(self._source))
