"""What a request carries: bytes, or chunks that say whether they can be sent again."""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from replicate_kit._formats.pairs import as_text, pairs_of
from replicate_kit._runtime.blocking import iterate
from replicate_kit._runtime.byte_streams import ByteStream
from replicate_kit.errors import ConfigError

__all__ = ["Body", "Once", "Replayable", "form", "json_bytes"]

_CHUNK = 64 * 1024
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f"]')


class Body(ABC):
    """Chunks of a body; iterate it with `async for` under every driver.

    `length` is in bytes; None where it is not known before it is sent.
    """

    def __init__(self, length: int | None = None) -> None:
        self.length = length

    @abstractmethod
    def _chunks(self) -> Iterable[bytes] | AsyncIterable[bytes]:
        """Give the chunks, from the first one on."""

    def blocking(self) -> Iterator[bytes]:
        """Iterate it on the caller's thread."""
        chunks = self._chunks()
        return iterate(aiter(chunks)) if isinstance(chunks, AsyncIterable) else iter(chunks)

    def __aiter__(self) -> AsyncIterator[bytes]:
        # No generator of our own: what sends a body leaves it where the request breaks off, and closes nothing.
        chunks = self._chunks()
        return ByteStream(chunks) if isinstance(chunks, AsyncIterable) else _Chunks(chunks)


