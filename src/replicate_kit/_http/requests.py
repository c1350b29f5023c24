"""How a request is made: where it goes, what it says, and what its answer may be.

The rule of the token lives here: it goes to the API's own origin and nowhere else. The URL of a file or stream may have
been chosen by a model or a server, so with those it goes to the API's files and streams alone.
"""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx

from replicate_kit import errors
from replicate_kit._connections.headers import check_headers
from replicate_kit._connections.pools import CREDENTIALS
from replicate_kit._connections.receiving import LIMITS, Limits
from replicate_kit._formats.arguments import seconds_or_none
from replicate_kit._formats.wording import where
from replicate_kit._http.links import Links
from replicate_kit._http.retry import RETRIES
from replicate_kit.config import API_URL

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = ["FILE", "ReadInThread", "Requests"]

FILE = "replicate_kit.file"  # request extension: True for a file, whose URL somebody else chose
_STREAM = "replicate_kit.stream"  # request extension: True for a stream, whose URL an answer named
_LEFT = "replicate_kit.left"  # request extension: True once a redirect has led away from the API, or began elsewhere

_KEPT = (
    "accept",
    "accept-encoding",
    "if-range",
    "last-event-id",
    "range",
)  # of what a redirected request says
_REPLICATE = httpx.URL(API_URL)

# Plain names only: servers differ in what they make of encoded slashes and of dots.
_NAME = r"/[A-Za-z0-9_-][A-Za-z0-9_.~-]*"
_FILE_PATH = re.compile(rf"files(?:{_NAME})+")
# Recorded streams are /v1/streams/… and /v1/files/…, on hosts of their own; a gateway may have them below its base URL.
# The others are how servers that speak the API's protocol name the events of a prediction.
_STREAM_PATH = re.compile(
    rf"(?:files|streams?)(?:{_NAME})+|(?:(?:models|deployments){_NAME}{_NAME}/)?predictions{_NAME}/(?:stream|events)"
)


