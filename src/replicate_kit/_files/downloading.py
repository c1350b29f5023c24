"""A file on its way in: chunk by chunk, checked, and continued where the connection broke."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from replicate_kit._door.responses import Response
from replicate_kit._files.blocks import BLOCK, Digest, Gathering
from replicate_kit._formats.redacting import named
from replicate_kit._formats.references import escape
from replicate_kit.errors import (
    APIError,
    ConnectionLost,
    FileError,
    FileExpired,
    RequestTimeout,
    TransportError,
)
from replicate_kit.records import parse_time

__all__ = [
    "LATE",
    "MOST_IN_MEMORY",
    "Download",
    "check_in_memory",
    "download_of",
    "open_download",
    "read_range",
]

MOST_IN_MEMORY = 4 * 1024**3
"""Bytes of a file that are read into memory at once."""

LATE = (0.25, 0.5, 1.0, 2.0)
"""Seconds between attempts at a file that is not there: users of the official clients saw hosts of outputs answer 404
once, and then with the file."""

_MOST_FAILURES = 5  # attempts in a row that brought next to nothing
_PROGRESS = 16 * 1024  # bytes that are more than that
_GONE = frozenset({404, 410})
_KEPT_FOR = timedelta(hours=1)  # after the end of a prediction (the API's documentation of data retention)


class Body(Protocol):
    """A response whose body is still coming in."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def aiter_bytes(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class Opener(Protocol):
    """What can open a URL: a session."""

    async def fetch(self, method: str, path: str, /, **options: Any) -> Any: ...
    async def open_file(self, url: str, *, headers: Mapping[str, str] | None = None) -> Any: ...
    async def in_thread(self, function: Any, /) -> Any: ...
    async def shield(self, operation: Any, /) -> Any: ...
    async def wait(self, future: Any, timeout: float | None, /) -> bool: ...
    async def sleep(self, seconds: float, /) -> None: ...


