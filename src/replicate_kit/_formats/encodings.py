"""Content encodings of HTTP (RFC 9110 §8.4), undone in bounded memory; no I/O.

HTTP libraries decode a chunk as a whole, so that 64 KiB become 64 MB, and 64 GB where they are encoded twice. Here no
chunk of what is decoded is larger than 64 KiB, however much there is behind it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Protocol

__all__ = ["Decoder", "EncodingError", "decoder_of", "is_encoded"]

_CHUNK = 64 * 1024
_SLICE = 64  # bytes given at once to what cannot be told where to stop; zstd makes 128 KiB of 4
_MOST_CODINGS, _MOST_BETWEEN = 3, 1024**3


class EncodingError(ValueError):
    """A body that is not what its Content-Encoding says, or that says what nobody here can undo."""


class Decoder(Protocol):
    """Undoes an encoding."""

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        """Take in bytes; give what they decode to, in chunks."""
        ...

    def finish(self) -> bool:
        """Tell whether what came was whole."""
        ...


def decoder_of(header: str) -> Decoder | None:
    """Make the decoder of a Content-Encoding; None for a body that is not encoded.

    Raises `EncodingError` for an encoding that cannot be undone here, or for which nothing is installed.

    >>> decoder_of("identity") is None
    True
    >>> b"".join(decoder_of("gzip").feed(__import__("gzip").compress(b"hello")))
    b'hello'
    """
    codings = _codings(header)
    if len(codings) > _MOST_CODINGS:
        raise EncodingError(f"it is encoded {len(codings)} times ({header[:80]})")
    decoder: Decoder | None = None
    for coding in reversed(codings):  # named in the order in which they were applied
        inner = _decoder(coding)
        decoder = inner if decoder is None else _Chained(decoder, inner)
    return decoder


def is_encoded(header: str) -> bool:
    """Whether a body with this Content-Encoding is encoded: stores write other things there, too.

    >>> is_encoded("gzip"), is_encoded("identity"), is_encoded("aws-chunked"), is_encoded("utf-8")
    (True, False, False, False)
    """
    return bool(_codings(header))


# https://www.iana.org/assignments/http-parameters (content codings). What is none of these was written there by
# somebody who uploaded a file, as "utf-8", "none" and "aws-chunked" are, and the body is as it is.
_REGISTERED = frozenset(
    {"aes128gcm", "br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "pack200-gzip", "x-compress"}
    | {"x-gzip", "zstd"}
)


def _codings(header: str) -> list[str]:
    """The codings that a body has, in the order in which they were applied."""
    return [each for each in (part.strip().lower() for part in header.split(",")) if each in _REGISTERED]


def _decoder(coding: str) -> Decoder:
    """Make the decoder of one coding."""
    match coding:
        case "gzip" | "x-gzip":
            return _Inflating(zlib.MAX_WBITS | 16)
        case "deflate":
            return _Inflating(zlib.MAX_WBITS)
        case "zstd":
            return _Sliced(_zstd())
        case "br":
            return _Sliced(_brotli())
    raise EncodingError(f"its encoding {coding!r} cannot be undone here")


class _Inflating:
    """Undoes gzip, of one member or several, and deflate, with its header (RFC 1950) or, as some send it, without."""

    def __init__(self, window: int) -> None:
        self._window, self._inner = window, zlib.decompressobj(window)
        self._begun = False  # with the stream, or the member, that is being read
        self._has_given = False  # anything of it
        self._is_over = False  # what follows the last member of gzip is no other one
        self._members = 0  # of gzip, that have ended
        self._head = b""  # what came before it is known whether deflate has a header, which takes two bytes

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        """Give what the bytes decode to."""
        if self._is_over or (self._inner.eof and not self._has_members):
            return  # zlib would keep what follows the end
        while data:
            chunk = self._inflated(data)
            if chunk:
                yield chunk
            data = self._inner.unconsumed_tail
            if self._inner.eof:
                data = self._next_member(self._inner.unused_data)
        # What is left inside of zlib comes out once there is room for it.
        while chunk := self._inflated(b""):
            yield chunk

    def finish(self) -> bool:
        """Tell whether the last stream ended."""
        return self._is_over or self._inner.eof or not self._begun

    @property
    def _has_members(self) -> bool:
        """Whether it is gzip, of which one stream may follow another."""
        return self._window == zlib.MAX_WBITS | 16

    def _inflated(self, data: bytes) -> bytes:
        """Decode a chunk."""
        try:
            chunk = self._inner.decompress(data, _CHUNK)
        except zlib.error as error:
            if self._members and not self._has_given:  # as gzip itself does, with a warning
                self._is_over = True
                self._inner = zlib.decompressobj(self._window)
                return b""
            if self._window != zlib.MAX_WBITS or (self._begun and not self._head):
                raise EncodingError(str(error)) from error
            self._window, self._inner = -zlib.MAX_WBITS, zlib.decompressobj(-zlib.MAX_WBITS)
            return self._inflated(self._head + data)
        if data:
            self._head = data if not self._begun and len(data) == 1 else b""
            self._begun = True
        self._has_given = self._has_given or bool(chunk)
        return chunk

    def _next_member(self, data: bytes) -> bytes:
        """Begin with what follows; zeros at the end of gzip are padding, and what follows deflate is nothing."""
        data = data.lstrip(b"\0") if self._has_members else b""
        if data:
            self._inner, self._begun = zlib.decompressobj(self._window), False
            self._has_given, self._members = False, self._members + 1
        return data


class _Sliced:
    """Undoes an encoding by a library that gives all at once: it gets little at once."""

    def __init__(self, inner: tuple[Callable[[bytes], bytes], Callable[[], bool]]) -> None:
        self._decode, self._is_whole = inner
        self._begun = False

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        """Give what the bytes decode to."""
        for start in range(0, len(data), _SLICE):
            self._begun = True
            try:
                decoded = self._decode(data[start : start + _SLICE])
            except Exception as error:  # each library has a class of its own
                raise EncodingError(str(error)) from error
            for at in range(0, len(decoded), _CHUNK):
                yield decoded[at : at + _CHUNK]

    def finish(self) -> bool:
        """Tell whether the stream ended."""
        return not self._begun or self._is_whole()


def _zstd() -> tuple[Callable[[bytes], bytes], Callable[[], bool]]:
    """Make a decoder of Zstandard (RFC 8878)."""
    library = _library("zstd", "zstandard")
    frames = [library.ZstdDecompressor().decompressobj()]

    def decode(data: bytes) -> bytes:
        chunks = list[bytes]()
        while data:
            if frames[0].eof:  # one frame may follow another
                frames[0] = library.ZstdDecompressor().decompressobj()
            chunks.append(frames[0].decompress(data))
            data = frames[0].unused_data
        return b"".join(chunks)

    return decode, lambda: bool(frames[0].eof)


def _brotli() -> tuple[Callable[[bytes], bytes], Callable[[], bool]]:
    """Make a decoder of Brotli (RFC 7932)."""
    inner: Any = _library("br", "brotli", "brotlicffi").Decompressor()
    decode = inner.process if hasattr(inner, "process") else inner.decompress
    return decode, getattr(inner, "is_finished", lambda: True)


def _library(coding: str, *names: str) -> Any:
    """Import the first of these libraries that is installed."""
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise EncodingError(f"its encoding {coding!r} needs the package {names[0]!r}, which is not installed")


class _Chained:
    """Undoes one encoding after another."""

    def __init__(self, first: Decoder, second: Decoder) -> None:
        self._first, self._second, self._between = first, second, 0

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        """Give what the bytes decode to."""
        for chunk in self._first.feed(data):
            self._between += len(chunk)
            if self._between > _MOST_BETWEEN:  # whoever counts what comes out would not see it
                raise EncodingError("it is encoded twice, and far larger in between than is sensible")
            yield from self._second.feed(chunk)

    def finish(self) -> bool:
        """Tell whether both streams ended."""
        return self._first.finish() and self._second.finish()
