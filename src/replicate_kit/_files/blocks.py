"""Blocks of a file on its way in, and the digest that is taken of them on another thread than the one that reads."""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["BLOCK", "Digest", "Gathering", "give_back"]

BLOCK = 2**20  # bytes that are worth a step of another thread

# Memory that is new has to be made by the system, page by page, which takes as long as to write what is in it.
_spare: list[bytearray] = []
_MOST_SPARE = 8


class Gathering:
    """Joins chunks to blocks, in memory that is used again."""

    def __init__(self) -> None:
        self._buffer, self._filled = bytearray(), 0

    @property
    def content(self) -> memoryview:
        """What there is of the next block."""
        return memoryview(self._buffer)[: self._filled]

    def has_room(self, chunk: bytes) -> bool:
        """Whether a chunk fits into the block."""
        return self._filled + len(chunk) <= BLOCK

    def add(self, chunk: bytes) -> None:
        """Add a chunk for which there is room."""
        if not self._buffer:
            self._buffer = _memory()
        end = self._filled + len(chunk)
        self._buffer[self._filled : end] = chunk
        self._filled = end

    def take(self) -> memoryview:
        """Take the block, and begin another one."""
        block, self._buffer, self._filled = self.content, bytearray(), 0
        return block


def _memory() -> bytearray:
    """Give memory for a block."""
    try:
        return _spare.pop()
    except IndexError:
        return bytearray(BLOCK)


def give_back(block: memoryview) -> None:
    """Let the memory of a block be used again; nobody may look at it any more."""
    if isinstance(block.obj, bytearray) and len(_spare) < _MOST_SPARE:
        _spare.append(block.obj)


class Digest:
    """SHA-256 of what is added. To add costs nothing; `catch_up` does the work, on any thread.

    >>> digest = Digest()
    >>> digest.add(b"hello")
    >>> digest.hexdigest()[:8]
    '2cf24dba'
    """

    def __init__(self) -> None:
        import hashlib  # loads the library of TLS, which who reads no file does without

        self._made = hashlib.sha256()
        self._behind: deque[bytes | memoryview] = deque()
        self._lock = threading.Lock()

    def add(self, data: bytes | memoryview, /) -> None:
        """Note what comes next; it is kept until somebody catches up."""
        self._behind.append(data)

    def catch_up(self) -> None:
        """Take in what was added."""
        with self._lock:
            while self._behind:
                self._made.update(self._behind.popleft())

    def digest(self, rest: bytes | memoryview = b"") -> bytes:
        """The digest of all that was added, and of a `rest` that was not."""
        self.catch_up()
        made = self._made.copy()
        made.update(rest)
        return made.digest()

    def hexdigest(self) -> str:
        """The digest of all that was added, in hexadecimal."""
        return self.digest().hex()
