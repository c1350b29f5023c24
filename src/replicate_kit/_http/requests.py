"""How a request is made: where it goes, what it says, and what its answer may be."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from replicate_kit import __version__, errors
from replicate_kit._door.sendable import CheckedHeaders, check_headers
from replicate_kit._formats.arguments import seconds
from replicate_kit._formats.pairs import pairs_of
from replicate_kit._http.links import Links
from replicate_kit._http.token_origin import TokenOrigin, parsed
from replicate_kit.transport import URL, Body, Headers, Limits, Once, Replayable, Request, Timeout

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = ["Requests", "read_in_thread"]

_MOST_OPERATIONS = 256  # whose URLs are kept
_KEPT = (
    "accept",
    "accept-encoding",
    "if-range",
    "last-event-id",
    "range",
)  # of what a redirected request says


class Requests:
    """Makes the requests of one session: to the API, whose root `base_url` is, and to anywhere else."""

    def __init__(self, config: Config, base_url: URL, links: Links | None = None) -> None:
        self._config, self._base_url, self._root = config, base_url, str(base_url)
        self._base_path, self._limits = base_url.path, Limits("answer", config.max_answer_bytes)
        self._links = links or Links(self._root)
        self._operations: dict[str, URL] = {}  # of paths: a batch sends most of its requests to the same few
        self._with_token: tuple[str, Headers] | None = None
        self.origin = TokenOrigin(base_url, self._links)

    def build(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str] | None,
        timeout: float | None,
        *,
        own: bool | None = None,
        limits: Limits | None = None,
        **body: Any,
    ) -> Request:
        """Build a request; the caller's own headers, params and cookies, and the token, are for the API's
        origin only, and not even for that where `own` is False.

        `limits` are those of the answer, those of the API's answers where it is None. Raises `InputError` for what a
        request cannot carry: texts with half of a surrogate pair, among others.
        """
        # Before anything else sees them: HTTP libraries quote the value that they refuse, which may be a secret.
        if headers is not None and not isinstance(headers, CheckedHeaders):
            check_headers({"headers": headers}, errors.InputError)
        own = self.origin.is_own(url) and own is not False
        options = self._config.http_options if own else {}
        try:
            request = Request(
                method,
                _with_params(url, options.get("params"), body.pop("params", None)),
                headers=self._headers(own, options.get("headers"), headers),
                timeout=_phases(self._config.timeout if timeout is None else timeout),
                **body,
            )
            if (cookies := options.get("cookies")) and (said := _cookie_header(cookies, url)):
                request.headers.setdefault("Cookie", said)
        except errors.ReplicateError:
            raise
        # Of ValueErrors UnicodeEncodeError is one.
        except (RecursionError, ValueError, TypeError, AttributeError, LookupError) as error:
            raise errors.InputError(
                f"{method} {url.path} was not sent: what was passed cannot be written in a request ({error}). "
                "Pass whole characters, finite numbers, and what JSON, headers and parameters can hold."
            ) from error
        request.retries, request.credentials = self._config.retries, own
        request.limits = self._limits if limits is None else limits
        return request

    def get(self, url: str, headers: Mapping[str, str] | None) -> Request:
        """Build a GET of any URL, to be read as a stream; what the API has itself is asked for where it is reached.

        Raises `InvalidResponse` where it is an operation of the API and not one of its streams or files.
        """
        at, own = self.origin.of_stream(parsed(url))
        request = self.build("GET", at, headers, None, own=own, limits=Limits("stream"))
        request.source = "stream"
        return request

    def get_file(self, url: str, headers: Mapping[str, str] | None) -> Request:
        """Build a GET of a file whose URL somebody else chose.

        Raises `FileError` where it is an operation of the API and not one of its files.
        """
        at, own = self.origin.of_file(parsed(url))
        limits = Limits("file", self._config.max_file_bytes)
        request = self.build("GET", at, headers, None, own=own, limits=limits)
        request.source = "file"
        return request

    def redirected(self, request: Request, location: str) -> Request:
        """Make the request that a redirect asks for. What has left the API does not come back to it."""
        try:
            url = URL(self._links.through(str(request.url.join(location))))
        except errors.InvalidURL as error:
            raise errors.InvalidResponse(
                f"{request.named}: redirected to a malformed URL.", request=request
            ) from error
        if url.scheme not in ("http", "https") or (request.url.scheme == "https" and url.scheme == "http"):
            raise errors.InvalidResponse(
                f"{request.named}: redirected from https to {url.scheme}, which was not followed.",
                request=request,
            )
        left = request.left or not self.origin.is_own(request.url)
        if left and self.origin.is_api(url):
            raise errors.InvalidResponse(
                f"{request.named}: redirected from another host to the API, which was not followed.",
                request=request,
            )
        url, own = self._target_of_redirect(request, url, left)
        # No others: the token and the caller's own headers are added anew, where the rule allows them.
        kept = {key: request.headers[key] for key in _KEPT if key in request.headers}
        again = self.build("GET", url, kept, None, own=own, limits=request.limits)
        # All but whether credentials go along, which was decided for the new URL.
        again.timeout, again.retries, again.deadline = request.timeout, request.retries, request.deadline
        again.repeatable, again.source, again.left = request.repeatable, request.source, left
        again.keep_slots_of(request)
        return again

    def url_of(self, link: str) -> URL:
        """Find the URL of a path, or of a link from a body: below the base URL, so that none leads elsewhere.

        Behind a gateway links still name the API's own host and path; both are dropped. Raises
        `InvalidResponse` for a link that is not one of the API's operations.
        """
        # Put behind the base as text: to join them as URLs would let "name:…" be a scheme of its own.
        try:
            return URL(self._root + self._links.below(link))
        except ValueError as error:  # that of a URL, and urlsplit has others
            raise errors.InvalidResponse(f"{link[:200]!r} is not a link of the API ({error}).") from error

    def operation(self, link: str) -> URL:
        """Find the URL of a path, or of a link, and see that it stays below the base URL, dots and all.

        Behind a gateway what is beside the base is somebody else's, and the token is not for them.
        """
        if (known := self._operations.get(link)) is not None:
            return known
        url = self.url_of(link)
        # An id of dots is sent encoded, and is none of a link's; proxies undo such encodings.
        climbs = "://" in link.partition("?")[0] and ".." in re.split(r"[/\\]", unquote(unquote(url.path)))
        if climbs or not url.path.startswith(self._base_path):
            raise errors.InvalidResponse(
                f"The link {link[:200]!r} leads out of the API, so it was not followed. Pass a path below "
                f"{self._base_url}, or a link as the API sent it."
            )
        if len(self._operations) >= _MOST_OPERATIONS:
            self._operations.clear()
        if "://" not in link:  # where a whole URL leads depends on what answers have named
            self._operations[link] = url
        return url

    def _headers(self, own: bool, *more: Any) -> Headers:
        """Put together what every request says, the token where it belongs, and more that takes precedence."""
        merged = Headers(self._said_with(self._config.api_token) if own else _plain_headers())
        for each in more:
            if each is not None:
                merged.update(each)
        return merged

    def _said_with(self, token: str | None) -> Headers:
        """What every request to the API says, which is alike until the token changes."""
        if not token:
            return _plain_headers()
        if self._with_token is None or self._with_token[0] != token:
            said = Headers(_plain_headers())
            said["Authorization"] = f"Bearer {token}"
            self._with_token = token, said
        return self._with_token[1]

    def _target_of_redirect(self, request: Request, url: URL, left: bool) -> tuple[URL, bool]:
        """Find where a redirected request goes, and whether the token goes there: by the rule of the first request."""
        if request.source == "file":
            return self.origin.of_file(url)
        if request.source == "stream":
            return self.origin.of_stream(url)
        return url, not left


def read_in_thread(
    body: bytes | Body | None, in_thread: Callable[[Callable[[], Any]], Awaitable[Any]]
) -> bytes | Body | None:
    """Let a body that is read from disk not block an event loop."""
    if not isinstance(body, Body):
        return body
    if isinstance(body, Replayable):
        return Replayable(lambda: _InThread(body.blocking(), in_thread), body.length)
    return Once(_InThread(body.blocking(), in_thread), body.length)


class _InThread:
    """Takes chunks on another thread. No generator: an upload that breaks off leaves it where it is."""

    def __init__(
        self, chunks: Iterator[bytes], in_thread: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> None:
        self._chunks, self._in_thread = chunks, in_thread

    def __aiter__(self) -> _InThread:
        return self

    async def __anext__(self) -> bytes:
        chunk: bytes | None = await self._in_thread(lambda: next(self._chunks, None))
        if chunk is None:
            raise StopAsyncIteration
        return chunk


def _phases(timeout: float) -> Timeout:
    """Give each phase of a request the same seconds; raises `InputError` for what are none."""
    return _each_phase(seconds("timeout", timeout, positive=True))


@functools.lru_cache(maxsize=16)
def _each_phase(found: float) -> Timeout:
    """Give them; most requests have the same."""
    # To wait for a connection of our own pool tells nothing of the server, so that a short timeout is not meant for
    # that.
    return Timeout(found, found, found, pool=max(found, 60.0))


def _with_params(url: URL, *params: Any) -> URL:
    """Add parameters to the query of a URL, which is parsed again only if there are any."""
    for each in params:
        url = url.with_params(each) if each else url
    return url


def _cookie_header(cookies: Any, url: URL) -> str:
    """Write cookies as a header: those of a mapping or of pairs, or those of a jar that are for this URL."""
    jar = getattr(cookies, "jar", cookies)
    if not hasattr(jar, "add_cookie_header"):
        return "; ".join(f"{name}={value}" for name, value in pairs_of(cookies))
    from urllib.request import Request as Asking  # which jars decide by: hosts, paths, ages, https

    asking = Asking(str(url))
    jar.add_cookie_header(asking)
    return asking.get_header("Cookie", "")


@functools.cache
def _plain_headers() -> Headers:
    """What each request says."""
    return Headers({"User-Agent": _user_agent(), "Accept": "*/*"})


def _user_agent() -> str:
    """Name this package and Python."""
    return f"replicate-kit/{__version__} python/{sys.version.split()[0]}"
