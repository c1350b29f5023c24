"""Files of inputs: local ones, open ones and pictures, as data URLs or uploads."""

from __future__ import annotations

import base64
import concurrent.futures
import io
import os
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any, Protocol, cast

from replicate_kit._files.handles import View, size_of
from replicate_kit._formats import file_names
from replicate_kit._formats.paths import url_of_path
from replicate_kit._formats.wording import escaped, with_safe_repr
from replicate_kit._runtime.single_flight import SingleFlight
from replicate_kit.config import Config
from replicate_kit.errors import InputError, InvalidResponse
from replicate_kit.records import parse_time

__all__ = [
    "INLINE_LIMIT",
    "Encoder",
    "InputFile",
    "encode_file",
    "file_of",
    "holds_file",
    "is_file",
    "is_inline",
    "is_picture",
    "picture_file",
    "upload",
    "upload_url",
]

# The API takes data URLs of up to 256 KB (its OpenAPI description, `predictions.create`).
INLINE_LIMIT = 256 * 1024


class Encoder(Protocol):
    """What encoding files needs of a session."""

    config: Config
    single_flight: SingleFlight

    def now(self) -> float: ...
    async def wait(self, future: concurrent.futures.Future[Any], timeout: float | None, /) -> bool: ...
    async def fetch(self, method: str, path: str, /, **options: Any) -> Any: ...
    async def in_thread(self, function: Callable[[], Any], /) -> Any: ...


def is_picture(value: Any) -> bool:
    """Tell whether a value is an image of Pillow's, without importing that."""
    return type(value).__module__.partition(".")[0] == "PIL" and hasattr(value, "save")


