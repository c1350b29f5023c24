"""The narrow door: what carries a request, who drives it, and where predictions run.

Only this module and `_blocking` know whether an operation is stepped on the caller's thread or by an event
loop.
"""

from __future__ import annotations

import concurrent.futures
import os
import ssl
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import httpx

from replicate_kit import errors
from replicate_kit._blocking import is_blocking, iterate

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = ["Backend", "Connections", "Layer", "Runtime", "Transport", "connect_http", "runtime"]

T = TypeVar("T")


@runtime_checkable
class Transport(Protocol):
    """Carries one request. A blocking one never suspends.

    A response to `send(request)` has been read. One to `send(request, stream=True)` is read with its
    asynchronous methods (`aiter_bytes`, `aread`, `aclose`) under every driver. Failures leave as errors of
    `replicate_kit.errors`.
    """

    async def send(self, request: httpx.Request, /, *, stream: bool = False) -> httpx.Response:
        """Send a request and give its response."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""


class Runtime(Protocol):
    """Who drives: the caller's thread or an event loop."""

    async def sleep(self, seconds: float, /) -> None:
        """Pause for `seconds`."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    async def in_thread(self, function: Callable[[], T], /) -> T:
        """Call a function that blocks, without blocking an event loop."""
        ...

    async def shield(self, operation: Coroutine[Any, Any, T], /) -> T:
        """Run `operation` to its end even if we are being cancelled."""
        ...

    async def wait(self, future: concurrent.futures.Future[Any], timeout: float | None, /) -> bool:
        """Wait until `future` is done, or `timeout` seconds; tell which. Any thread may complete the
        future.
        """
        ...


Layer: TypeAlias = Callable[[Transport], Transport]


@runtime_checkable
class Backend(Protocol):
    """Where predictions run."""

    def connect(self, config: Config, /, *, blocking: bool) -> Transport:
        """Open a transport for the caller's thread, or for the running event loop."""
        ...

    def base_url(self, config: Config, /) -> str:
        """The root of the API, without a slash at its end."""
        ...

    def output_origins(self, config: Config, /) -> Sequence[str]:
        """The origins of output files, such as `https://*.replicate.delivery`."""
        ...


class _BlockingRuntime:
    """The caller's thread."""

    async def sleep(self, seconds: float, /) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what this driver is for

    def now(self) -> float:
        return time.monotonic()

    async def in_thread(self, function: Callable[[], T], /) -> T:
        return function()

    async def shield(self, operation: Coroutine[Any, Any, T], /) -> T:
        return await operation

    async def wait(self, future: concurrent.futures.Future[Any], timeout: float | None, /) -> bool:
        return bool(concurrent.futures.wait([future], timeout).done)


class _AsyncRuntime:
    """The running event loop, asyncio's or trio's."""

    async def sleep(self, seconds: float, /) -> None:
        import anyio

        await anyio.sleep(seconds)

    def now(self) -> float:
        return time.monotonic()

    async def in_thread(self, function: Callable[[], T], /) -> T:
        from anyio import to_thread

        return await to_thread.run_sync(function)

    async def shield(self, operation: Coroutine[Any, Any, T], /) -> T:
        import anyio

        with anyio.CancelScope(shield=True):
            return await operation
        raise AssertionError("nobody cancels this scope")

    async def wait(self, future: concurrent.futures.Future[Any], timeout: float | None, /) -> bool:
        import anyio

        done, wake = anyio.Event(), _waker()
        future.add_done_callback(lambda _: wake(done.set))
        with anyio.move_on_after(timeout):
            await done.wait()
        return future.done()


_BLOCKING, _ASYNC = _BlockingRuntime(), _AsyncRuntime()


def runtime(blocking: bool) -> Runtime:
    """The runtime of the caller's thread, or of whichever event loop runs."""
    return _BLOCKING if blocking else _ASYNC


def _waker() -> Callable[[Callable[[], None]], None]:
    """Make the function by which another thread calls something in the running loop; a loop that is gone
    ignores it.
    """
    import sniffio

    if sniffio.current_async_library() == "trio":
        import trio

        post: Callable[[Callable[[], None]], object] = trio.lowlevel.current_trio_token().run_sync_soon
        gone: type[Exception] = trio.RunFinishedError
    else:
        import asyncio

        post, gone = asyncio.get_running_loop().call_soon_threadsafe, RuntimeError

    def wake(callback: Callable[[], None]) -> None:
        with suppress(gone):  # nobody waits any more
            post(callback)

    return wake


