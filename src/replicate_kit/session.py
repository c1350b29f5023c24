"""What an operation may await: requests to the API, files by their URL, and the runtime's sleep, threads and
shield.

The rule of the token lives here: it goes to the API's own origin and nowhere else.
"""

from __future__ import annotations

import copy
import functools
import logging
import platform
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx

from replicate_kit import errors
from replicate_kit._blocking import is_blocking
from replicate_kit._once import Once
from replicate_kit.answers import CREATE, decoded, error_of, uncertain
from replicate_kit.hosts import check_source
from replicate_kit.inputs import encode_input
from replicate_kit.outputs import is_output_file
from replicate_kit.retry import DEADLINE, REPEATABLE, RETRIES, Retrying
from replicate_kit.transport import Backend, Connections, Layer, Runtime, Transport, runtime
from replicate_kit.wording import where

if TYPE_CHECKING:
    import concurrent.futures

    from replicate_kit.config import Config
    from replicate_kit.outputs import FileOutput
    from replicate_kit.refs import Reference
    from replicate_kit.storage import StoredFile, Target

__all__ = ["Hooks", "Session"]

T = TypeVar("T")
log = logging.getLogger("replicate_kit")

_GUARDED = "replicate_kit.guarded"  # request extension: True where the URL is not to be trusted
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10


class Hooks(Protocol):
    """What the plugins are asked, with types. `replicate_kit.hookspecs` says what each is for."""

    def parse_reference(self, ref: str, /) -> Reference:
        """Read a reference."""
        ...

    def encode_input(self, value: Any, session: Session, /) -> Any:
        """Encode a value of an input."""
        ...

    def decode_output(self, value: Any, prediction: Any, session: Session, /) -> Any:
        """Decode an output."""
        ...

    async def check_target(self, target: Target, session: Session, /) -> None:
        """Find out whether files can be stored at a target."""

    def store_output(
        self, file: FileOutput, target: Target, session: Session, /
    ) -> Coroutine[Any, Any, str | StoredFile]:
        """Store a file."""
        ...

    async def record_files(self, files: Sequence[StoredFile], target: Target, session: Session, /) -> None:
        """Keep the records of files beside them."""

    def prediction_changed(self, prediction: Any, previous: Any, /) -> None:
        """Tell of a change."""
        ...


