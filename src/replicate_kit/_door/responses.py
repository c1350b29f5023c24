"""A response, as a backend gives it."""

from __future__ import annotations

import json as json_module
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from replicate_kit._door.headers import Headers
from replicate_kit._door.requests import Request
from replicate_kit._formats.urls import URL
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit._runtime.byte_streams import ByteStream
from replicate_kit.errors import APIError

__all__ = ["Response", "received"]

_ENCODER = json_module.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_WITHOUT_BODY = (204, 304)  # RFC 9110 §15: an answer with one of these has none, and says no length


@with_safe_repr
class Response:
    """The answer to a request: its status, its headers, and its body.

    Its body is `content` (bytes), `text`, `json` or a `stream`: an asynchronous iterable of chunks, which may have
    `aclose()`. One with a stream is read with `aiter_bytes` or `aread`, and let go with `aclose`, under every driver;
    a blocking one never suspends.

    >>> response = Response(200, json={"status": "succeeded"})
    >>> response.json()["status"], response.headers["content-type"], response.is_success
    ('succeeded', 'application/json', True)
    """

    __slots__ = (
        "__weakref__",
        "_content",
        "_reading",
        "_request",
        "headers",
        "is_closed",
        "status_code",
        "stream",
        "was_encoded",
    )

    def __init__(
        self,
        status_code: int,
        *,
        headers: Any = None,
        content: bytes | None = None,
        text: str | None = None,
        json: Any = None,
        stream: AsyncIterable[bytes] | None = None,
        request: Request | None = None,
    ) -> None:
        self.status_code, self.headers = status_code, Headers(headers)
        self._request, self.stream = request, stream
        self.was_encoded = False
        """Whether the body was sent encoded; it has been decoded, and the headers say nothing of it any more."""
        self.is_closed = stream is None
        self._content: bytes | None = None
        self._reading: _Reading | None = None
        if stream is None:
            self._keep(content, text, json)

    def _keep(self, content: bytes | None, text: str | None, json: Any) -> None:
        """Keep a body that is there, and say in the headers what it is."""
        if content is None and text is not None:
            content = text.encode("utf-8")
            self.headers.setdefault("content-type", "text/plain; charset=utf-8")
        elif content is None and json is not None:
            content = _ENCODER.encode(json).encode("utf-8")
            self.headers.setdefault("content-type", "application/json")
        self._content = content or b""
        has_length = content is not None and self.status_code not in _WITHOUT_BODY
        if content is not None and has_length and "transfer-encoding" not in self.headers:
            self.headers.setdefault("content-length", str(len(content)))

    @property
    def request(self) -> Request:
        """The request that this is the answer to. Raises `RuntimeError` while nobody has said so."""
        if self._request is None:
            raise RuntimeError("This response belongs to no request yet. Pass Response(…, request=…).")
        return self._request

    @request.setter
    def request(self, request: Request) -> None:
        self._request = request

    @property
    def url(self) -> URL:
        """The URL that was asked."""
        return self.request.url

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status_code < 300

    @property
    def is_error(self) -> bool:
        """Whether the status is 4xx or 5xx."""
        return self.status_code >= 400

    def raise_for_status(self) -> Self:
        """Give the response itself, or raise `APIError` for one that is no success.

        What `Client.request` gives is one: it has raised already.
        """
        if self.is_success:
            return self
        raise APIError(
            f"{self.request.named}: {self.status_code}",
            status=self.status_code,
            body=self.text,
            headers=self.headers,
            request=self.request,
        )

    if not TYPE_CHECKING:  # checkers are to know what it has

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"A Response has no {name!r}. It has status_code, headers, content, text, json(), is_success, "
                "is_error, raise_for_status(), url and request; one with a stream has aiter_bytes(), aread() and "
                "aclose()."
            )

    @property
    def is_read(self) -> bool:
        """Whether the whole body is here."""
        return self._content is not None

    @property
    def content(self) -> bytes:
        """The body. Raises `RuntimeError` while it has not been read."""
        if self._content is None:
            raise RuntimeError("The body of this response has not been read. Await response.aread() first.")
        return self._content

    @property
    def text(self) -> str:
        """The body as text, in the charset that its content type names, or UTF-8."""
        charset = _charset(self.headers)
        try:
            return self.content.decode(charset, "replace")
        except (LookupError, ValueError):  # some charsets fail by errors of their own
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` where it is none."""
        return json_module.loads(self.content)

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate the body; what was read already is one chunk. It may be left early: `aclose` is enough.

        Raises `RuntimeError` for a stream that was begun before, or is closed: its connection may serve others by then.
        """
        if self._content is not None:
            return _OneChunk(self._content)
        if self._reading is not None or self.is_closed:
            how = "closed" if self.is_closed else "begun"
            raise RuntimeError(
                f"The body of this response was {how} already, and can be read one time. Use what the first reader "
                "got, or await response.aread() before anything else."
            )
        assert self.stream is not None  # a response has a body or a stream
        self._reading = _Reading(self, self.stream)
        return self._reading

    async def aread(self) -> bytes:
        """Read the whole body and give it. Raises `RuntimeError` as `aiter_bytes` does."""
        if self._content is None:
            chunks = [chunk async for chunk in self.aiter_bytes()]
            self._content = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return self._content

    async def aclose(self) -> None:
        """Let the connection go, then what reads from it."""
        if not self.is_closed:
            self.is_closed = True
            close = getattr(self.stream, "aclose", None)
            if close is not None:
                await close()
            if self._reading is not None:
                await self._reading.aclose()

    def __repr__(self) -> str:
        return f"<Response {self.status_code}>"


async def received(response: Response, request: Request, *, stream: bool) -> Response:
    """Give a response as `Transport.send` has to: decoded, within its request's limits, and read unless it is streamed.

    A backend whose responses have streams returns what this gives. Raises `InvalidResponse`, `RequestTimeout` or
    `FileError` for a body that goes beyond the limits.

    >>> import asyncio
    >>> from replicate_kit.transport import Request, Response
    >>> request = Request("GET", "https://api.test/v1/account")
    >>> asyncio.run(received(Response(200, text="yes"), request, stream=False)).text
    'yes'
    """
    response.request = request
    if response.stream is None or response.is_read:
        return response
    from replicate_kit._door.receiving import Receiving, taken_at_once

    if not stream and (content := taken_at_once(response)) is not None:
        response._content, response.stream, response.is_closed = content, None, True
        return response
    response.stream = body = Receiving(response.stream, response)
    if not stream:
        try:
            response._content = await body.whole()
        finally:
            await response.aclose()
        response.stream = None  # it knows the response, and would keep both until they are collected
    return response


def _charset(headers: Mapping[str, str]) -> str:
    """The charset that a content type names, or UTF-8."""
    for each in headers.get("content-type", "").split(";")[1:]:
        name, _, value = each.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'") or "utf-8"
    return "utf-8"


class _Reading:
    """Iterates a stream, and closes its response at the end: the connection is free then, whoever has read."""

    def __init__(self, response: Response, stream: AsyncIterable[bytes]) -> None:
        self._response, self._chunks = response, ByteStream(stream)

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            await self._response.aclose()
            raise

    async def aclose(self) -> None:
        """Close what gives the chunks."""
        await self._chunks.aclose()


class _OneChunk:
    """Iterates what is there. An iterator and not a generator: one that is left early needs nobody to close it."""

    def __init__(self, content: bytes) -> None:
        self._chunks = [content] if content else []

    def __aiter__(self) -> _OneChunk:
        return self

    async def __anext__(self) -> bytes:
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop()