@with_safe_repr
@dataclass(frozen=True)
class InputFile:
    """A file on its way in: `source` is its content, a local path or an open binary handle; `size` is in
    bytes.
    """

    source: bytes | Path | IO[bytes]
    name: str
    size: int
    content_type: str | None = None

    @property
    def media_type(self) -> str:
        """Its type: what was said, else what the name suggests."""
        return self.content_type or file_names.media_type(self.name) or file_names.UNKNOWN_TYPE

    @property
    def inline_type(self) -> str | None:
        """The type by which a data URL keeps the name's suffix: what was said, else by the name; None for none."""
        kept = file_names.inline_type(self.name)
        return self.content_type or kept if kept else None

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open the content from its beginning; a handle that the caller gave stays where it is."""
        if isinstance(self.source, bytes):
            yield io.BytesIO(self.source)
        elif isinstance(self.source, Path):
            with self.source.open("rb") as handle:
                yield handle
        else:
            with View(self.source) as view:
                yield cast("IO[bytes]", view)

    @property
    def fingerprint(self) -> tuple[object, ...] | None:
        """What tells that another has the same content without reading it; None for a handle, which may change."""
        if isinstance(self.source, bytes):
            return "content", id(self.source)
        if isinstance(self.source, Path):
            found = self.source.stat()
            return "path", str(self.source), found.st_ino, found.st_size, found.st_mtime_ns
        return None

    def digest(self) -> str:
        """The SHA-256 of the content, in hexadecimal."""
        with self.opened() as handle:
            import hashlib  # as files are sent seldom, and it loads the library of TLS

            return hashlib.file_digest(handle, "sha256").hexdigest()  # type: ignore[arg-type]

    def read(self) -> bytes:
        """Read the whole content."""
        with self.opened() as handle:
            return handle.read()


def holds_file(value: Any) -> bool:
    """Whether `file_of` would see a file, without looking into it."""
    if isinstance(value, str):
        return False
    known = isinstance(value, bytes | bytearray | memoryview | PurePath)
    return known or is_picture(value) or hasattr(value, "read")


def is_file(value: Any) -> bool:
    """Whether a value is a file that would be sent as a URL: one of `file_of`, or one in a store.

    Those of stores, fsspec's `OpenFile` and universal_pathlib's `UPath`, have a path and can be opened; they are told
    without an import. A model's output has its URL already, which is a text.

    >>> is_file(b"content"), is_file("text")
    (True, False)
    """
    if isinstance(value, str):
        return False
    return holds_file(value) or (hasattr(value, "fs") and hasattr(value, "path"))


def file_of(value: Any) -> InputFile | None:
    """See a file in a value: a path, bytes, an open handle in either mode, or an image; None for anything
    else, text included.

    Raises `InputError` for a file that cannot be read.
    """
    if not holds_file(value):
        return None
    try:
        return _file_of(value)
    except (OSError, ValueError) as error:  # ValueError: a handle that was closed
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{value!r:.200} cannot be read ({error}). Pass a file that is open for reading."
        ) from error


def _file_of(value: Any) -> InputFile:
    """Make the file of a value that is one."""
    match value:
        case bytes() | bytearray() | memoryview():
            return InputFile(bytes(value), "file", len(bytes(value)))
        case PurePath():
            return _file_at(Path(value))
        case io.StringIO():
            return _file_in_memory(value.getvalue().encode(), "file.txt")
        case _ if hasattr(value, "read"):
            return _file_of_handle(value)
        case _:
            return picture_file(value)


def _file_in_memory(content: bytes, name: str) -> InputFile:
    """Hold a content."""
    return InputFile(content, name, len(content))


def _file_at(path: Path) -> InputFile:
    """Point to a local file."""
    if path.is_file():
        return InputFile(path, path.name, path.stat().st_size)
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder. Pass the path of a file in it.")
    if (url := url_of_path(str(path))) is not None:
        raise InputError(
            f"There is no file {str(path)!r}: pathlib has made it of a URL. Pass it as the text {url!r}."
        )
    raise InputError(
        f"There is no file {str(path)!r} (looked from {os.getcwd()!r}). Pass the path of an existing file."
    )


def _file_of_handle(handle: Any) -> InputFile:
    """Take an open handle; one in text mode gives the bytes below it, one that cannot seek is read to its
    end.
    """
    binary = getattr(handle, "buffer", handle)
    name = _name_of_handle(handle) or "file"
    if not (hasattr(binary, "seekable") and binary.seekable()):
        content = binary.read()
        return _file_in_memory(content.encode() if isinstance(content, str) else content, name)
    return InputFile(binary, name, size_of(binary))


def _name_of_handle(handle: Any) -> str:
    """The last part of the name that a handle has; empty where it has none.

    It is a number for a descriptor, and None for a temporary file in memory. Those of stores have a path.
    """
    named = getattr(handle, "name", None) or getattr(handle, "path", None)
    return posixpath.basename(os.fsdecode(named)) if isinstance(named, str | bytes | os.PathLike) else ""


def picture_file(image: Any) -> InputFile:
    """Write a Pillow image, in its own format where it came from a file, else as PNG."""
    format_ = image.format or "PNG"
    packed = io.BytesIO()
    image.save(packed, format=format_)
    return _file_in_memory(packed.getvalue(), f"image.{format_.lower()}")


def is_inline(file: InputFile, config: Config) -> bool:
    """Whether a file goes into the input itself, and is not uploaded under its name."""
    if config.file_encoding != "auto":
        return config.file_encoding == "inline"
    # Base64 makes four characters of three bytes; the hundred are for the type that stands before them.
    return file.size * 4 / 3 + 100 <= INLINE_LIMIT and file.inline_type is not None


async def encode_file(file: InputFile, session: Encoder) -> str:
    """Give the URL under which the model finds the file: a data URL where it is small and keeps its suffix in one,
    else an upload's.
    """
    if is_inline(file, session.config):
        content = await session.in_thread(file.read)
        return f"data:{file.inline_type or file.media_type};base64,{base64.b64encode(content).decode()}"
    # Asked for now: the environment, or the scope of another tenant, may have another token than a moment ago.
    key = (await _digest(file, session), file.name, file.media_type, session.config.api_token)
    return str(await session.single_flight(key, lambda: upload_url(file, session), session))


async def _digest(file: InputFile, session: Encoder) -> str:
    """Hash a file beside the event loop: once for all who send the same one now."""
    fingerprint = await session.in_thread(lambda: file.fingerprint)
    if fingerprint is None:
        return str(await session.in_thread(file.digest))

    async def make() -> tuple[str, float]:
        return await session.in_thread(file.digest), 0.0

    return str(await session.single_flight(fingerprint, make, session))


async def upload_url(file: InputFile, session: Encoder) -> tuple[str, float]:
    """Upload a file; give its URL, and for how many seconds it may be used again."""
    uploaded = await upload(file, session)
    try:
        url = str(uploaded["urls"]["get"])
    except (TypeError, LookupError) as error:
        raise InvalidResponse(
            "The API gave no URL for an uploaded file. Check that base_url leads to it."
        ) from error
    created, expires = parse_time(uploaded.get("created_at")), parse_time(uploaded.get("expires_at"))
    kept = (expires - created).total_seconds() if created and expires else 0.0
    # A prediction that is created with it now may wait in a queue before it reads it.
    return url, kept / 2


async def upload(file: InputFile, session: Encoder, metadata: str = "{}") -> Any:
    """Upload a file; give the API's record of it. `metadata` is a JSON object in text form."""
    with file.opened() as handle:
        # A name that is no text on this system, such as one of bytes in another encoding, is written as escapes.
        parts = {"content": (escaped(file.name), handle, file.media_type)}
        # An upload costs nothing, so it may be sent again.
        return await session.fetch("POST", "files", files=parts, data={"metadata": metadata}, repeatable=True)
