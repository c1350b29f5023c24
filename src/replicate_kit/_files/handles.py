"""Read a file that a caller has open, although others read it at the same time."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

__all__ = ["View", "size_of"]


class View(io.RawIOBase):
    """Reads an open file from its beginning, at a position of its own. The handle's own position stays where it is.

    Many predictions may be created with the same handle at once: each reads it by a view of its own, on whichever
    thread, and all see the whole file.
    """

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle, self._position = handle, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}
        self._position = offset + (starts[whence] if whence in starts else size_of(self._handle))
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        content = self._read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def readall(self) -> bytes:
        return self._read(-1)

    def _read(self, size: int) -> bytes:
        """Read on from where this view is."""
        with _put_back(self._handle):
            self._handle.seek(self._position)
            content = self._handle.read(size)
        self._position += len(content)
        return content


def size_of(handle: IO[bytes]) -> int:
    """The size of an open file in bytes."""
    with _put_back(handle):
        return handle.seek(0, os.SEEK_END)


@contextmanager
def _put_back(handle: IO[bytes]) -> Iterator[None]:
    """Keep others from a handle for the block, and put it back where it was."""
    with _locks[id(handle) // 16 % len(_locks)]:
        position = handle.tell()
        try:
            yield
        finally:
            handle.seek(position)


# Handles of any kind cannot be relied on to carry a lock; those that happen to share one wait a little for each other.
_locks = [threading.Lock() for _ in range(64)]


def _after_fork() -> None:
    """Replace the locks, which other threads of the parent may have held."""
    _locks[:] = [threading.Lock() for _ in _locks]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