class Session:
    """Sends what operations ask for. One serves blocking callers and any number of event loops at once."""

    def __init__(self, config: Config, backend: Backend, hooks: Hooks, layers: Sequence[Layer] = ()) -> None:
        self.config, self.backend, self.hooks = config, backend, hooks
        self.base_url = httpx.URL(backend.base_url(config).rstrip("/") + "/")
        self._root = str(self.base_url)
        self.output_origins = tuple(backend.output_origins(config))
        self.once = Once()
        self._layers = tuple(layers)
        self._connections = Connections(self._connect)

    def with_config(self, config: Config) -> Session:
        """Give a session with other settings that shares this one's connections. The backend stays the
        same.
        """
        other = copy.copy(self)
        other.config = config
        return other

    def _connect(self, blocking: bool) -> Transport:
        """Open a transport and put the layers around it, the retries outermost so that a layer sees every
        attempt.
        """
        transport = self.backend.connect(self.config, blocking=blocking)
        for layer in self._layers:
            transport = layer(transport)
        return Retrying(transport, runtime(blocking))

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

    async def aclose(self) -> None:
        """Close the connections of this driver."""
        await self._connections.aclose()

    # Requests to the API.

    async def fetch(self, method: str, path: str, /, **options: Any) -> Any:
        """Send a request to the API and give the decoded JSON of its answer, None where there is no body.

        Takes the options of `request`. Raises `APIError` for an error, `TransportError` where no usable
        answer came, `UncertainCreate` where a POST may or may not have been acted on.
        """
        response = await self.request(method, path, **options)
        with uncertain(response.request):
            return decoded(response)

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
    ) -> httpx.Response:
        """Send a request to the API and give its response, read and checked.

        `path` is relative to the base URL, or a link that the API sent, whose host is ignored. `timeout` is
        in seconds. `repeatable` says that sending it twice does no harm, `retries` how often at most it is
        sent again, `deadline` until when, on the clock of `now`, an answer is of use.
        """
        body = {"json": json} if json is not None else {"content": content, "files": files, "data": data}
        request = self._build(method, self.url_of(path), headers, timeout, params=params, **body)
        request.extensions[REPEATABLE] = repeatable
        if retries is not None:
            request.extensions[RETRIES] = retries
        if deadline is not None:
            request.extensions[DEADLINE] = deadline
        request.extensions[CREATE] = (json, datetime.now(UTC).timestamp())
        if files:
            request.stream = _ReadInThread(request.stream, self)
        with uncertain(request):
            return await self._checked(await self._follow(request, stream=False))

    async def open(self, url: str, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Start to GET any URL. The response is streamed: read it with `aiter_bytes`, and `aclose` it.

        Redirects are followed. The token goes along only where the URL is of the API's own origin.
        """
        return await self._checked(await self._follow(self._get(url, headers), stream=True))

    async def open_file(self, url: str, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Start to GET a file whose URL somebody else chose; read and close it like that of `open`.

        Raises `FileError` where it, or a redirect, leads to a host that is not on https or in a private
        network, and that is not one of the backend's own.
        """
        request = self._get(url, headers)
        request.extensions[_GUARDED] = True
        return await self._checked(await self._follow(request, stream=True))

    def _get(self, url: str, headers: Mapping[str, str] | None) -> httpx.Request:
        """Build a GET of any URL."""
        try:
            return self._build("GET", httpx.URL(url), headers, None)
        except httpx.InvalidURL as error:
            raise errors.TransportError(f"{url[:200]!r} is not a URL ({error}).") from error

    def url_of(self, link: str) -> httpx.URL:
        """Find the URL of a path, or of a link from a body: below the base URL, so that none leads elsewhere.

        Behind a gateway links still name the API's own host and path; both are dropped. Raises
        `InvalidResponse` for a link that is not one of the API's operations.
        """
        # Put behind the base as text: to join them as URLs would let "name:…" be a scheme of its own.
        try:
            return _url(self._root + self._below_base(link))
        except (httpx.InvalidURL, ValueError) as error:  # urlsplit has errors of its own
            raise errors.InvalidResponse(f"{link[:200]!r} is not a link of the API ({error}).") from error

    def _below_base(self, link: str) -> str:
        """Take the path and the query of a link, without the root of the API."""
        if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", link):
            return link.lstrip("/")
        parts = urlsplit(link)
        root = self.base_url.path if parts.path.startswith(self.base_url.path) else "/v1/"
        if not parts.path.startswith(root):
            raise errors.InvalidResponse(
                f"The API sent the link {link!r}, which is not one of its own operations."
            )
        return parts.path.removeprefix(root).lstrip("/") + (f"?{parts.query}" if parts.query else "")

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
        return is_output_file(value, self.output_origins)

    # How a request is made and sent.

    def _build(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str] | None,
        timeout: float | None,
        **body: Any,
    ) -> httpx.Request:
        """Build a request; the caller's own headers, params and cookies, and the token, are for the API's
        origin only.
        """
        own = self._is_own(url)
        options = self.config.http_options if own else {}
        seconds = self.config.timeout if timeout is None else timeout
        phases = {"connect": seconds, "read": seconds, "write": seconds, "pool": max(seconds, 60.0)}
        return httpx.Request(
            method,
            _with_params(url, options.get("params"), body.pop("params", None)),
            headers=self._headers(own, options.get("headers"), headers),
            cookies=options.get("cookies"),
            extensions={"timeout": phases, RETRIES: self.config.retries},
            **body,
        )

    def _headers(self, own: bool, *more: Any) -> httpx.Headers:
        """Put together what every request says, the token where it belongs, and more that takes precedence."""
        headers = {"User-Agent": _user_agent(), "Accept": "*/*"}
        if own and (token := self.config.api_token):
            headers["Authorization"] = f"Bearer {token}"
        merged = httpx.Headers(headers)
        for each in more:
            if each:  # httpx would go through all headers to merge none
                merged.update(each)
        return merged

    def _is_own(self, url: httpx.URL) -> bool:
        """Whether a URL is of the API's own origin."""
        return (url.scheme, url.netloc) == (self.base_url.scheme, self.base_url.netloc)

    async def _follow(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        """Send a request and follow its redirects, each as a request of its own under the rule of the
        token.
        """
        for _ in range(_MOST_REDIRECTS):
            if request.extensions.get(_GUARDED):
                check_source(str(request.url), self.output_origins)
            response = await self._send(request, stream=stream)
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or request.method != "GET" or not location:
                return response
            await response.aclose()
            request = self._redirected(request, location)
        raise errors.InvalidResponse(
            f"{where(request)}: redirected more than {_MOST_REDIRECTS} times.", request=request
        )

    def _redirected(self, request: httpx.Request, location: str) -> httpx.Request:
        """Make the request that a redirect asks for."""
        try:
            url = request.url.join(location)
        except httpx.InvalidURL as error:
            raise errors.InvalidResponse(
                f"{where(request)}: redirected to a malformed URL.", request=request
            ) from error
        if url.scheme not in ("http", "https") or (request.url.scheme == "https" and url.scheme == "http"):
            raise errors.InvalidResponse(
                f"{where(request)}: redirected from https to {url.scheme}, which was not followed.",
                request=request,
            )
        kept = {
            key: request.headers[key]
            for key in ("accept", "accept-encoding", "if-range", "last-event-id", "range")
            if key in request.headers
        }
        again = self._build("GET", url, kept, None)
        again.extensions.update(request.extensions)
        return again

    async def _send(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        """Send one request through the layers."""
        response = await self._connections.current().send(request, stream=stream)
        response.request = request  # a layer may answer by itself
        if log.isEnabledFor(logging.DEBUG):  # naming a request parses its URL again
            log.debug("%s %s", where(request), response.status_code)
        return response

    async def _checked(self, response: httpx.Response) -> httpx.Response:
        """Raise the error that an answer stands for."""
        if response.is_success:
            return response
        try:
            await response.aread()
        finally:
            await response.aclose()
        raise error_of(response)


class _ReadInThread(httpx.AsyncByteStream):
    """A request body that reads from disk, without blocking an event loop."""

    replayable = True

    def __init__(self, source: Any, session: Session) -> None:
        self._source, self._session = source, session

    async def __aiter__(self) -> AsyncIterator[bytes]:
        source = iter(self._source)
        while (chunk := await self._session.in_thread(lambda: next(source, None))) is not None:
            yield chunk


@functools.lru_cache(maxsize=256)
def _url(text: str) -> httpx.URL:
    """Parse a URL of the API; a batch sends most of its requests to the same few."""
    return httpx.URL(text)


def _with_params(url: httpx.URL, *params: Any) -> httpx.URL:
    """Add parameters to the query of a URL, which is parsed again only if there are any."""
    for each in params:
        url = url.copy_merge_params(each) if each else url
    return url


_agent: str | None = None


def _user_agent() -> str:
    """Name this package, Python and httpx, once."""
    global _agent
    if _agent is None:
        python = platform.python_version()
        _agent = f"replicate-kit/{version('replicate-kit')} python/{python} httpx/{httpx.__version__}"
    return _agent
