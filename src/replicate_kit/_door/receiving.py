"""What is read of an answer at most, and for how long: its size, its time, and how far an encoding may expand it.

Whoever makes a request says what its answer is (`Limits`). A body that goes beyond that is an error, raised while it
comes in, and the connection is closed. The body of an answer that is an error or a redirect is cut instead: its status
says what there is to know.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Iterator
from typing import Any

from replicate_kit._door.requests import Limits, Request
from replicate_kit._door.responses import Response
from replicate_kit._formats.encodings import Decoder, EncodingError, decoder_of, is_encoded
from replicate_kit._runtime.byte_streams import ByteStream
from replicate_kit.errors import ConnectionLost, FileError, InvalidResponse, RequestTimeout, TransportError

__all__ = ["Receiving", "patience", "taken_at_once", "too_slow"]

_LONG, _LONGEST = 3, 10  # times the timeout: for an answer, and for one that comes at a good speed
_GOOD_SPEED = 64 * 1024  # bytes a second
_SLOWEST = (
    256  # bytes a second of a file, over any length of a timeout; a connection of 2G has twenty times that
)
_MOST_OF_ERRORS = 1024 * 1024
# Of what is sent encoded: so many bytes, and beyond them so many for each that was sent.
_FREELY, _EXPANSION = 64 * 1024 * 1024, 100
_BLOCK = 64 * 1024
_BROKEN = (TransportError, EncodingError)  # what cuts an answer that says enough by its status


def patience(request: Request) -> float:
    """Seconds in which an answer of the API has to come, or its headers; without end where there is no timeout."""
    seconds = request.timeout.read
    return float("inf") if seconds is None else _LONG * seconds


def too_slow(request: Request, what: str) -> RequestTimeout:
    """Make the error of an answer that takes longer than any may; it is not asked for again."""
    request.given_up = True
    return RequestTimeout(
        f"{request.named}: {what} did not come to an end in {patience(request):g} s. Raise Client(timeout=…) if the "
        "connection is slow.",
        request=request,
    )


def taken_at_once(response: Response) -> bytes | None:
    """Take a body that is here already, not encoded, and no larger than it may be; None where it has to be read.

    A stream may have `take_whole(most)` for that. Nearly all answers come whole, and each step to read one costs as
    much as to decode its JSON.
    """
    take = getattr(response.stream, "take_whole", None)
    if take is None or "content-encoding" in response.headers:
        return None
    limits = response.request.limits
    most = float("inf") if limits.kind == "stream" else limits.most
    content: bytes | None = take(most if response.is_success else _MOST_OF_ERRORS)
    return content


class Receiving:
    """The body of a response: decoded, and no more of it than may be.

    An iterator and no generator: each answer of the API has one, and each generator within another costs as much as
    reading the answer.
    """

    def __init__(self, source: AsyncIterable[bytes], response: Response) -> None:
        self._source, self._request = source, response.request
        limits = response.request.limits
        kinds = {"answer": _Answer, "file": _File, "stream": _Stream}
        self._rule = (kinds[limits.kind] if response.is_success else _Cut)(response, limits)
        self._encoding = _taken_from(response)
        self._raw: ByteStream | None = None
        self._decoder: Decoder | None = None
        self._decoded: Iterator[bytes] = iter(())  # what is left of the last chunk
        self._waited, self._is_over = 0.0, False

    def __aiter__(self) -> Receiving:
        return self

    async def __anext__(self) -> bytes:
        # Small chunks would take many times their size, since what reads an answer keeps them in a list.
        kept, least = bytearray(), self._rule.block
        while chunk := await self._next():
            if not kept and len(chunk) >= least:
                return chunk
            kept += chunk
            if len(kept) >= least:
                break
        if kept:
            return bytes(kept)
        raise StopAsyncIteration

    async def whole(self) -> bytes:
        """Read all of it."""
        content = await self._next()
        more = await self._next() if content else b""
        if not more:  # as of nearly all answers
            return content
        found = bytearray(content)
        while more:
            found += more
            more = await self._next()
        return bytes(found)

    async def aclose(self) -> None:
        """Let the connection go, then what reads it."""
        self._is_over = True
        if (close := getattr(self._source, "aclose", None)) is not None:
            await close()
        if self._raw is not None:
            await self._raw.aclose()

    async def _next(self) -> bytes:
        """Give what comes next, decoded, as long as it may; nothing at the end."""
        try:
            while not self._is_over:
                for content in self._decoded:
                    self._rule.gave(len(content))
                    if content:
                        return content
                await self._read()
        except Exception as error:
            await self.aclose()
            if isinstance(error, EncodingError) and not self._rule.cuts:
                raise self._told(error) from error
            if not (isinstance(error, _Enough) or (self._rule.cuts and isinstance(error, _BROKEN))):
                raise
        except BaseException:
            self._is_over = True
            raise
        return b""

    async def _read(self) -> None:
        """Wait for the next chunk."""
        if self._raw is None:
            self._rule.begin()
            self._raw = ByteStream(self._source)
        asked = time.monotonic()
        try:
            chunk = await anext(self._raw)
        except StopAsyncIteration:
            self._is_over = True
            if self._decoder is not None and not self._decoder.finish():
                raise ConnectionLost(
                    f"{self._request.named}: the body ended in the middle of its encoding."
                ) from None
            return
        finally:
            self._waited += time.monotonic() - asked
        # Not before there is something to decode: an answer to HEAD names the encoding, and has no body.
        if self._decoder is None and self._encoding:
            self._decoder = decoder_of(self._encoding)
        self._rule.came(len(chunk), self._waited)
        self._decoded = iter((chunk,)) if self._decoder is None else self._decoder.feed(chunk)

    def _told(self, error: EncodingError) -> InvalidResponse:
        """Name the request where a body cannot be decoded."""
        return InvalidResponse(
            f"{self._request.named}: the body cannot be decoded ({error}).", request=self._request
        )


def _taken_from(response: Response) -> str:
    """Take the encoding from a response that has not been read, and note it: nobody is to undo it twice."""
    encoding = str(response.headers.get("content-encoding", ""))
    if not is_encoded(encoding):
        response.headers.pop("content-encoding", None)  # it says nothing
        return ""
    response.was_encoded = True
    for name in ("content-encoding", "content-length"):
        response.headers.pop(name, None)
    return encoding


class _Enough(Exception):
    """No more of a body is read."""


class _Stream:
    """A stream may last, and may be of any length."""

    cuts, block = False, 0

    def __init__(self, response: Response, limits: Limits) -> None:
        self._response, self._request, self._most = response, response.request, limits.most
        self._raw = self._given = 0

    def begin(self) -> None:
        """Look at what is announced."""

    def came(self, size: int, waited: float) -> None:
        """Note that so many bytes came, after so many seconds of waiting in all."""
        self._raw += size

    def gave(self, size: int) -> None:
        """Note that they decode to so many bytes."""
        self._given += size

    @property
    def _expands(self) -> bool:
        """Whether what was sent encoded has become far more than it was."""
        return self._response.was_encoded and self._given > max(_FREELY, self._raw * _EXPANSION)


class _Answer(_Stream):
    """An answer of the API has a size, and a time in which it has to come."""

    block = _BLOCK

    def begin(self) -> None:
        announced = _announced(self._response)
        if announced > self._most:
            raise self._too_large(announced)

    def came(self, size: int, waited: float) -> None:
        super().came(size, waited)
        long = patience(self._request)
        if waited > long and (waited > long / _LONG * _LONGEST or self._raw < waited * _GOOD_SPEED):
            raise too_slow(self._request, "the answer")

    def gave(self, size: int) -> None:
        super().gave(size)
        if self._given > self._most:
            raise self._too_large(self._given)
        if self._expands:
            raise InvalidResponse(
                f"{self._request.named}: the answer was sent encoded, and {self._raw} bytes of it became more than "
                f"{self._given}, so it was not read. Check that base_url leads to Replicate's API.",
                request=self._request,
            )

    def _too_large(self, size: int) -> InvalidResponse:
        """Make the error of an answer that is larger than any may be."""
        return InvalidResponse(
            f"{self._request.named}: the answer has more than {self._most} bytes ({size} or more), so it was not "
            "read. Raise Client(max_answer_bytes=…) if it is to be that large.",
            request=self._request,
        )


class _File(_Stream):
    """A file has a size, and comes at some speed."""

    def __init__(self, response: Response, limits: Limits) -> None:
        super().__init__(response, limits)
        self._since, self._before = 0.0, 0

    def begin(self) -> None:
        if _announced(self._response) > self._most:
            raise self._too_large(_announced(self._response))

    def came(self, size: int, waited: float) -> None:
        super().came(size, waited)
        window = patience(self._request) / _LONG
        if waited - self._since < window:
            return
        if self._raw - self._before < _SLOWEST * (waited - self._since):
            raise FileError(
                f"{self._told()} comes too slowly: {self._raw - self._before} bytes in {waited - self._since:.1f} s. "
                "Read or store it again later; raise Client(timeout=…) if the connection is slow."
            )
        self._since, self._before = waited, self._raw

    def gave(self, size: int) -> None:
        super().gave(size)
        if self._given > self._most:
            raise self._too_large(self._given)
        if self._expands:
            raise FileError(
                f"{self._told()} was sent encoded, and {self._raw} bytes of it became more than {self._given}: a "
                "file that is to fill a disk is made like that. Fetch it yourself if you trust the model that named it."
            )

    def _too_large(self, size: int) -> FileError:
        """Make the error of a file that is larger than any may be."""
        return FileError(
            f"{self._told()} has more than {self._most} bytes ({size} or more), so it was not fetched. Raise "
            "Client(max_file_bytes=…) if it is to be that large."
        )

    def _told(self) -> str:
        """Name the file, without what may be secret in its URL."""
        return self._request.url.bare


class _Cut(_Answer):
    """Of what is no success, so much is read as may say why."""

    cuts = True

    def __init__(self, response: Response, limits: Limits) -> None:
        super().__init__(response, limits)
        self._most = _MOST_OF_ERRORS

    def begin(self) -> None:
        """Read what there is."""

    def _too_large(self, size: int) -> Any:
        return _Enough()


def _announced(response: Response) -> int:
    """The number of bytes that a response announces, 0 where it does not."""
    length = response.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
