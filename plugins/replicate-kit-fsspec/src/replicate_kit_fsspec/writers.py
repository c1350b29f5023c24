"""Writers: what puts the bytes of one file in its location, atomically, on each kind of store.

A file of fsspec that is left by an exception commits what it has. So nothing here is closed before it is
complete, and what is incomplete never has the final name.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from typing import Any

from replicate_kit.stores import Location, Notes, Writer, partial_name
from replicate_kit_fsspec.locations import BLOCK, StoreLocation

__all__ = ["open_writer", "protocol_of"]


def open_writer(location: StoreLocation, notes: Notes, *, later: bool) -> Writer:
    """Choose a writer by its store, and open it; `later` says that its name changes before it is committed."""
    if protocol_of(location.fs) not in _STORES:
        return MovingWriter(location, notes)
    return SpoolingWriter(notes) if later else StoreWriter(location, notes)


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


class StoreWriter:
    """Writes to an object store, where a file appears when its upload is completed."""

    def __init__(self, location: StoreLocation, notes: Notes) -> None:
        kind = notes.content_type or "application/octet-stream"
        told = _STORES[protocol_of(location.fs)](kind, dict(notes.metadata))
        self._replace, self._complete = notes.replace, False
        self._is_azure = protocol_of(location.fs) == "abfs"
        mode = "wb" if notes.replace else "xb"
        self._file = location.fs.open(location.path, mode, block_size=BLOCK, autocommit=False, **told)

    def write(self, data: bytes, /) -> object:
        return self._file.write(data)

    def commit(self, location: Location, /) -> None:
        # Not every server that speaks a store's protocol refuses to replace a file by itself.
        if not self._replace and location.size() is not None:
            raise FileExistsError(location.url)
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

    def commit(self, location: Location, /) -> None:
        assert isinstance(location, StoreLocation)
        writer = StoreWriter(location, self._notes)
        try:
            self._spool.seek(0)
            while data := self._spool.read(BLOCK):
                writer.write(data)
            writer.commit(location)
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

    def __init__(self, location: StoreLocation, notes: Notes) -> None:
        self._fs, self._replace = location.fs, notes.replace
        folder, _, name = location.path.rpartition("/")
        self._partial = f"{folder}/{partial_name(name)}"
        if folder:
            self._fs.makedirs(folder, exist_ok=True)
        self._file = self._fs.open(self._partial, "wb", block_size=BLOCK)

    def write(self, data: bytes, /) -> object:
        return self._file.write(data)

    def commit(self, location: Location, /) -> None:
        assert isinstance(location, StoreLocation)
        self._file.close()
        if not self._replace and self._fs.exists(location.path):
            raise FileExistsError(location.path)
        self._fs.mv(self._partial, location.path)

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
