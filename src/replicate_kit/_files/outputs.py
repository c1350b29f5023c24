"""Outputs: JSON that a model gave -> Python values; files that know how to read themselves."""

from __future__ import annotations

import base64
import io
import os
import posixpath
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from replicate_kit._files.atomic import replacing
from replicate_kit._files.data_urls import DataURL
from replicate_kit._files.targets import followed, is_written_into, open_into
from replicate_kit._formats import file_names
from replicate_kit._formats.nesting import replace_leaves
from replicate_kit._formats.paths import check_local
from replicate_kit._formats.patterns import pattern
from replicate_kit._formats.url_policy import is_declared
from replicate_kit._runtime.blocking import blocking, run
from replicate_kit._runtime.default_session import default_session
from replicate_kit.errors import FileError, ReplicateError

if TYPE_CHECKING:
    # Loaded when a file is read: many programs only pass its URL on.
    from replicate_kit._files.downloading import Download, Opener
    from replicate_kit.schema import ModelSchema

__all__ = ["FileOutput", "decode_output", "is_linkable", "is_output_file"]


_MOST_SHOWN = 8 * 1024 * 1024  # bytes of a file that a notebook takes into itself


class FileOutput(str):
    """A file that a model made: a `str` that is its URL and can read itself.

    Because it is a string it goes into JSON, a column of a table, `urlretrieve` and the next model's input as
    it is. Because it reads itself, iterating it gives chunks of bytes, not characters.

    >>> picture = FileOutput("data:text/plain;base64,aGVsbG8=")
    >>> picture.read(), picture.media_type
    (b'hello', 'text/plain')
    """

    __slots__ = ("_made_by", "_session")
    _session: Opener | None
    _made_by: str | None

    def __new__(cls, url: str, session: Opener | None = None, made_by: str | None = None) -> FileOutput:
        """Name a file by its URL; `session` is what reads it, the default client's where it is None.

        `made_by` is the id of the prediction whose output it is: it tells a file that is late from one that is gone.
        """
        self = super().__new__(cls, url)
        self._session, self._made_by = session, made_by
        return self

    @property
    def url(self) -> str:
        """The URL as a plain string."""
        return str.__str__(self)

    @property
    def name(self) -> str:
        """The last part of the URL's path, such as `out-0.png`; empty for a `data:` URL."""
        if self._is_data:
            return ""
        try:
            return unquote(posixpath.basename(urlsplit(self.url).path))
        except ValueError:  # it is no URL at all, such as http://[
            return ""

    @property
    def media_type(self) -> str | None:
        """What the URL itself says of the type, such as `image/png`; None if it says nothing."""
        return DataURL.parse(self.url).media_type if self._is_data else file_names.media_type(self.name)

    async def async_read(self) -> bytes:
        """Read the whole file into memory, 4 GiB at most. Raises `FileExpired` if the API has removed it, `FileError`
        otherwise.
        """
        from replicate_kit._files.downloading import check_in_memory

        content = bytearray()  # a list of small chunks would take many times as much
        async with aclosing(self.async_chunks()) as chunks:
            async for chunk in chunks:
                content += chunk
                check_in_memory(len(content))
        return bytes(content)

    async def async_read_range(self, start: int, end: int | None = None) -> bytes:
        """Read the bytes from `start` to before `end`, without the rest where the server can.

        >>> FileOutput("data:,hello there").read_range(6, 9)
        b'the'
        """
        if self._is_data:
            return DataURL.parse(self.url).content[start:end]
        from replicate_kit._files.downloading import read_range

        return await read_range(self.url, self._opener(), start, end, self._made_by)

    async def async_chunks(self) -> AsyncGenerator[bytes]:
        """Read the file chunk by chunk as it comes in."""
        download = await self.async_download()
        try:
            async with aclosing(download.chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            await download.aclose()

    async def async_download(self) -> Download:
        """Start to fetch the file; whoever asks reads its `chunks` once, and closes it."""
        from replicate_kit._files.downloading import download_of, open_download

        if not self._is_data:
            return await open_download(self.url, self._opener(), self._made_by)
        data = DataURL.parse(self.url)
        return download_of(self.url, data.content, data.media_type, self._opener())

    async def async_save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file to a local path, atomically; give the path. Missing folders are made.

        A link stays, and the file that it leads to is written. What is a device or a FIFO is written into, which waits
        for who reads a FIFO; in an event loop, a write that waits so is not cancelled. Raises `FileError` for a folder
        before anything is fetched.
        """
        from replicate_kit._files.pouring import pour

        check_local(path, "The path of the file")
        target, opener = Path(path), self._opener()
        async with _opened(target, opener) as handle:
            download = await self.async_download()
            async with aclosing(download), aclosing(download.blocks()) as blocks:
                # Closed there as well: what the system has not taken yet may be much.
                await pour(download, blocks, handle.write, handle.close, opener)
        return target

    async def async_open(self) -> IO[bytes]:
        """Open the file for reading and seeking, as Pillow and pandas want it."""
        return io.BytesIO(await self.async_read())

    read = blocking(async_read)
    aread = async_read  # as httpx names it
    read_range = blocking(async_read_range)
    chunks = blocking(async_chunks)
    download = blocking(async_download)
    save = blocking(async_save)
    open = blocking(async_open)

    def __iter__(self) -> Iterator[bytes]:  # type: ignore[override]
        return self.chunks()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.async_chunks()

    def __reduce__(self) -> tuple[Any, ...]:
        # The session stays here: it holds connections and a token.
        return FileOutput, (self.url, None, self._made_by)

    def __repr__(self) -> str:
        return f"FileOutput({_shortened(self.url)!r})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Show itself in a notebook: pictures, sound and films as such, anything else as a link."""
        return {
            "text/plain": repr(self),
            "text/html": _html(self._shown_from(), self.url, self._media_type),
        }

    def _shown_from(self) -> str:
        """Where a notebook finds the content: in itself, since the URL will not last, unless that is too much."""
        kind = self._media_type.partition("/")[0]
        if self._session is None or self._is_data or kind not in ("image", "audio", "video"):
            return self.url
        try:
            content = run(self._start())
        except ReplicateError:
            return self.url
        if len(content) > _MOST_SHOWN:
            return self.url
        return f"data:{self.media_type};base64,{base64.b64encode(content).decode()}"

    @property
    def _media_type(self) -> str:
        """The type by which it is shown; none where the URL is malformed."""
        try:
            return self.media_type or ""
        except FileError:
            return ""

    async def _start(self) -> bytes:
        """Read the file, or as much of it as tells that it is too large to be shown."""
        content = bytearray()
        async with aclosing(self.async_chunks()) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > _MOST_SHOWN:
                    break
        return bytes(content)

    @property
    def _is_data(self) -> bool:
        return self[:5].lower() == "data:"

    def _opener(self) -> Opener:
        """The session that made this file; a file that was revived from its URL uses the default client's."""
        if self._session is None:
            self._session = cast("Opener", default_session())
        return self._session


@asynccontextmanager
async def _opened(target: Path, opener: Opener) -> AsyncGenerator[IO[bytes]]:
    """Open a file that takes the target's place when all went well, or what is there if nothing can."""
    end = followed(target)
    if is_written_into(end):
        with await open_into(end, opener) as file:
            yield file
    else:
        with replacing(end) as partial, partial.open("xb") as file:
            yield file


def is_output_file(value: object, origins: Iterable[str]) -> bool:
    """Tell whether a value is a file by itself, where no schema says so.

    It is one if it is a `data:` URL, or a URL on one of the backend's origins. Text that happens to begin
    with "https:" stays text.

    >>> is_output_file("https://pbxt.replicate.delivery/abc/out-0.png", ["https://*.replicate.delivery"])
    True
    >>> is_output_file("https://example.com/ is a nice page", ["https://*.replicate.delivery"])
    False
    """
    if not isinstance(value, str) or not value[:6].lower().startswith(("http:", "https:", "data:")):
        return False
    if any(character.isspace() for character in value[:2048]):
        return False
    if value[:5].lower() == "data:":
        return "," in value and ("/" in value.partition(",")[0] or ";base64" in value.partition(",")[0])
    return is_declared(value, origins)


def decode_output(
    value: Any, schema: ModelSchema | None, is_file: Callable[[Any], bool], make: Callable[[str], Any]
) -> Any:
    """Replace the files in a model's output, at any depth, by what `make` makes of their URLs.

    The model's schema tells them where it is at hand, else `is_file` by what they look like.
    """
    if schema is not None and schema.output:
        return schema.map_files(value, make)
    return replace_leaves(value, lambda leaf: make(leaf) if isinstance(leaf, str) and is_file(leaf) else leaf)


def _shortened(url: str) -> str:
    """Keep a `data:` URL's megabytes out of what people read."""
    return url if len(url) <= 200 else f"{url[:80]}… ({len(url)} characters)"


# What a browser may be led to by a click. Types such as text/html and application/xhtml+xml are pages: they could run
# scripts. (As the source of a picture, SVG runs none.)
_LINKED_DATA = frozenset(
    {
        *(
            "application/gzip",
            "application/json",
            "application/octet-stream",
            "application/x-tar",
            "application/zip",
        ),
        *("text/csv", "text/plain", ""),  # without a type it is text
    }
)
_WEB_ADDRESS = pattern(r"https?://[^\s/\\]", re.IGNORECASE)


def is_linkable(url: str) -> bool:
    """Whether HTML may lead to a URL: an address in the web, or `data:` that is a picture, sound, film or plain data.

    A model may give any text for a file. Browsers take `javascript:` for code, however it is written.

    >>> is_linkable("https://example.com/out.png"), is_linkable("data:image/png;base64,AAAA")
    (True, True)
    >>> is_linkable("JaVaScRiPt:alert(1)"), is_linkable("data:text/html,hi"), is_linkable("//example.com")
    (False, False, False)
    """
    if url[:5].lower() != "data:":
        return _WEB_ADDRESS.match(url) is not None and _is_well_formed(url)
    head, comma, _ = url[5:].partition(",")
    kind = head.partition(";")[0].strip().lower()
    if not comma or (not kind and head not in ("", ";base64")):
        return False
    return kind.partition("/")[0] in ("image", "audio", "video") or kind in _LINKED_DATA


def _is_well_formed(url: str) -> bool:
    try:
        return bool(urlsplit(url).netloc)
    except ValueError:
        return False


def _html(source: str, url: str, media_type: str) -> str:
    """Make the element that shows a file from `source`; `url` is its name for people."""
    from html import escape

    if not is_linkable(source):
        return f"<span>{escape(_shortened(url))}</span>"
    quoted = escape(source, quote=True)
    match media_type.partition("/")[0]:
        case "image":
            return f'<img src="{quoted}" style="max-width: 100%">'
        case "audio" | "video" as kind:
            return f'<{kind} src="{quoted}" controls></{kind}>'
        case _:
            return f'<a href="{quoted}">{escape(_shortened(url))}</a>'
