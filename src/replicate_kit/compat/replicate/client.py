"""The client."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx

from replicate_kit._formats.arguments import seconds as seconds_of
from replicate_kit._runtime.blocking import blocking
from replicate_kit.compat.replicate._connecting import StandInSession, connect
from replicate_kit.compat.replicate._messages import response_of
from replicate_kit.compat.replicate._retrying import RetryTransport
from replicate_kit.compat.replicate.account import Accounts
from replicate_kit.compat.replicate.collection import Collections
from replicate_kit.compat.replicate.deployment import Deployments
from replicate_kit.compat.replicate.exceptions import ReplicateError
from replicate_kit.compat.replicate.file import Files
from replicate_kit.compat.replicate.hardware import HardwareNamespace as Hardware
from replicate_kit.compat.replicate.model import Models
from replicate_kit.compat.replicate.prediction import Predictions
from replicate_kit.compat.replicate.run import async_run, run
from replicate_kit.compat.replicate.stream import ServerSentEvent, async_stream, stream
from replicate_kit.compat.replicate.training import Trainings
from replicate_kit.compat.replicate.webhook import Webhooks
from replicate_kit.errors import ConfigError
from replicate_kit.transport import Backend

if TYPE_CHECKING:
    from replicate_kit.simulator import Simulator

__all__ = ["Client", "ReplicateError", "RetryTransport"]


class Client:
    """A client as of 1.x, over one of our sessions.

    `base_url` has no "/v1". `timeout` is whatever httpx takes. Other options go to `httpx.Client`. `backend` is ours:
    the name of a backend, or one as an object.
    """

    def __init__(
        self,
        api_token: str | None = None,
        *,
        base_url: str | None = None,
        timeout: Any = None,
        backend: str | Backend | Simulator | None = None,
        **kwargs: Any,
    ) -> None:
        self._settings = (api_token, base_url, timeout, backend, kwargs)
        self._poll_interval: float | None = None
        self._connected: StandInSession | None = None
        self._lock = threading.Lock()

    @property
    def session(self) -> StandInSession:
        """Our session; made at the first request, so that the environment may be set after the import."""
        with self._lock:
            if self._connected is None:
                self._connected = connect(*self._settings)
                self._pace(self._connected)
            return self._connected

    async def aclose(self) -> None:
        """Close its connections, which 1.x leaves open; the next request opens new ones."""
        with self._lock:
            session, self._connected = self._connected, None
        if session is not None:
            await session.aclose()

    close = blocking(aclose)

    @property
    def poll_interval(self) -> float:
        """Seconds between two looks at a running prediction; 0 for no pause."""
        usual = self.session.config.poll_interval or 0.0
        return usual if self._poll_interval is None else self._poll_interval

    @poll_interval.setter
    def poll_interval(self, seconds: float) -> None:
        self._poll_interval = seconds_of("poll_interval", seconds, kind=ConfigError)
        with self._lock:
            if self._connected is not None:
                self._pace(self._connected)

    def _pace(self, session: StandInSession) -> None:
        """Let a session poll as often as was asked."""
        if self._poll_interval is not None:
            session.reconfigure(replace(session.config, poll_interval=self._poll_interval))

    @property
    def accounts(self) -> Accounts:
        """Operations on accounts."""
        return Accounts(self)

    @property
    def collections(self) -> Collections:
        """Operations on collections."""
        return Collections(self)

    @property
    def deployments(self) -> Deployments:
        """Operations on deployments."""
        return Deployments(self)

    @property
    def files(self) -> Files:
        """Operations on files."""
        return Files(self)

    @property
    def hardware(self) -> Hardware:
        """Operations on hardware."""
        return Hardware(self)

    @property
    def models(self) -> Models:
        """Operations on models."""
        return Models(self)

    @property
    def predictions(self) -> Predictions:
        """Operations on predictions."""
        return Predictions(self)

    @property
    def trainings(self) -> Trainings:
        """Operations on trainings."""
        return Trainings(self)

    @property
    def webhooks(self) -> Webhooks:
        """Operations on webhooks."""
        return Webhooks(self)

    def run(self, ref: Any, input: Any = None, *, use_file_output: bool | None = True, **params: Any) -> Any:
        """Run a model and give its output."""
        return run(self, ref, input, use_file_output=use_file_output, **params)

    async def async_run(
        self, /, ref: Any, input: Any = None, *, use_file_output: bool | None = True, **params: Any
    ) -> Any:
        """Run a model and give its output."""
        return await async_run(self, ref, input, use_file_output=use_file_output, **params)

    def stream(
        self, ref: Any, *, input: Any = None, use_file_output: bool | None = True, **params: Any
    ) -> Iterator[ServerSentEvent]:
        """Run a model and give the events of its stream."""
        return stream(self, ref, input, use_file_output=use_file_output, **params)

    async def async_stream(
        self, /, ref: Any, input: Any = None, *, use_file_output: bool | None = True, **params: Any
    ) -> AsyncGenerator[ServerSentEvent]:
        """Run a model and give the events of its stream; await this to get what is iterated."""
        return async_stream(self, ref, input, use_file_output=use_file_output, **params)

    async def _async_request(self, /, method: str, path: str, **options: Any) -> httpx.Response:
        """Send any request, whose path begins with "/v1/"."""
        return response_of(await self.session.request(method, path.removeprefix("/v1"), **options))

    _request = blocking(_async_request)
