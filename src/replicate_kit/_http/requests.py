"""How a request is made: where it goes, what it says, and what its answer may be."""

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
from replicate_kit._http.token_origin import TokenOrigin, parsed, path_of

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


class Requests:
    """Makes the requests of one session: to the API, whose root `base_url` is, and to anywhere else."""

    def __init__(self, config: Config, base_url: httpx.URL, links: Links | None = None) -> None:
        self._config, self._base_url, self._root = config, base_url, str(base_url)
        self._base_path = path_of(base_url)
        self._links = links or Links(self._root)
        self.origin = TokenOrigin(base_url, self._links)

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
        # Before anything else sees them: httpx, h11 and h2 quote the value that they refuse, which may be a secret.
        check_headers({"headers": headers}, errors.InputError)
        own = self.origin.is_own(url) and own is not False
        limits = limits or Limits("answer", self._config.max_answer_bytes)
        options = self._config.http_options if own else {}
        seconds = seconds_or_none("timeout", timeout, positive=True) or self._config.timeout
        # To wait for a connection of our own pool tells nothing of the server, so that a short timeout is not meant for
        # that.
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
        at, own = self.origin.of_stream(parsed(url))
        request = self.build("GET", at, headers, None, own=own, limits=Limits("stream"))
        request.extensions[_STREAM] = True
        return request

    def get_file(self, url: str, headers: Mapping[str, str] | None) -> httpx.Request:
        """Build a GET of a file whose URL somebody else chose.

        Raises `FileError` where it is an operation of the API and not one of its files.
        """
        at, own = self.origin.of_file(parsed(url))
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
        left = bool(request.extensions.get(_LEFT)) or not self.origin.is_own(request.url)
        if left and self.origin.is_api(url):
            raise errors.InvalidResponse(
                f"{where(request)}: redirected from another host to the API, which was not followed.",
                request=request,
            )
        url, own = self._target_of_redirect(request, url, left)
        # No others: the token and the caller's own headers are added anew, where the rule allows them.
        kept = {key: request.headers[key] for key in _KEPT if key in request.headers}
        again = self.build("GET", url, kept, None, own=own)
        # All but whether credentials go along, which was decided for the new URL.
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
        climbs = "://" in link.partition("?")[0] and ".." in re.split(
            r"[/\\]", unquote(unquote(path_of(url)))
        )
        if climbs or not path_of(url).startswith(self._base_path):
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

    def _target_of_redirect(
        self, request: httpx.Request, url: httpx.URL, left: bool
    ) -> tuple[httpx.URL, bool]:
        """Find where a redirected request goes, and whether the token goes there: by the rule of the first request."""
        if request.extensions.get(FILE):
            return self.origin.of_file(url)
        if request.extensions.get(_STREAM):
            return self.origin.of_stream(url)
        return url, not left


class ReadInThread(httpx.AsyncByteStream):
    """A request body that reads from disk, without blocking an event loop."""

    replayable = True

    def __init__(self, source: Any, in_thread: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        self._source, self._in_thread = source, in_thread

    async def __aiter__(self) -> AsyncIterator[bytes]:
        source = iter(self._source)
        while (chunk := await self._in_thread(lambda: next(source, None))) is not None:
            yield chunk


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
