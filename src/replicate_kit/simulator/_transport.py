"""The simulator as a transport of httpx's, for clients that take one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx

from replicate_kit._runtime.blocking import iterate, run
from replicate_kit._runtime.runtimes import runtime

if TYPE_CHECKING:
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
        response = run(self._simulator.handle(request, runtime(True)))
        response.stream = _Blocking(response)
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a client in an event loop."""
        return await self._simulator.handle(request, runtime(False))


class _Blocking(httpx.SyncByteStream):
    """A body that never suspends, iterated on the caller's thread."""

    def __init__(self, response: httpx.Response) -> None:
        self._source = response.stream

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._source, httpx.AsyncByteStream)
        return iterate(aiter(self._source))
