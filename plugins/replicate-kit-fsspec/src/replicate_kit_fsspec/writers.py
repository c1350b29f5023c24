"""Writers: what puts the bytes of one file in its place, whole or not at all, on each kind of store.

A file of fsspec that is left by an exception commits what it has. So nothing here is closed before it is
complete, and what is incomplete never has the final name.
"""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from replicate_kit.naming import is_partial_name, partial_name
from replicate_kit_fsspec.places import Place

__all__ = ["BLOCK", "Notes", "Writer", "protocol_of", "writer_for"]

BLOCK = 5 * 2**20
"""Bytes that a store is sent at a time, the least that S3 takes: s3fs's own 50 MiB would be held several times over."""


class Writer(Protocol):
    """Takes the bytes of one file. After `commit`, or when that fails `discard`, it is of no more use."""

    def write(self, data: bytes, /) -> object:
        """Add bytes."""

    def commit(self, place: Place, /) -> None:
        """Make the file appear at this place; `FileExistsError` if it must not be replaced."""

    def try_out(self) -> None:
        """Ask the store for what writing asks it for, but leave no file; to be discarded then."""

    def discard(self) -> None:
        """Leave nothing behind."""


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What else a store is told: content type, metadata, and whether a file that is there may be replaced."""

    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    replace: bool = True


class LazyWriter:
    """Opens a writer when there is something to write, so that whoever holds this can always discard it."""

    def __init__(self, opening: Callable[[], Writer]) -> None:
        self._opening = opening
        self._writer: Writer | None = None

    def write(self, data: bytes, /) -> object:
        return self._opened().write(data)

    def commit(self, place: Place, /) -> None:
        self._opened().commit(place)

    def try_out(self) -> None:
        self._opened().try_out()

    def discard(self) -> None:
        if self._writer is not None:
            self._writer.discard()

    def _opened(self) -> Writer:
        if self._writer is None:
            self._writer = self._opening()
        return self._writer


def writer_for(place: Place, notes: Notes, *, later: bool = False) -> Writer:
    """Choose what writes to this place; `later` says that its name changes before it is committed."""
    return LazyWriter(functools.partial(_open_writer, place, notes, later=later))


def _open_writer(place: Place, notes: Notes, *, later: bool) -> Writer:
    """Choose a writer by its store, and open it."""
    if place.is_local:
        return LocalWriter(place, notes)
    if protocol_of(place.fs) not in _STORES:
        return MovingWriter(place, notes)
    return SpoolingWriter(notes) if later else StoreWriter(place, notes)


# Object stores whose files appear as a whole when they are closed: how each is told type and metadata.
_STORES: dict[str, Callable[[str, dict[str, str]], dict[str, Any]]] = {
    "s3": lambda kind, metadata: {"ContentType": kind, "Metadata": metadata},
    "gs": lambda kind, metadata: {"content_type": kind, "metadata": metadata},
    "abfs": lambda kind, metadata: {"content_settings": {"content_type": kind}, "metadata": metadata},
}
_SAME = {"s3a": "s3", "gcs": "gs", "az": "abfs", "abfss": "abfs"}


def protocol_of(fs: Any) -> str:
    """The first protocol that a filesystem goes by."""
    names = (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
    return next((_SAME.get(name, name) for name in names), "")


_GIVEN_UP = 3600.0  # seconds; whoever still writes has waited for its server for a few minutes at most


@functools.lru_cache(maxsize=1024)
def _tidy(folder: str) -> None:
    """Remove what killed processes left half-written in a folder; once for each, since it may be large."""
    # Who may write need not be allowed to list.
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_partial_name(entry.name):
                _remove_if_given_up(entry)


def _remove_if_given_up(partial: os.DirEntry[str]) -> None:
    """Remove a file that nobody has written to for a while."""
    with contextlib.suppress(OSError):  # it is somebody else's, or somebody was faster
        if time.time() - partial.stat().st_mtime > _GIVEN_UP:
            os.unlink(partial.path)


class LocalWriter:
    """Writes beside the final name, on the same disk, and renames."""

    def __init__(self, place: Place, notes: Notes) -> None:
        self._replace = notes.replace
        folder, name = os.path.split(place.path)
        os.makedirs(folder, exist_ok=True)
        _tidy(folder)
        self._partial = os.path.join(folder, partial_name(name))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
        self._handle: int | None = os.open(self._partial, flags, 0o666)

    def write(self, data: bytes, /) -> object:
        assert self._handle is not None
        view = memoryview(data)
        while view:
            view = view[os.write(self._handle, view) :]
        return None

    def commit(self, place: Place, /) -> None:
        assert self._handle is not None
        os.fsync(self._handle)
        self._close()
        if self._replace:
            os.replace(self._partial, place.path)
        else:
            os.link(self._partial, place.path)
            os.unlink(self._partial)
        _sync(os.path.dirname(place.path))

    def try_out(self) -> None:
        self.write(b"-")

    def discard(self) -> None:
        self._close()
        with contextlib.suppress(FileNotFoundError):  # it has its final name
            os.unlink(self._partial)

    def _close(self) -> None:
        """Close the file once: its number may then be that of another."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def _sync(folder: str) -> None:
    """Make a rename last, where the system has a way to."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


_BINARY = getattr(os, "O_BINARY", 0)  # Windows translates line ends otherwise


class StoreWriter:
    """Writes to an object store, where a file appears when its upload is completed."""

    def __init__(self, place: Place, notes: Notes) -> None:
        kind = notes.content_type or "application/octet-stream"
        told = _STORES[protocol_of(place.fs)](kind, dict(notes.metadata))
        self._replace, self._complete = notes.replace, False
        self._is_azure = protocol_of(place.fs) == "abfs"
        mode = "wb" if notes.replace else "xb"
        self._file = place.fs.open(place.path, mode, block_size=BLOCK, autocommit=False, **told)

    def write(self, data: bytes, /) -> object:
        return self._file.write(data)

    def commit(self, place: Place, /) -> None:
        # Not every server that speaks a store's protocol refuses to replace a file by itself.
        if not self._replace and place.size() is not None:
            raise FileExistsError(place.url)
        # Only now: until here, whatever closes the file (its finalizer does) must not complete it.
        self._file.autocommit = True
        self._file.close()
        self._complete = True

    def try_out(self) -> None:
        # An upload that is begun and given up is never an object: there is nothing to see, to delete or to version,
        # and beginning it takes the right to write alone. Azure begins with the first block, and forgets it in a week.
        self._file.write(b"-")
        self._file.offset = 0
        self._file._initiate_upload()
        if self._is_azure:
            self._file._upload_chunk(final=False)

    def discard(self) -> None:
        if not self._complete:
            self._file.autocommit, self._file.closed = False, True
            self._file.discard()


class SpoolingWriter:
    """Writes to a local disk first, for an object store that must know the name from the beginning."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._spool = tempfile.TemporaryFile(prefix="replicate-kit-")  # noqa: SIM115 - lives as long as this

    def write(self, data: bytes, /) -> object:
        return self._spool.write(data)

    def commit(self, place: Place, /) -> None:
        writer = StoreWriter(place, self._notes)
        try:
            self._spool.seek(0)
            while data := self._spool.read(BLOCK):
                writer.write(data)
            writer.commit(place)
        except BaseException:
            writer.discard()
            raise
        self._spool.close()

    def try_out(self) -> None:
        self.write(b"-")

    def discard(self) -> None:
        self._spool.close()


class MovingWriter:
    """Writes beside the final name and moves: for every other store."""

    def __init__(self, place: Place, notes: Notes) -> None:
        self._fs, self._replace = place.fs, notes.replace
        folder, _, name = place.path.rpartition("/")
        self._partial = f"{folder}/{partial_name(name)}"
        if folder:
            self._fs.makedirs(folder, exist_ok=True)
        self._file = self._fs.open(self._partial, "wb", block_size=BLOCK)

    def write(self, data: bytes, /) -> object:
        return self._file.write(data)

    def commit(self, place: Place, /) -> None:
        self._file.close()
        if not self._replace and self._fs.exists(place.path):
            raise FileExistsError(place.path)
        self._fs.mv(self._partial, place.path)

    def try_out(self) -> None:
        self._file.write(b"-")
        self._file.close()
        moved = f"{self._partial.rpartition('.')[0]}-moved.part"
        self._fs.mv(self._partial, moved)
        self._partial = moved

    def discard(self) -> None:
        with contextlib.suppress(Exception):  # the store may be the reason why we are here
            self._file.close()
        with contextlib.suppress(Exception):
            self._fs.rm_file(self._partial)
