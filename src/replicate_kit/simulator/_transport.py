"""The simulator as a transport of httpx's, for clients that take one.

It is the one module here that needs httpx, and is loaded when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from replicate_kit._runtime.blocking import iterate, run
from replicate_kit._runtime.runtimes import runtime
from replicate_kit.errors import ConnectFailed, InvalidURL, RequestTimeout, TransportError
from replicate_kit.transport import Once, Request, Timeout

if TYPE_CHECKING:
    from replicate_kit.simulator._api.exchange import Answer
    from replicate_kit.simulator._core import Simulator

__all__ = ["SimulatorTransport"]


class SimulatorTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Hands the requests of an `httpx.Client` or `httpx.AsyncClient` to a simulator, whatever their host.

    Clients that nobody here wrote use the simulator in process through it, if they accept a `transport`.

    >>> import httpx
    >>> from replicate_kit.simulator import default
    >>> with httpx.Client(transport=SimulatorTransport(default())) as client:
    ...     client.get("https://api.replicate.test/v1/account").json()["username"]
    'local'
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a blocking client."""
        with _as_errors_of_httpx(request):
            answer = run(self._simulator.handle(_ours(request), runtime(True)))
        return _theirs(answer, _Blocking(answer, request))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a client in an event loop."""
        with _as_errors_of_httpx(request):
            answer = await self._simulator.handle(_ours(request), runtime(False))
        return _theirs(answer, _Asynchronous(answer, request))


def _ours(request: httpx.Request) -> Request:
    """Make our request of httpx's; what was to be streamed still is."""
    timeout = Timeout(**request.extensions.get("timeout", {}))
    try:
        content: bytes | Once = request.content
    except httpx.RequestNotRead:
        length = request.headers.get("content-length")
        content = Once(request.stream, None if length is None else int(length))
    return Request(
        request.method, str(request.url), headers=request.headers.raw, body=content, timeout=timeout
    )


def _theirs(answer: Answer, stream: _Blocking | _Asynchronous) -> httpx.Response:
    """Make httpx's response of an answer."""
    # A body that is there would have httpx add a length, which an answer to HEAD may not have.
    return httpx.Response(answer.status_code, headers=answer.headers.raw, stream=stream)


class _Blocking(httpx.SyncByteStream):
    """A body that never suspends, iterated on the caller's thread."""

    def __init__(self, answer: Answer, request: httpx.Request) -> None:
        self._answer, self._request = answer, request

    def __iter__(self) -> Iterator[bytes]:
        with _as_errors_of_httpx(self._request):
            yield from iterate(self._answer.aiter_bytes())

    def close(self) -> None:
        run(self._answer.aclose())


class _Asynchronous(httpx.AsyncByteStream):
    """The same in an event loop."""

    def __init__(self, answer: Answer, request: httpx.Request) -> None:
        self._answer, self._request = answer, request
        self._chunks = answer.aiter_bytes()

    # An iterator and not a generator: one that is left early needs nobody to close it.
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        with _as_errors_of_httpx(self._request):
            return await anext(self._chunks)

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextmanager
def _as_errors_of_httpx(request: httpx.Request) -> Iterator[None]:
    """Turn our errors into those that httpx raises for the same."""
    try:
        yield
    except TransportError as error:
        raise _error_of_httpx(error)(str(error), request=request) from error
    except InvalidURL as error:
        raise httpx.UnsupportedProtocol(str(error), request=request) from error


def _error_of_httpx(error: TransportError) -> type[httpx.TransportError]:
    """What httpx raises for an error of ours."""
    if isinstance(error, ConnectFailed):
        return httpx.ConnectError
    return httpx.ReadTimeout if isinstance(error, RequestTimeout) else httpx.RemoteProtocolError