class Download:
    """The bytes of a URL. Read `chunks` or `blocks` once, and `aclose` in the end.

    `size` is the number of bytes that the server announced, None where it did not; `received` and `sha256`
    tell of what has been read so far. A connection that breaks is made again from where it was; a body that
    is shorter or longer than announced, or that has changed meanwhile, is a `FileError`.
    """

    def __init__(self, url: str, opener: Opener, body: Body, made_by: str | None = None) -> None:
        self.url, self.received, self._made_by = url, 0, made_by
        self._opener, self._body, self._digest = opener, body, Digest()
        self._gathered = Gathering()
        self._encoded = _is_encoded(body)
        self._validator = _validator(body.headers)
        self.content_type = body.headers.get("content-type")
        self.size = None if self._encoded else _number(body.headers.get("content-length"))

    @property
    def sha256(self) -> str:
        """The digest of what has been read, in hexadecimal."""
        return self._digest.hexdigest()

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Give the content chunk by chunk as it comes in."""
        async with aclosing(self._all_chunks()) as chunks:
            async for chunk in chunks:
                self._digest.add(chunk)
                self.catch_up()
                yield chunk

    async def blocks(self) -> AsyncGenerator[memoryview]:
        """Give the content in larger blocks. For each of them `catch_up` is to be called, on a thread that may work."""
        async with aclosing(self._all_chunks()) as chunks:
            async for chunk in chunks:
                if not self._gathered.has_room(chunk) and self._gathered.content:
                    yield self._noted(self._gathered.take())
                if len(chunk) > BLOCK:
                    yield self._noted(memoryview(chunk))
                else:
                    self._gathered.add(chunk)
        if self._gathered.content:
            yield self._noted(self._gathered.take())

    def catch_up(self) -> None:
        """Take the digest of the blocks that were given."""
        self._digest.catch_up()

    def _noted(self, block: memoryview) -> memoryview:
        """Note a block of which the digest is to be taken."""
        self._digest.add(block)
        return block

    async def _all_chunks(self) -> AsyncGenerator[bytes]:
        """Read from as many connections as it takes."""
        failures = 0
        while True:
            before = self.received
            try:
                async with aclosing(self._chunks()) as chunks:
                    async for chunk in chunks:
                        yield chunk
                self._check_complete()
                return
            except (ConnectionLost, RequestTimeout) as error:
                failures = 1 if self.received - before >= _PROGRESS else failures + 1
                if failures > _MOST_FAILURES:
                    raise FileError(f"{self._told()} broke off {failures} times: {error}") from error
                await self._reopen(failures)
            except TransportError as error:
                raise FileError(f"{self._told()} cannot be read: {error}") from error

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._body.aclose()

    async def _chunks(self) -> AsyncGenerator[bytes]:
        """Read from one connection, without what had been read before it."""
        # A server that knows no ranges gives the file from its beginning. What we have given already cannot be taken
        # back, so that its digest has to be the same.
        skip = 0 if self._body.status_code == 206 else self.received
        again = Digest()
        async with aclosing(self._body) as body:
            async for chunk in body.aiter_bytes():
                fresh = chunk
                if skip:
                    known, fresh = chunk[:skip], chunk[skip:]
                    skip -= len(known)
                    again.add(known)
                    again.catch_up()
                    if not skip and again.digest() != self._digest.digest(self._gathered.content):
                        raise FileError(
                            f"{self._told()} changed while it was read. Run the prediction again."
                        )
                if fresh:
                    self.received += len(fresh)
                    yield fresh
        if skip:  # what was there before is not all there now, and nobody has compared it
            raise ConnectionLost(f"it ended {skip} bytes before where it had broken off")

    def _check_complete(self) -> None:
        """Compare what came with what was announced."""
        if self.size is not None and self.received < self.size:
            raise ConnectionLost(f"it ended after {self.received} of {self.size} bytes")
        if self.size is not None and self.received > self.size:
            raise FileError(f"{self._told()} is longer than the {self.size} bytes that were announced.")

    async def _reopen(self, failures: int) -> None:
        """Ask for the rest."""
        await self._body.aclose()
        await self._opener.sleep(min(0.1 * 2.0**failures, 5.0))
        self._body = await self._continued()
        if self._body.status_code == 206:
            self._check_range()

    async def _continued(self) -> Body:
        """Open the URL from where we stopped, or from its beginning where that cannot be asked for."""
        headers = dict(_PLAIN)
        if self.received and not self._encoded:
            headers["Range"] = f"bytes={self.received}-"
            if self._validator:
                headers["If-Range"] = self._validator
        try:
            return await self._open(headers)
        except FileError as error:
            # A file whose size was not announced may have broken off at its very end: nothing is left to ask for.
            if self.size is not None or not _is_past_the_end(error):
                raise
            return await self._open(_PLAIN)

    async def _open(self, headers: Mapping[str, str]) -> Body:
        """Open the URL again."""
        body: Body = await _opened(self.url, self._opener, headers, self._made_by)
        return body

    def _check_range(self) -> None:
        """See that the server continues where we stopped, in a file of the same size.

        It may tell the size now that it did not announce at first.
        """
        found = _part(self._body)
        if found is not None and found[0] == self.received:
            self.size = found[2] if self.size is None else self.size
            if found[2] in (None, self.size):
                return
        raise FileError(
            f"{self._told()} cannot be continued: asked for the bytes from {self.received}, the server gave "
            f"{self._body.headers.get('content-range', '')!r}."
        )

    def _told(self) -> str:
        """Name the file in messages, without what may be secret in its URL."""
        return named(self.url)


_PLAIN = {"Accept-Encoding": "identity"}  # offsets and sizes count the bytes of the file itself


async def open_download(url: str, opener: Opener, made_by: str | None = None) -> Download:
    """Start to fetch a URL; raises `FileExpired` if it is gone. `made_by` is the id of the prediction it is of."""
    return Download(url, opener, await _opened(url, opener, _PLAIN, made_by), made_by)


async def read_range(
    url: str, opener: Opener, start: int, end: int | None, made_by: str | None = None
) -> bytes:
    """Read the bytes of a URL from `start` to before `end`, fewer where it ends earlier."""
    if end is not None and end <= start:
        return b""
    try:
        body = await _opened(
            url, opener, {**_PLAIN, "Range": f"bytes={start}-{'' if end is None else end - 1}"}, made_by
        )
    except FileError as error:
        if not _is_past_the_end(error):
            raise
        return b""
    if body.status_code == 206 and _is_encoded(body):  # a range of the encoded bytes
        await body.aclose()
        body = await _opened(url, opener, _PLAIN, made_by)
    try:
        if body.status_code == 206 and ((found := _part(body)) is None or found[0] != start):
            raise FileError(
                f"{named(url)} cannot be read in parts: asked for the bytes from {start}, the server gave "
                f"{body.headers.get('content-range', '')!r}."
            )
        # A server that knows no ranges gives the whole.
        skip = 0 if body.status_code == 206 else start
        return await _taken(body, skip, None if end is None else end - start)
    except TransportError as error:
        raise FileError(f"{named(url)} cannot be read: {error}") from error
    finally:
        await body.aclose()


def _is_past_the_end(error: FileError) -> bool:
    """Whether a server has no bytes from there on (RFC 9110 §15.5.17)."""
    return getattr(error.__cause__, "status", None) == 416


def _is_encoded(body: Any) -> bool:
    """Whether a body was sent encoded although it was asked for as it is: then ranges and sizes are of other bytes."""
    return bool(getattr(body, "was_encoded", False)) or (
        body.headers.get("content-encoding", "identity") != "identity"
    )


async def _taken(body: Body, skip: int, length: int | None) -> bytes:
    """Keep so much of a body after what is skipped, and read no more of it than that."""
    kept, at = bytearray(), -skip
    async with aclosing(body):
        async for chunk in body.aiter_bytes():
            first = max(-at, 0)
            last = len(chunk) if length is None else max(length - at, 0)
            kept += chunk[first:last]
            at += len(chunk)
            check_in_memory(len(kept))
            if length is not None and at > length:
                break
    return bytes(kept)


def check_in_memory(size: int) -> None:
    """Raise `FileError` for more than is read into memory."""
    if size > MOST_IN_MEMORY:
        raise FileError(
            f"The file has more than {MOST_IN_MEMORY // 1024**3} GiB, which is more than is read into memory. Iterate "
            "over it, or save() it."
        )


def download_of(url: str, content: bytes, content_type: str, opener: Opener) -> Download:
    """Read what is already here in the same way."""
    headers = {"content-type": content_type, "content-length": str(len(content))}
    return Download(url, opener, Response(200, headers=headers, content=content))


async def _opened(url: str, opener: Opener, headers: Mapping[str, str], made_by: str | None) -> Any:
    """Open a URL; whatever goes wrong is an error of this file.

    An output that is not there is asked for again for some seconds, unless it has certainly expired.
    """
    pauses = iter(LATE if made_by is not None else ())
    while True:
        try:
            body = await opener.open_file(url, headers=headers)
            return await _with_a_file(url, body, whole="Range" not in headers)
        except TransportError as error:
            raise FileError(f"The file cannot be fetched: {error}") from error
        except APIError as error:
            if error.status not in _GONE:
                said = error.detail or error.title or "no explanation"
                raise FileError(f"{named(url)} cannot be fetched: {error.status} {said}") from error
            expired = await _has_expired(made_by, opener)
            pause = None if expired else next(pauses, None)
            if pause is None:
                raise _missing(url, error.status, expired or made_by is None) from error
        await opener.sleep(pause)


async def _with_a_file(url: str, body: Body, *, whole: bool) -> Body:
    """Give a body that has a file, the `whole` of it where that was asked for; raise `FileError` for others."""
    if problem := _not_a_file(body, whole=whole):
        await body.aclose()
        raise FileError(f"{named(url)} cannot be fetched: the server answered {problem}.")
    return body


def _not_a_file(body: Body, *, whole: bool) -> str | None:
    """Say what is wrong with a success: a file comes with 200, with 203 from a proxy, or in part with 206."""
    if body.status_code in (200, 203):
        return None
    if body.status_code != 206:
        return f"{body.status_code}, which brings no file"
    found, answered = _part(body), body.headers.get("content-range")
    if whole and (found is None or found[0] != 0 or found[1] + 1 != found[2]):
        return f"206 with a part of the file ({answered or 'it does not say which'}), and all of it was asked for"
    return None


def _part(body: Body) -> tuple[int, int, int | None] | None:
    """Read which bytes a body has: the first, the last, and the size of the file, None where it is not told."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", body.headers.get("content-range", "").strip())
    return (int(found[1]), int(found[2]), _number(found[3])) if found else None


