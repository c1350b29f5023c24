"""Our requests as a library sends them, and its responses as ours."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from replicate_kit._formats.encodings import is_encoded
from replicate_kit.backends._httpx.failures import as_our_errors
from replicate_kit.backends._options.libraries import Library
from replicate_kit.errors import InvalidResponse, TransportError
from replicate_kit.transport import URL, Body, Headers, Request, Response

__all__ = ["DEADLINE", "answered", "theirs"]

DEADLINE = (
    "replicate_kit.deadline"  # extension of the library's request: until when its answer is of use, if ever
)


def theirs(request: Request, library: Library, *, blocking: bool) -> Any:
    """Make the library's request. Raises `TransportError` where its URL would be another one there."""
    extensions = {"timeout": request.timeout._asdict(), DEADLINE: request.deadline}
    headers = request.headers.raw
    try:
        url = _url(request.url, library)
    except ValueError as error:
        raise TransportError(f"{request.named} was not sent: {error}", request=request) from error
    if not isinstance(request.body, Body):
        return library.module.Request(
            request.method, url, headers=headers, content=request.body, extensions=extensions
        )
    # The library adds the host only where it writes the body as well.
    if "host" not in request.headers:
        headers.insert(0, (b"Host", request.url.netloc.encode("ascii")))
    upload = _uploads(library)[0 if blocking else 1](request.body)
    return library.module.Request(request.method, url, headers=headers, stream=upload, extensions=extensions)


@functools.lru_cache(maxsize=256)  # most requests go to the same few
def _url(url: URL, library: Library) -> Any:
    """Give a URL to the library, and see that it is the same one there. Raises `ValueError`."""
    http = library.module
    try:
        made = http.URL(str(url))
    except http.InvalidURL as error:
        raise ValueError(f"{library.name} takes no such URL ({error}).") from error
    same = (made.scheme, made.raw_host.decode(), made.port) == (url.scheme, url.host, url.port)
    if not same or made.raw_path.decode() != url.target:
        raise ValueError(
            f"{library.name} would ask for {made.copy_with(query=None, userinfo=b'')}. Write the URL plainly."
        )
    return made


@functools.cache
def _uploads(library: Library) -> tuple[type[Any], type[Any]]:
    """The library's request bodies, blocking and asynchronous, over a body of ours."""
    http = library.module

    class Blocking(http.SyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, body: Body) -> None:
            self._body = body

        def __iter__(self) -> Iterator[bytes]:
            return self._body.blocking()

    class Asynchronous(http.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, body: Body) -> None:
            self._body = body

        def __aiter__(self) -> AsyncIterator[bytes]:
            return aiter(self._body)

    return Blocking, Asynchronous


def answered(
    response: Any, request: Request, sent: Any, library: Library, ended: Callable[[bool], None] | None = None
) -> Response:
    """Make our response of the library's to what was `sent`, which has not been read.

    `ended` is called at its end with whether that is good: whether the body was read to its own end.
    """
    headers = response.headers.multi_items()
    about = (response.stream, request, sent, library, ended)
    if response.is_stream_consumed:  # by a hook of the caller's, or since it was never on a wire
        try:
            return _whole(response, Headers(headers), ended)
        except library.module.ResponseNotRead:
            return Response(response.status_code, headers=headers, stream=_Spent(*about))
    stream = _Download(*about)
    return Response(response.status_code, headers=headers, stream=stream)


def _whole(response: Any, headers: Headers, ended: Callable[[bool], None] | None) -> Response:
    """Make our response of one that the library has read, and decoded."""
    content = response.content
    if ended is not None:
        ended(True)
    encoded = is_encoded(headers.get("content-encoding", ""))
    for name in ("content-encoding", "content-length") if encoded else ():
        headers.pop(name, None)
    answer = Response(response.status_code, headers=headers, content=content)
    answer.was_encoded = encoded
    return answer


class _Download:
    """The body of a response: never suspends over a blocking stream, and fails with our errors."""

    def __init__(
        self, source: Any, request: Request, sent: Any, library: Library, ended: Callable[[bool], None] | None
    ) -> None:
        self._source, self._request, self._sent = source, request, sent
        self._library, self._ended, self._good = library, ended, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with as_our_errors(self._request, self._sent, self._library):
            if hasattr(self._source, "__aiter__"):
                async for chunk in self._source:
                    yield chunk
            else:
                for chunk in self._source:
                    yield chunk
        _have_closed_what_says_more(self._source)
        self._good = True

    async def aclose(self) -> None:
        """Let the connection go."""
        good = False
        try:
            if hasattr(self._source, "aclose"):
                await self._source.aclose()
            else:
                self._source.close()
            good = self._good
        finally:
            if self._ended is not None:
                self._ended(good)


# What leads from a body to the state of its connection, through wrappers of the library and ours (httpcore 1.0.9).
_INWARD = ("_h11_state", "_connection", "_httpcore_stream", "_stream", "_source")


def _have_closed_what_says_more(source: Any) -> None:
    """Have a connection closed on which more has come than the answer that was read there.

    Nobody has asked for it, and it would be given to the next request as its answer.
    """
    inner: Any = source
    while inner is not None and not hasattr(inner, "trailing_data"):
        inner = next((getattr(inner, name) for name in _INWARD if hasattr(inner, name)), None)
    if inner is not None and inner.trailing_data[0]:
        inner.send_failed()  # the library keeps no connection whose state is an error


class _Spent(_Download):
    """The body of a response of which a hook has read a part: what is left of it would be taken for all."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise InvalidResponse(
            f"{self._request.named}: a hook of event_hooks= has read a part of the answer. Let it call read(), which "
            "keeps the whole, or read nothing.",
            request=self._request,
        )
