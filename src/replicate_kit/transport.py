"""The narrow door: a request, a response, what carries them, and where predictions run.

Whatever a client does goes through here, in two small types of our own, so that no HTTP library is part of a plugin. A
layer stands between the client and the backend and sees every attempt:

>>> from replicate_kit import Client, hookimpl
>>> from replicate_kit.transport import Layer, Request, Response, Transport
>>> class Counting:
...     def __init__(self, inner: Transport) -> None:
...         self.inner, self.count = inner, 0
...     async def send(self, request: Request, /, *, stream: bool = False) -> Response:
...         self.count += 1
...         request.headers["x-attempt"] = str(self.count)
...         return await self.inner.send(request, stream=stream)
...     async def aclose(self) -> None:
...         await self.inner.aclose()
>>> class CountingPlugin:
...     @hookimpl
...     def replicate_transport_layer(self, config: object) -> Layer:
...         return Counting
>>> Client(backend="mock", plugins=[CountingPlugin()]).accounts.current().username
'local'

A backend is where predictions run. What it gives as a transport answers by itself or asks a server:

>>> class Echo:
...     def connect(self, config: object, /, *, blocking: bool) -> Transport:
...         return EchoTransport()
...     def base_url(self, config: object, /) -> str:
...         return "https://echo.test/v1"
...     def output_origins(self, config: object, /) -> list[str]:
...         return []
>>> class EchoTransport:
...     async def send(self, request: Request, /, *, stream: bool = False) -> Response:
...         return Response(200, json={"method": request.method, "path": request.url.path})
...     async def aclose(self) -> None:
...         pass
>>> Client(backend=Echo()).request("GET", "account").json()
{'method': 'GET', 'path': '/v1/account'}
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, runtime_checkable

from replicate_kit._door.bodies import Body, Once, Replayable
from replicate_kit._door.headers import Headers
from replicate_kit._door.requests import Create, Limits, Request, Slot, Timeout
from replicate_kit._door.responses import Response, received
from replicate_kit._formats.urls import URL

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = [
    "URL",
    "Abilities",
    "Backend",
    "Body",
    "Create",
    "Headers",
    "Layer",
    "Limits",
    "Once",
    "Replayable",
    "Request",
    "Response",
    "Slot",
    "Timeout",
    "Transport",
    "received",
]


@runtime_checkable
class Transport(Protocol):
    """Carries one request. A blocking one never suspends.

    A response to `send(request)` has been read. One to `send(request, stream=True)` is read with its
    asynchronous methods (`aiter_bytes`, `aread`, `aclose`) under every driver. Failures leave as errors of
    `replicate_kit.errors`: `ConnectFailed` where the server certainly did not see the request, `RequestTimeout` and
    `ConnectionLost` where it may have.
    """

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        """Send a request and give its response."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""


Layer: TypeAlias = Callable[[Transport], Transport]
"""Makes a transport that stands before another one."""


class Abilities(NamedTuple):
    """What a backend can do, as it says by its attribute `abilities`; what it leaves out is as at Replicate's API.

    - `lists_predictions`: the predictions that were made can be listed. Without that nobody can look for a create that
      was not answered.
    - `costs_money`: a prediction costs money. Where it is False, an answer below 500 that HTTP leaves open, such as
      409, is raised as the error that it is, and not as `UncertainCreate`.
    - `refuses`: HTTP statuses that certainly say that nothing was created, whatever they mean elsewhere. For a model
      server whose 409 says that it is busy it is `{409}`. Of the others 408, 409, 425, 499 and 5xx leave it open
      whether a create was acted on.
    - `options`: the options of `Client` that it takes beside those that each client has. All others are refused.
    - `kept_token`: a client that is given no token uses the one that `replicate-kit auth login` kept for the origin of
      the backend's base URL.
    - `creates_per_minute`: how many predictions a batch creates in a minute at most, where it is not told otherwise.
    """

    lists_predictions: bool = True
    costs_money: bool = True
    refuses: Collection[int] = frozenset()
    options: Collection[str] = frozenset()
    kept_token: bool = False
    creates_per_minute: float = 600.0


@runtime_checkable
class Backend(Protocol):
    """Where predictions run.

    A backend may have two more: the attribute `abilities`, which says what it can do, and a method
    `check_options(options)`, which raises `ConfigError` for values of its options that it cannot use.
    """

    def connect(self, config: Config, /, *, blocking: bool) -> Transport:
        """Open a transport for the caller's thread, or for the running event loop."""
        ...

    def base_url(self, config: Config, /) -> str:
        """The root of the API, without a slash at its end."""
        ...

    def output_origins(self, config: Config, /) -> Sequence[str]:
        """The origins of output files, such as `https://*.replicate.delivery`."""
        ...