async def _has_expired(made_by: str | None, opener: Opener) -> bool:
    """Ask whether the outputs of a prediction are removed, as they are an hour after its end."""
    if made_by is None:
        return False
    try:
        found = await opener.fetch("GET", f"predictions/{escape(made_by)}")
    except (APIError, TransportError):
        return False
    if not isinstance(found, dict):
        return False
    ended = parse_time(found.get("completed_at"))
    removed = found.get("data_removed") or (
        found.get("status") == "succeeded" and found.get("output") is None
    )
    return bool(removed) or (ended is not None and datetime.now(UTC) - ended >= _KEPT_FOR)


def _missing(url: str, status: int, expired: bool) -> FileError:
    """Make the error of a file that is not there."""
    if expired:
        return FileExpired(
            f"{named(url)} is gone. The API removes outputs one hour after the prediction; "
            "pass save_to=… to run or map so that files are stored as they are made."
        )
    return FileError(
        f"{named(url)} is not there ({status}), and the API does not say that it has removed it. Read or "
        "store it again: it is kept for an hour after the prediction."
    )


def _validator(headers: Mapping[str, str]) -> str | None:
    """What tells this version of the file from another: a strong ETag."""
    etag = headers.get("etag", "")
    # If-Range takes no weak one (RFC 9110 §13.1.5).
    return etag if etag.startswith('"') else None


def _number(text: str | None) -> int | None:
    """Read a size."""
    return int(text) if text and text.isascii() and text.isdigit() else None
