"""The mock backend: Replicate in a box, in this process. No token, no network, no money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicate_kit._runtime.runtimes import Runtime, runtime
from replicate_kit.errors import ConnectFailed
from replicate_kit.transport import Request, Response, Transport, received

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicate_kit.config import Config
    from replicate_kit.simulator import Simulator

__all__ = ["MockBackend"]


class MockBackend:
    """Runs predictions in a simulator: the one given, or the one that this process shares, with the demo models.

    >>> MockBackend().base_url(None)
    'https://api.replicate.test/v1'
    """

    def __init__(self, simulator: Simulator | None = None) -> None:
        self._given = simulator

    @property
    def simulator(self) -> Simulator:
        """The simulator that answers."""
        if self._given is None:
            from replicate_kit.simulator import default

            return default()
        return self._given

    def connect(self, config: Config | None, /, *, blocking: bool) -> Transport:
        """Open a transport to the simulator."""
        return _MockTransport(self.simulator, runtime(blocking))

    def base_url(self, config: Config | None, /) -> str:
        """The root of the simulated API; its name never resolves."""
        return self.simulator.base_url

    def output_origins(self, config: Config | None, /) -> Sequence[str]:
        """Where the simulated models' files are."""
        return (self.simulator.files_url,)


class _MockTransport:
    """Hands requests to a simulator. Other hosts cannot be reached: nothing leaves the process."""

    def __init__(self, simulator: Simulator, runtime: Runtime) -> None:
        self._simulator, self._runtime = simulator, runtime

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        if request.url.host not in self._simulator.hosts:
            why = f"the mock backend reaches no other host than its own, not {request.url.host}"
            raise ConnectFailed(f"{request.named}: could not connect: {why}.", request=request)
        answer = await self._simulator.handle(request, self._runtime)
        return await received(answer, request, stream=stream)

    async def aclose(self) -> None:
        """Nothing to close: the simulator outlives its clients, as the service would."""