class Requests:
    """Makes the requests of one session: to the API, whose root `base_url` is, and to anywhere else."""

    def __init__(self, config: Config, base_url: httpx.URL, links: Links | None = None) -> None:
        self._config, self._base_url, self._root = config, base_url, str(base_url)
        self._base_path = _path(base_url)  # as it is sent: httpx's own `path` is decoded
        self._links = links or Links(self._root)

    def build(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str] | None,
        timeout: float | None,
        *,
        own: bool | None = None,
        limits: Limits | None = None,
        **body: Any,
    ) -> httpx.Request:
        """Build a request; the caller's own headers, params and cookies, and the token, are for the API's
        origin only, and not even for that where `own` is False.

        `limits` are those of the answer, those of the API's answers where it is None. Raises `InputError` for what a
        request cannot carry: texts with half of a surrogate pair, among others.
        """
        check_headers({"headers": headers}, errors.InputError)
        own = self._is_own(url) and own is not False
        limits = limits or Limits("answer", self._config.max_answer_bytes)
        options = self._config.http_options if own else {}
        seconds = seconds_or_none("timeout", timeout, positive=True) or self._config.timeout
        phases = {"connect": seconds, "read": seconds, "write": seconds, "pool": max(seconds, 60.0)}
        with _carried(method, url):
            return httpx.Request(
                method,
                _with_params(url, options.get("params"), body.pop("params", None)),
                headers=self._headers(own, options.get("headers"), headers),
                cookies=options.get("cookies"),
                extensions={
                    "timeout": phases,
                    RETRIES: self._config.retries,
                    CREDENTIALS: own,
                    LIMITS: limits,
                },
                **body,
            )

    def get(self, url: str, headers: Mapping[str, str] | None) -> httpx.Request:
        """Build a GET of any URL, to be read as a stream; what the API has itself is asked for where it is reached.

        Raises `InvalidResponse` where it is an operation of the API and not one of its streams or files.
        """
        at, own = self._target_of_stream(_parsed(url))
        request = self.build("GET", at, headers, None, own=own, limits=Limits("stream"))
        request.extensions[_STREAM] = True
        return request

    def get_file(self, url: str, headers: Mapping[str, str] | None) -> httpx.Request:
        """Build a GET of a file whose URL somebody else chose.

        Raises `FileError` where it is an operation of the API and not one of its files.
        """
        at, own = self._target_of_file(_parsed(url))
        limits = Limits("file", self._config.max_file_bytes)
        request = self.build("GET", at, headers, None, own=own, limits=limits)
        request.extensions[FILE] = True
        return request

    def redirected(self, request: httpx.Request, location: str) -> httpx.Request:
        """Make the request that a redirect asks for. What has left the API does not come back to it."""
        try:
            url = httpx.URL(self._links.through(str(request.url.join(location))))
        except httpx.InvalidURL as error:
            raise errors.InvalidResponse(
                f"{where(request)}: redirected to a malformed URL.", request=request
            ) from error
        if url.scheme not in ("http", "https") or (request.url.scheme == "https" and url.scheme == "http"):
            raise errors.InvalidResponse(
                f"{where(request)}: redirected from https to {url.scheme}, which was not followed.",
                request=request,
            )
        left = bool(request.extensions.get(_LEFT)) or not self._is_own(request.url)
        if left and self._is_api(url):
            raise errors.InvalidResponse(
                f"{where(request)}: redirected from another host to the API, which was not followed.",
                request=request,
            )
        url, own = self._target_of_redirect(request, url, left)
        kept = {key: request.headers[key] for key in _KEPT if key in request.headers}
        again = self.build("GET", url, kept, None, own=own)
        again.extensions.update(
            {**request.extensions, CREDENTIALS: again.extensions[CREDENTIALS], _LEFT: left}
        )
        return again

    def url_of(self, link: str) -> httpx.URL:
        """Find the URL of a path, or of a link from a body: below the base URL, so that none leads elsewhere.

        Behind a gateway links still name the API's own host and path; both are dropped. Raises
        `InvalidResponse` for a link that is not one of the API's operations.
        """
        # Put behind the base as text: to join them as URLs would let "name:…" be a scheme of its own.
        try:
            return _url(self._root + self._links.below(link))
        except (httpx.InvalidURL, ValueError) as error:  # urlsplit has errors of its own
            raise errors.InvalidResponse(f"{link[:200]!r} is not a link of the API ({error}).") from error

    def operation(self, link: str) -> httpx.URL:
        """Find the URL of a path, or of a link, and see that it stays below the base URL, dots and all.

        Behind a gateway what is beside the base is somebody else's, and the token is not for them.
        """
        url = self.url_of(link)
        # An id of dots is sent encoded, and is none of a link's; proxies undo such encodings.
        climbs = "://" in link.partition("?")[0] and ".." in re.split(r"[/\\]", unquote(unquote(_path(url))))
        if climbs or not _path(url).startswith(self._base_path):
            raise errors.InvalidResponse(
                f"The link {link[:200]!r} leads out of the API, so it was not followed. Pass a path below "
                f"{self._base_url}, or a link as the API sent it."
            )
        return url

    def _headers(self, own: bool, *more: Any) -> httpx.Headers:
        """Put together what every request says, the token where it belongs, and more that takes precedence."""
        headers = {"User-Agent": _user_agent(), "Accept": "*/*"}
        if own and (token := self._config.api_token):
            headers["Authorization"] = f"Bearer {token}"
        merged = httpx.Headers(headers)
        for each in more:
            if each:  # httpx would go through all headers to merge none
                merged.update(each)
        return merged

    def _is_own(self, url: httpx.URL) -> bool:
        """Whether a URL is of the API's own origin."""
        return _origin(url) == _origin(self._base_url)

    def is_api_file(self, url: httpx.URL) -> bool:
        """Whether a URL is that of one of the API's files: those may be on a private host, as the API itself may."""
        return self._leads_to(url, _FILE_PATH)

    def _leads_to(self, url: httpx.URL, kind: re.Pattern[str]) -> bool:
        """Whether a URL is one of the API's paths of that kind."""
        return self._is_own(url) and _below(url, self._base_path, kind) is not None

    def _is_api(self, url: httpx.URL) -> bool:
        """Whether a URL is of the API's operations, or claims to be: of Replicate's host, nothing else is fetched."""
        if url.host.rstrip(".").lower() == _REPLICATE.host:
            return True
        path = _path(url)
        return self._is_own(url) and (path if path.endswith("/") else path + "/").startswith(self._base_path)

    def _target_of_redirect(
        self, request: httpx.Request, url: httpx.URL, left: bool
    ) -> tuple[httpx.URL, bool]:
        """Find where a redirected request goes, and whether the token goes there: by the rule of the first request."""
        if request.extensions.get(FILE):
            return self._target_of_file(url)
        if request.extensions.get(_STREAM):
            return self._target_of_stream(url)
        return url, not left

    def _target_of_stream(self, url: httpx.URL) -> tuple[httpx.URL, bool]:
        """Find where a stream is, and whether the token goes there.

        Of the API's own operations none is a stream, so none is asked for because an answer calls it one. What is
        beside the base URL is asked without a token: streams are read without one (the API's JavaScript and Go clients
        send none).
        """
        led, own = self._at_home(url, _STREAM_PATH)
        if own is None:
            raise errors.InvalidResponse(
                f"{_shown(url)} was not opened: it is an operation of the API, and neither a stream nor a file. What "
                f"an answer names as a stream {_UNASKED}"
            )
        return led, own

    def _target_of_file(self, url: httpx.URL) -> tuple[httpx.URL, bool]:
        """Find where a file is, and whether the token goes there.

        Behind a gateway the API names its files by its own host still; they are fetched from the gateway.
        """
        led, own = self._at_home(url, _FILE_PATH)
        if own is None:
            raise errors.FileError(
                f"The file {_shown(url)} was not fetched: it is an operation of the API, and not one of its files. "
                f"What a model names {_UNASKED}"
            )
        return led, own

    def _at_home(self, url: httpx.URL, kind: re.Pattern[str]) -> tuple[httpx.URL, bool | None]:
        """Find where a URL leads that somebody else chose, and whether the token goes there; None where nothing does.

        The token goes to the API's paths of that kind. Its other operations are not asked because an answer names them.
        """
        led = _parsed(self._links.through(str(url)))
        plain = not url.userinfo and not led.userinfo and "//" not in _path(url)
        if plain and self._leads_to(led, kind):
            return led, True
        return led, None if self._is_api(url) or self._is_api(led) else False


