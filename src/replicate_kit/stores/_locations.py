"""What a store has to offer, so that everything else about storing files is written once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from replicate_kit._formats.wording import with_safe_repr
from replicate_kit.errors import FileError

__all__ = ["LazyWriter", "Location", "Notes", "Writer", "name_below", "parts_of", "url_below", "write_whole"]


@with_safe_repr
@dataclass(frozen=True, kw_only=True)
class Notes:
    """What else a store is told: content type, metadata, and whether a file that is there may be replaced."""

    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    replace: bool = True


class Writer(Protocol):
    """Takes the bytes of one file. After `commit`, or when that fails `discard`, it is of no more use."""

    def write(self, data: bytes, /) -> object:
        """Add bytes."""

    def commit(self, location: Location, /) -> None:
        """Make the file appear at this location of the same store.

        Raises `FileExistsError` where a file is there and must not be replaced.
        """

    def try_out(self) -> None:
        """Ask the store for what writing asks it for, but leave no file; to be discarded then."""

    def discard(self) -> None:
        """Leave nothing behind."""


@runtime_checkable
class Location(Protocol):
    """One file's or folder's location in a store; `url` is how people know it. All methods block."""

    @property
    def url(self) -> str:
        """The URL, or the path of a local file, as the caller wrote it."""
        ...

    def join(self, name: str, /) -> Location:
        """The location of a file below this folder. Raises `FileError` for a name that would lead out of it."""
        ...

    def size(self) -> int | None:
        """How many bytes the file has; None if there is none."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Read the file; `FileNotFoundError` if there is none."""
        ...

    def append(self, data: bytes, /) -> bool:
        """Add to the file's end, in one step with which no other process interferes; False where nothing can."""
        ...

    def open_writer(self, notes: Notes, /, *, later: bool) -> Writer:
        """Begin to write the file; `later` says that its name will change before it is committed."""
        ...

    def failed(self, error: Exception, /) -> FileError:
        """Say what an error of the store means for whoever writes below this folder, and what to do."""
        ...


class LazyWriter:
    """Opens a writer when there is something to write, so that whoever holds this can always discard it."""

    def __init__(self, opening: Callable[[], Writer]) -> None:
        self._opening = opening
        self._writer: Writer | None = None

    def write(self, data: bytes, /) -> object:
        """Add bytes."""
        return self._opened().write(data)

    def commit(self, location: Location, /) -> None:
        """Make the file appear."""
        self._opened().commit(location)

    def try_out(self) -> None:
        """Try, and leave no file."""
        self._opened().try_out()

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            self._writer.discard()

    def _opened(self) -> Writer:
        """Open it, once."""
        if self._writer is None:
            self._writer = self._opening()
        return self._writer


def write_whole(location: Location, content: bytes, notes: Notes) -> None:
    """Write a file whole or not at all."""
    writer = LazyWriter(lambda: location.open_writer(notes, later=False))
    try:
        writer.write(content)
        writer.commit(location)
    except BaseException:
        writer.discard()
        raise


def parts_of(name: str, url: str) -> list[str]:
    """Split the name of a file below a folder. Raises `FileError` for one that would lead out of it.

    >>> parts_of("draw/0.png", "pictures")
    ['draw', '0.png']
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise FileError(f"{name!r} is not the name of a file below {url!r}.")
    return parts


def url_below(folder: str, name: str) -> str:
    """The URL or path of a file below a folder, which may be a chain of several URLs.

    >>> url_below("s3://bucket/pictures/", "0.png"), url_below("dir://sub::memory://shelf", "0.png")
    ('s3://bucket/pictures/0.png', 'dir://sub/0.png::memory://shelf')
    """
    if "://" not in folder:
        return os.path.join(folder, *name.split("/"))
    head, chain, rest = folder.partition("::")
    return f"{_root(head)}{name}{chain}{rest}"


def name_below(folder: str, url: str) -> str | None:
    """The name of a file below a folder by its URL, as `url_below` makes it; None for one that is elsewhere.

    >>> name_below("s3://bucket/pictures/", "s3://bucket/pictures/0.png"), name_below("pictures", "others/0.png")
    ('0.png', None)
    """
    head, _, chain = folder.partition("::")
    root, below = _root(head), url.partition("::")
    if not below[0].startswith(root) or below[2] != chain:
        return None
    name = below[0].removeprefix(root)
    if "://" not in folder:
        name = name.replace(os.sep, "/")
    return None if set(name.split("/")) & {"", ".", ".."} else name


def _root(head: str) -> str:
    """What the URLs and paths of all files below a folder begin with."""
    if "://" not in head:
        return os.path.join(head, "")
    return head if head.endswith("://") else f"{head.rstrip('/')}/"