class _Chunks:
    """Iterates chunks that are there at once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._source = iter(chunks)

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._source:
            return chunk
        raise StopAsyncIteration


class Replayable(Body):
    """A body that can be sent again: `make` gives its chunks anew each time.

    >>> from replicate_kit.transport import Request
    >>> body = Replayable(lambda: [b"one", b"two"], length=6)
    >>> Request("PUT", "https://api.test/", body=body).headers["content-length"]
    '6'
    """

    def __init__(
        self, make: Callable[[], Iterable[bytes] | AsyncIterable[bytes]], /, length: int | None = None
    ) -> None:
        super().__init__(length)
        self._make = make

    def _chunks(self) -> Iterable[bytes] | AsyncIterable[bytes]:
        return self._make()


class Once(Body):
    """A body that is gone once it was read, such as a stream from elsewhere: its request is never sent again."""

    def __init__(self, chunks: Iterable[bytes] | AsyncIterable[bytes], /, length: int | None = None) -> None:
        super().__init__(length)
        self._source: Iterable[bytes] | AsyncIterable[bytes] | None = chunks

    def _chunks(self) -> Iterable[bytes] | AsyncIterable[bytes]:
        source, self._source = self._source, None
        if source is None:
            raise ConfigError(
                "The body of this request was sent already and cannot be read again. Make a Replayable body."
            )
        return source


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def json_bytes(value: Any) -> bytes:
    """Write JSON. Raises `ValueError` and `TypeError` for what it cannot hold, such as NaN."""
    return _ENCODER.encode(value).encode("utf-8")


def form(data: Mapping[str, Any] | None, files: Any) -> tuple[bytes | Body, str]:
    """Write the fields and files of a form: the body, and its content type.

    A file is its content (bytes, text or an open file), or a tuple of its name, its content and, if need be, its type.
    One whose name is None is a field without a name of a file.
    """
    fields = pairs_of(data or {})
    if not files:
        return urlencode(
            [(name, as_text(value)) for name, value in fields]
        ).encode(), "application/x-www-form-urlencoded"
    boundary = os.urandom(16).hex()
    items = list(files.items() if isinstance(files, Mapping) else files)
    parts: list[_Part] = [_field(name, value) for name, value in fields]
    parts += [_file(name, value) for name, value in items]
    return _multipart(parts, boundary), f"multipart/form-data; boundary={boundary}"


class _Part:
    """One part of a form: its head, and its content."""

    def __init__(self, head: bytes, content: bytes | Any) -> None:
        self.head, self.content = head, content

    @property
    def length(self) -> int | None:
        """How many bytes it has, None where that is not known."""
        size = len(self.content) if isinstance(self.content, bytes) else _size_of(self.content)
        return None if size is None else len(self.head) + size

    @property
    def is_replayable(self) -> bool:
        """Whether its content can be read again."""
        return isinstance(self.content, bytes) or _can_seek(self.content)

    def chunks(self) -> Iterator[bytes]:
        """Give it piece by piece."""
        yield self.head
        if isinstance(self.content, bytes):
            yield self.content
            return
        if _can_seek(self.content):
            self.content.seek(0)
        while chunk := self.content.read(_CHUNK):
            yield chunk if isinstance(chunk, bytes) else chunk.encode("utf-8")


def _multipart(parts: list[_Part], boundary: str) -> bytes | Body:
    """Put the parts together (https://www.rfc-editor.org/rfc/rfc7578)."""
    begin, end = f"--{boundary}\r\n".encode(), f"--{boundary}--\r\n".encode()

    def chunks() -> Iterator[bytes]:
        for part in parts:
            yield begin
            yield from part.chunks()
            yield b"\r\n"
        yield end

    lengths = [part.length for part in parts]
    known = [each for each in lengths if each is not None]
    length = sum(known) + len(parts) * (len(begin) + 2) + len(end) if len(known) == len(lengths) else None
    if all(part.is_replayable for part in parts):
        return Replayable(chunks, length)
    return Once(chunks(), length)


def _field(name: str, value: Any) -> _Part:
    """A field with a value."""
    if not isinstance(value, str | bytes | int | float | None):
        raise TypeError(f"the field {name!r} is a {type(value).__name__}, and no text or number")
    content = value if isinstance(value, bytes) else as_text(value).encode("utf-8")
    return _Part(f'Content-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'.encode(), content)


def _file(name: str, value: Any) -> _Part:
    """A file, with its name and its type."""
    given, content, kind, headers = _about(value)
    file_name = given and str(given)
    named = f'; filename="{_quoted(file_name)}"' if file_name else ""
    lines = [f'Content-Disposition: form-data; name="{_quoted(name)}"{named}']
    lines += [f"{header}: {each}" for header, each in headers.items()]
    if "content-type" not in map(str.lower, headers) and (kind or file_name):
        lines.append(f"Content-Type: {kind or _type_of(str(file_name))}")
    return _Part(
        ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8"),
        content.encode() if isinstance(content, str) else content,
    )


def _about(value: Any) -> tuple[Any, Any, str | None, Mapping[str, str]]:
    """The name, content, type and headers of a file."""
    if not isinstance(value, tuple):
        return _name_of(value), value, None, {}
    name, content, *more = value
    return name, content, more[0] if more else None, more[1] if len(more) > 1 else {}


def _name_of(content: Any) -> str:
    """The name of an open file."""
    name = getattr(content, "name", None)
    return os.path.basename(name) if isinstance(name, str) else "upload"


def _type_of(name: str) -> str:
    """The type that a file's name tells."""
    import mimetypes  # reads the system's own table

    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _size_of(file: Any) -> int | None:
    """How many bytes an open file has; None where it does not tell. Of a file of text it is unknown: it is encoded."""
    if hasattr(file, "encoding"):
        return None
    try:
        at = file.tell()
        file.seek(0, os.SEEK_END)
        size = int(file.tell())
        file.seek(at)
    except (AttributeError, OSError, ValueError, TypeError):
        return None
    return size


def _can_seek(file: Any) -> bool:
    """Whether an open file can be read from its beginning again."""
    seekable = getattr(file, "seekable", None)
    return bool(seekable()) if seekable is not None else hasattr(file, "seek")


def _quoted(text: str) -> str:
    """Write a name in a header as browsers do (https://html.spec.whatwg.org/#multipart-form-data)."""
    return _NOT_IN_NAMES.sub(lambda found: f"%{ord(found[0]):02X}", text).replace("\\", "\\\\")