_UNASKED = "is not asked with your token; call the operation yourself if you want its answer."


def _shown(url: httpx.URL) -> str:
    """Name a URL without what may be secret in it."""
    return repr(str(url.copy_with(query=None, fragment=None, userinfo=b""))[:200])


class ReadInThread(httpx.AsyncByteStream):
    """A request body that reads from disk, without blocking an event loop."""

    replayable = True

    def __init__(self, source: Any, in_thread: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        self._source, self._in_thread = source, in_thread

    async def __aiter__(self) -> AsyncIterator[bytes]:
        source = iter(self._source)
        while (chunk := await self._in_thread(lambda: next(source, None))) is not None:
            yield chunk


def _parsed(url: str) -> httpx.URL:
    """Parse any URL."""
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        raise errors.TransportError(f"{url[:200]!r} is not a URL ({error}).") from error


def _origin(url: httpx.URL) -> tuple[str, bytes]:
    """The scheme, the host and the port of a URL."""
    return url.scheme, url.netloc


def _path(url: httpx.URL) -> str:
    """The path of a URL as it is sent, without anything decoded."""
    return url.raw_path.partition(b"?")[0].decode("ascii")


def _below(url: httpx.URL, root: str, pattern: re.Pattern[str]) -> str | None:
    """The path of a URL below a root, if it has this form."""
    path = _path(url)
    found = pattern.fullmatch(path.removeprefix(root)) if path.startswith(root) else None
    return found and found[0]


@contextmanager
def _carried(method: str, url: httpx.URL) -> Iterator[None]:
    """Say what is meant where a text of a request cannot be encoded, or its JSON not be written."""
    try:
        yield
    except errors.ReplicateError:
        raise
    # Of ValueErrors UnicodeEncodeError is one; the others are httpx's where it is passed what it does not expect.
    except (RecursionError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise errors.InputError(
            f"{method} {url.path} was not sent: what was passed cannot be written in a request ({error}). "
            "Pass whole characters, finite numbers, and what JSON, headers and parameters can hold."
        ) from error


@functools.lru_cache(maxsize=256)
def _url(text: str) -> httpx.URL:
    """Parse a URL of the API; a batch sends most of its requests to the same few."""
    return httpx.URL(text)


def _with_params(url: httpx.URL, *params: Any) -> httpx.URL:
    """Add parameters to the query of a URL, which is parsed again only if there are any."""
    for each in params:
        url = url.copy_merge_params(each) if each else url
    return url


@functools.cache
def _user_agent() -> str:
    """Name this package, Python and httpx."""
    python = platform.python_version()
    return f"replicate-kit/{version('replicate-kit')} python/{python} httpx/{httpx.__version__}"