class Connections:
    """The transports of one client: one for blocking callers, and one for each event loop that it is used in.

    A connection pool belongs to its loop: one that outlives it fails with "Event loop is closed".
    """

    def __init__(self, connect: Callable[[bool], Transport]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._open: dict[object, Transport] = {}
        self._closed = False

    def current(self) -> Transport:
        """The transport of whoever asks, opened when first asked for."""
        key = _driver()
        with self._lock:
            if self._closed:
                raise errors.ConfigError(
                    "This client was closed. Make a new Client, or leave its `with` block later."
                )
            if key not in self._open:
                self._drop_those_of_closed_loops()
                self._open[key] = self._connect(is_blocking())
            return self._open[key]

    async def aclose(self) -> None:
        """Close the blocking transport and that of the running loop. Those of other loops close as their
        loops end.
        """
        with self._lock:
            self._closed = True
            ours = [self._open.pop(key) for key in {_driver(), os.getpid()} if key in self._open]
        for transport in ours:
            await transport.aclose()

    def _drop_those_of_closed_loops(self) -> None:
        """Forget the pools of loops that ended without finalizing their generators."""
        for key in [key for key in self._open if getattr(key, "is_closed", bool)()]:
            del self._open[key]


def _driver() -> object:
    """What a transport belongs to: the process for blocking callers (sockets do not survive a fork), else the
    loop.
    """
    if is_blocking():
        return os.getpid()
    import sniffio

    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        raise RuntimeError(
            "An async_ form was used without an event loop. Await it in asyncio or trio, or call its "
            "blocking twin."
        ) from None
    if library == "trio":
        import trio

        return trio.lowlevel.current_trio_token()
    import asyncio

    return asyncio.get_running_loop()


def connect_http(config: Config, /, *, blocking: bool) -> Transport:
    """Open a pool of HTTP connections with the httpx options of `config`."""
    options = {key: value for key, value in config.http_options.items() if key not in _MERGED_BY_SESSION}
    options["event_hooks"] = _hooks_for(options.get("event_hooks"), blocking=blocking)
    # One TLS context for all pools: loading the certificates costs more than everything else here.
    if options.get("verify", True) is True and "transport" not in options and "cert" not in options:
        options["verify"] = _tls()
    origin = httpx.URL(config.base_url)
    return _BlockingHTTP(options, origin) if blocking else _AsyncHTTP(options, origin)


# The session adds these to requests for the API's own origin, and to no other.
_MERGED_BY_SESSION = frozenset({"headers", "params", "cookies", "base_url", "timeout", "follow_redirects"})

_tls_lock = threading.Lock()
_tls_context: ssl.SSLContext | None = None


def _tls() -> ssl.SSLContext:
    """The TLS context that all pools share, made when the first one is opened."""
    global _tls_context
    with _tls_lock:
        if _tls_context is None:
            _tls_context = httpx.create_ssl_context()
        return _tls_context


class _BlockingHTTP:
    """A pool for callers on threads."""

    def __init__(self, options: Mapping[str, Any], origin: httpx.URL) -> None:
        self._client, self._origin = httpx.Client(**options), origin
        self.close = weakref.finalize(self, self._client.close)

    async def send(self, request: httpx.Request, /, *, stream: bool = False) -> httpx.Response:
        if not isinstance(request.stream, httpx.SyncByteStream):
            request.stream = _Upload(request.stream)
        with _as_our_errors(request):
            response = self._client.send(request, stream=stream, auth=_auth(request, self._origin))
        return _readable_asynchronously(response) if stream else response

    async def aclose(self) -> None:
        self.close()


class _AsyncHTTP:
    """A pool for one event loop, closed when that loop ends."""

    def __init__(self, options: Mapping[str, Any], origin: httpx.URL) -> None:
        self._client, self._origin = httpx.AsyncClient(**options), origin
        self._keeper = self._until_the_loop_ends()
        self._started = False

    async def _until_the_loop_ends(self) -> AsyncIterator[None]:
        """Close the pool when the loop finalizes its generators, as asyncio.run and trio.run do before they
        return.
        """
        try:
            yield
        finally:
            await self._client.aclose()

    async def send(self, request: httpx.Request, /, *, stream: bool = False) -> httpx.Response:
        if not self._started:
            self._started = True
            await anext(self._keeper)
        with _as_our_errors(request):
            response = await self._client.send(request, stream=stream, auth=_auth(request, self._origin))
        return _readable_asynchronously(response) if stream else response

    async def aclose(self) -> None:
        await self._client.aclose()


def _auth(request: httpx.Request, origin: httpx.URL) -> Any:
    """Let httpx's own `auth` option act on requests for the API's origin only."""
    same = (request.url.scheme, request.url.netloc) == (origin.scheme, origin.netloc)
    return httpx.USE_CLIENT_DEFAULT if same else None


def _hooks_for(
    hooks: Mapping[str, Sequence[Callable[..., Any]]] | None, *, blocking: bool
) -> dict[str, list[Any]]:
    """Adapt plain event hooks to the asynchronous client, which awaits what they return."""

    def awaited(hook: Callable[..., Any]) -> Callable[..., Any]:
        async def call(message: httpx.Request | httpx.Response) -> None:
            result = hook(message)
            if hasattr(result, "__await__"):
                await result

        return call

    return {
        event: list(each) if blocking else [awaited(hook) for hook in each]
        for event, each in (hooks or {}).items()
    }


@contextmanager
def _as_our_errors(request: httpx.Request) -> Iterator[None]:
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
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)


def _translate(error: Exception, request: httpx.Request) -> errors.TransportError:
    """Find the error of ours that says what is known of the request's fate."""
    where, why = f"{request.method} {request.url.copy_with(query=None)}", str(error) or type(error).__name__
    if isinstance(error, _NEVER_SENT):
        said = f"could not connect ({why}). Check the network, base_url and proxy settings."
        return errors.ConnectFailed(f"{where}: {said}", request=request)
    if isinstance(error, httpx.TimeoutException):
        said = f"no answer in time ({why}). Raise Client(timeout=…) if the service is slow."
        return errors.RequestTimeout(f"{where}: {said}", request=request)
    if isinstance(error, httpx.DecodingError):
        return errors.InvalidResponse(f"{where}: the body cannot be decoded ({why}).", request=request)
    return errors.ConnectionLost(f"{where}: the connection broke ({why}).", request=request)


def _readable_asynchronously(response: httpx.Response) -> httpx.Response:
    """Give a streamed response the one way of reading that all drivers share."""
    response.stream = _Download(response.stream, response.request)
    return response


class _Download(httpx.AsyncByteStream):
    """The body of a response: never suspends over a blocking stream, and fails with our errors."""

    def __init__(self, source: Any, request: httpx.Request) -> None:
        self._source, self._request = source, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_our_errors(self._request):
            if isinstance(self._source, httpx.AsyncByteStream):
                async for chunk in self._source:
                    yield chunk
            else:
                for chunk in self._source:
                    yield chunk

    async def aclose(self) -> None:
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
