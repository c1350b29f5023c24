"""How a request is made: where it goes, and what it says.

The rule of the token lives here: it goes to the API's own origin and nowhere else.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import httpx

from replicate_kit import errors
from replicate_kit.links import Links
from replicate_kit.retry import RETRIES
from replicate_kit.wording import where

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = ["ReadInThread", "Requests"]


class Requests:
    """Makes the requests of one session: to the API, whose root `base_url` is, and to anywhere else."""

    def __init__(self, config: Config, base_url: httpx.URL, links: Links | None = None) -> None:
        self._config, self._base_url, self._root = config, base_url, str(base_url)
        self._links = links or Links(self._root)

    def build(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str] | None,
        timeout: float | None,
        **body: Any,
    ) -> httpx.Request:
        """Build a request; the caller's own headers, params and cookies, and the token, are for the API's
        origin only.

        Raises `InputError` for what a request cannot carry: texts with half of a surrogate pair, among others.
        """
        own = self._is_own(url)
        options = self._config.http_options if own else {}
        seconds = self._config.timeout if timeout is None else timeout
        phases = {"connect": seconds, "read": seconds, "write": seconds, "pool": max(seconds, 60.0)}
        with _carried(method, url):
            return httpx.Request(
                method,
                _with_params(url, options.get("params"), body.pop("params", None)),
                headers=self._headers(own, options.get("headers"), headers),
                cookies=options.get("cookies"),
                extensions={"timeout": phases, RETRIES: self._config.retries},
                **body,
            )

    def get(self, url: str, headers: Mapping[str, str] | None) -> httpx.Request:
        """Build a GET of any URL; what the API has itself is asked for where the API is reached."""
        try:
            return self.build("GET", httpx.URL(self._links.through(url)), headers, None)
        except httpx.InvalidURL as error:
            raise errors.TransportError(f"{url[:200]!r} is not a URL ({error}).") from error

    def redirected(self, request: httpx.Request, location: str) -> httpx.Request:
        """Make the request that a redirect asks for."""
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
        kept = {
            key: request.headers[key]
            for key in ("accept", "accept-encoding", "if-range", "last-event-id", "range")
            if key in request.headers
        }
        again = self.build("GET", url, kept, None)
        again.extensions.update(request.extensions)
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
        return (url.scheme, url.netloc) == (self._base_url.scheme, self._base_url.netloc)


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
    except (RecursionError, ValueError) as error:  # of the latter, UnicodeEncodeError is one
        raise errors.InputError(
            f"{method} {url.path} was not sent: what was passed cannot be written in a request ({error}). "
            "Pass whole characters and finite numbers."
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
