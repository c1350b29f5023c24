"""What an operation may await: requests to the API, files by their URL, and the runtime's sleep, threads and
shield.

A request is made by `requests`, sent through the layers and the retries on a connection of the running driver,
redirected where that is safe, and its answer is read by `answers`.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from replicate_kit import errors
from replicate_kit._files.inputs import encode_input
from replicate_kit._files.outputs import is_output_file
from replicate_kit._formats.arguments import whole
from replicate_kit._formats.looks import Durations
from replicate_kit._formats.redacting import HIDDEN, HIDDEN_INPUT, input_secrets, secrets_of
from replicate_kit._formats.url_policy import check_source, origins_of
from replicate_kit._http.answers import Uncertain, decoded, error_of
from replicate_kit._http.connections import Checking, Connections
from replicate_kit._http.hiding import secrets_hidden
from replicate_kit._http.hook_calls import HookCalls
from replicate_kit._http.links import Links
from replicate_kit._http.requests import Requests, read_in_thread
from replicate_kit._http.retry import Retrying
from replicate_kit._http.secrets import option_secrets
from replicate_kit._runtime.blocking import is_blocking
from replicate_kit._runtime.runtimes import Runtime, runtime
from replicate_kit._runtime.side_by_side import Operation, side_by_side
from replicate_kit._runtime.single_flight import SingleFlight
from replicate_kit.transport import URL, Abilities, Backend, Create, Layer, Request, Response, Transport

if TYPE_CHECKING:
    import concurrent.futures

    from replicate_kit.config import Config

__all__ = ["Session"]

T = TypeVar("T")
log = logging.getLogger("replicate_kit")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10
_USUAL = Abilities()


class Session:
    """Sends what operations ask for. One serves blocking callers and any number of event loops at once."""

    def __init__(
        self, config: Config, backend: Backend, hooks: HookCalls, layers: Sequence[Layer] = ()
    ) -> None:
        self.backend, self.hooks = backend, hooks
        self.base_url = URL(backend.base_url(config).rstrip("/") + "/")
        self.links = Links(str(self.base_url))
        self.reconfigure(config)
        self.output_origins = tuple(backend.output_origins(config))
        self.abilities: Abilities = getattr(backend, "abilities", _USUAL)
        self.single_flight, self.durations = SingleFlight(), Durations()
        self._layers = tuple(layers)
        self._connections = Connections(self._connect)

    def with_config(self, config: Config) -> Session:
        """Give a session with other settings that shares this one's connections, and what was found and uploaded
        with the same token and headers. The backend stays the same.
        """
        other = copy.copy(self)
        # What one account has found or uploaded is not for another.
        if _account(config) != _account(self.config):
            other.single_flight = SingleFlight()
        other.reconfigure(config)
        return other

    def reconfigure(self, config: Config) -> None:
        """Go on with other settings. The backend and the connections stay as they are."""
        self.config, self._requests = config, Requests(config, self.base_url, self.links)

    def _connect(self, blocking: bool) -> Transport:
        """Open a transport and put the layers around it, the retries outermost so that a layer sees every
        attempt.
        """
        transport: Transport = Checking(self.backend.connect(self.config, blocking=blocking))
        for layer in self._layers:
            transport = layer(transport)
        return Retrying(transport, runtime(blocking), refuses=self.abilities.refuses)

    # What the driver gives.

    @property
    def _runtime(self) -> Runtime:
        return runtime(is_blocking())

    async def sleep(self, seconds: float, /) -> None:
        """Pause for `seconds`."""
        await self._runtime.sleep(seconds)

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        return self._runtime.now()

    async def in_thread(self, function: Callable[[], T], /) -> T:
        """Call a function that blocks, without blocking an event loop."""
        return await self._runtime.in_thread(function)

    async def shield(self, operation: Coroutine[Any, Any, T], /) -> T:
        """Run `operation` to its end even if we are being cancelled."""
        return await self._runtime.shield(operation)

    async def wait(self, future: concurrent.futures.Future[Any], timeout: float | None, /) -> bool:
        """Wait until `future` is done, or `timeout` seconds; tell which."""
        return await self._runtime.wait(future, timeout)

    async def side_by_side(self, *operations: Operation) -> None:
        """Run operations at the same time, to the end of all of them. In blocking code they run in an event loop on
        another thread.

        Where one fails, or we are cancelled or interrupted, the others are cancelled.
        """
        await side_by_side(self, *operations)

    async def aclose(self) -> None:
        """Close the connections of this driver."""
        await self._connections.aclose()

    # Requests to the API.

    async def fetch(
        self,
        method: str,
        path: str,
        /,
        *,
        check: Callable[[Any], Any] | None = None,
        answered: Callable[[Response], None] | None = None,
        read: Callable[[Response], Any] = decoded,
        **options: Any,
    ) -> Any:
        """Send a request to the API and give the decoded JSON of its answer, None where there is no body.

        Takes the options of `request`. `check` gives what it is called with, or raises `InvalidResponse` for what is
        not what was asked for. `answered` is called with a good answer before it is read, `read` decodes it. Raises
        `APIError` for an error, `TransportError` where no usable answer came,
        `UncertainCreate` where a POST may or may not have been acted on.
        """

        def taken(response: Response) -> Any:
            if answered is not None:
                answered(response)
            body = read(response)
            self.links.learn(body)
            return body if check is None else check(body)

        return await self._ask(method, path, taken, **options)

    async def request(
        self,
        method: str,
        path: str,
        /,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        content: str | bytes | None = None,
        files: Mapping[str, Any] | None = None,
        data: Mapping[str, str] | None = None,
        timeout: float | None = None,
        repeatable: bool = False,
        retries: int | None = None,
        deadline: float | None = None,
    ) -> Response:
        """Send a request to the API and give its response, read and checked.

        `path` is relative to the base URL, or a link that the API sent, whose host is ignored. `timeout` is
        in seconds. `repeatable` says that sending it twice does no harm, `retries` how often at most it is
        sent again, `deadline` until when, on the clock of `now`, an answer is of use.
        """
        return await self._ask(
            method,
            path,
            _as_it_is,
            json=json,
            params=params,
            headers=headers,
            timeout=timeout,
            repeatable=repeatable,
            retries=retries,
            deadline=deadline,
            content=content,
            files=files,
            data=data,
        )

    async def _ask(
        self,
        method: str,
        path: str,
        take: Callable[[Response], T],
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        repeatable: bool = False,
        retries: int | None = None,
        deadline: float | None = None,
        last_check: Callable[[], None] | None = None,
        **body: Any,
    ) -> T:
        """Send a request to the API, and give what is taken from a good answer to it."""
        if not isinstance(method, str) or not isinstance(path, str):
            raise errors.InputError(
                f"{method!r:.40} {path!r:.80} is no request. Pass texts: 'GET', 'account'."
            )
        if body:
            _check_body(**body)
        body = body if json is None else {"json": json}
        # Around all of it: an encoder quotes what it cannot write, and an UncertainCreate quotes the server.
        with self._hidden(json):
            request = self._requests.build(
                method, self._requests.operation(path), headers, timeout, params=params, **body
            )
            request.repeatable, request.deadline, request.last_check = repeatable, deadline, last_check
            if retries is not None:
                request.retries = whole("retries", retries, 0)
            request.create = Create(json, datetime.now(UTC).timestamp())
            if body.get("files"):
                request.body = read_in_thread(request.body, self.in_thread)
            with Uncertain(request, self.abilities):
                return take(await self._checked(await self._follow(request, stream=False)))

    async def open(self, url: str, *, headers: Mapping[str, str] | None = None) -> Response:
        """Start to GET a stream, or any other URL. Read the response with `aiter_bytes`, and `aclose` it.

        Redirects are followed. The token goes along only to the API's own streams and files. Raises
        `InvalidResponse` for another operation of the API: use `request` for those.
        """
        with self._hidden():
            return await self._checked(await self._follow(self._requests.get(url, headers), stream=True))

    async def open_file(self, url: str, *, headers: Mapping[str, str] | None = None) -> Response:
        """Start to GET a file whose URL somebody else chose; read and close it like that of `open`.

        The token goes along only to the API's files. Raises `FileError` where the URL, or a redirect, is one of the
        API's other operations, or leads to a host that is not on https or in a private network, and that is not one of
        the backend's own nor trusted.
        """
        with self._hidden():
            request = self._requests.get_file(url, headers)
            return await self._checked(await self._follow(request, stream=True))

    # What inputs and outputs ask.

    async def encode(self, value: Any) -> Any:
        """Make JSON of a model's input, uploading files where they are large."""
        return await encode_input(value, self)

    def encode_by_plugins(self, value: Any, /) -> Any:
        """Ask the plugins to encode one value."""
        return self.hooks.encode_input(value, self)

    def is_output_file(self, value: object) -> bool:
        """Tell whether a value in an output is a file by itself: a data URL, or a URL on the backend's
        origins.
        """
        value = self.links.through(value) if isinstance(value, str) else value
        return is_output_file(value, self.output_origins)

    # How a request is sent.

    def _hidden(self, json: Any = None) -> AbstractContextManager[None]:
        """Take out of errors what only the API may see of a request: servers and gateways quote what they were sent."""
        body = (
            json if isinstance(json, dict | Mapping) else {}
        )  # a class of its own first: the other takes longer
        return secrets_hidden(
            lambda: input_secrets(body.get("input")),
            HIDDEN_INPUT,
            (lambda: self._secrets() | secrets_of(str(body.get("webhook") or "")), HIDDEN),
        )

    def _secrets(self) -> frozenset[str]:
        """The token, and what else the client's own options send to the API."""
        token = self._token()
        return option_secrets(self.config.http_options) | ({token} if token else frozenset())

    def _token(self) -> str | None:
        """The token, None also where it is one that cannot be sent: the error of that is on its way."""
        try:
            return self.config.api_token
        except errors.ConfigError:
            return None

    async def _follow(self, request: Request, *, stream: bool) -> Response:
        """Send a request and follow its redirects, each as a request of its own under the rule of the
        token.
        """
        for _ in range(_MOST_REDIRECTS):
            # For each hop anew: a redirect may lead from a public host to a private one.
            if request.source == "file":
                request.guarded = self._must_be_checked(request)
            response = await self._send(request, stream=stream)
            # Nothing but a GET is sent on: a create goes where the caller said, or nowhere.
            if response.status_code not in _REDIRECTS or request.method != "GET":
                return response
            location = response.headers.get("location")
            if not location:
                return response
            await response.aclose()
            request = self._requests.redirected(request, location)
        raise errors.InvalidResponse(
            f"{request.named}: redirected more than {_MOST_REDIRECTS} times.", request=request
        )

    def _must_be_checked(self, request: Request) -> bool:
        """Look from where a file would come; tell whether the address that is connected to must be checked too."""
        if self._requests.origin.is_api_file(request.url):
            return False
        trusted = (*self.output_origins, *origins_of(self.config.trusted_hosts))
        return check_source(str(request.url), trusted)

    async def _send(self, request: Request, *, stream: bool) -> Response:
        """Send one request through the layers."""
        response = await self._connections.current().send(request, stream=stream)
        response.request = request  # a layer may answer by itself
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s %s", request.named, response.status_code)
        return response

    async def _checked(self, response: Response) -> Response:
        """Raise the error that an answer stands for."""
        if response.is_success:
            return response
        try:
            await response.aread()
        finally:
            await response.aclose()
        raise error_of(response)


def _as_it_is(response: Response) -> Response:
    """Take all of an answer."""
    return response


def _check_body(content: Any = None, files: Any = None, data: Any = None) -> None:
    """Refuse a body of which it would be seen only while it is sent that it is none."""
    if content is None and files is None and data is None:
        return
    if not isinstance(content, str | bytes | None):
        raise errors.InputError(f"content is a {type(content).__name__}. Pass a text or bytes.")
    if not isinstance(data, Mapping | None) or not isinstance(files, Mapping | list | tuple | None):
        raise errors.InputError("data and files are mappings of names to what is sent under them.")
    pairs = list(files.items() if isinstance(files, Mapping) else files or ())
    if not all(isinstance(each, tuple) and len(each) == 2 for each in pairs):
        raise errors.InputError("files as a list has pairs in it: of a name, and what is sent under it.")
    for name, file in pairs:
        if not isinstance(file, str | bytes | tuple) and not hasattr(file, "read"):
            raise errors.InputError(
                f"The file {name!r} is a {type(file).__name__}. Pass bytes or an open file."
            )


def _account(config: Config) -> tuple[Any, ...]:
    """What decides as whom requests are made, and so what they may see."""
    return config.explicit_token, dict(config.http_options)
