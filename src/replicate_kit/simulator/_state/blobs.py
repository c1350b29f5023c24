"""Bytes in memory or on disk, without the rest of the simulator minding which."""

from __future__ import annotations

import hashlib
import threading
import weakref
from pathlib import Path

from replicate_kit._files.atomic import replacing

__all__ = ["Blob", "Blobs"]

_IN_MEMORY = 64 * 1024 * 1024


class Blob:
    """Some bytes that do not change."""

    def __init__(self, content: bytes | Path, size: int, name: str = "") -> None:
        self._content, self.size, self.name = content, size, name
        self._digests: dict[str, str] = {}

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """Give the bytes from `start` until `end`."""
        if isinstance(self._content, bytes):
            return self._content[start:end]
        with self._content.open("rb") as file:
            file.seek(start)
            return file.read(-1 if end is None else end - start)

    def digest(self, algorithm: str) -> str:
        """Hash the content, in hexadecimal."""
        # Only uploads are described with their hashes, so the files of models are never hashed.
        if algorithm not in self._digests:
            self._digests[algorithm] = hashlib.new(algorithm, self.read()).hexdigest()
        return self._digests[algorithm]

    def forget(self) -> int:
        """Give the space back; tell how much of it was memory."""
        if isinstance(self._content, bytes):
            size, self._content = len(self._content), b""
            return size
        self._content.unlink(missing_ok=True)
        return 0


class Blobs:
    """Keeps bytes: in `folder` if there is one, else in memory, and in a temporary folder when that gets too much."""

    def __init__(self, folder: Path | None = None, *, in_memory: int = _IN_MEMORY) -> None:
        self._folder, self._limit, self._used = folder, in_memory, 0
        self.lock = threading.Lock()
        self._persistent = folder is not None

    def put(self, content: bytes, name: str) -> Blob:
        """Keep `content`; `name` has to be new and safe as a file's name."""
        with self.lock:
            if not self._persistent and self._used + len(content) <= self._limit:
                self._used += len(content)
                return Blob(content, len(content), name)
            path = self._directory() / name
        with replacing(path) as partial:
            partial.write_bytes(content)
        return Blob(path, len(content), name)

    def find(self, name: str, size: int) -> Blob | None:
        """Take up what an earlier process kept, if it did not delete it."""
        path = self._directory() / name
        return Blob(path, size, name) if path.exists() else None

    def forget(self, blob: Blob) -> None:
        """Drop a blob."""
        freed = blob.forget()
        with self.lock:
            self._used -= freed

    def _directory(self) -> Path:
        """The folder, made when it is first needed."""
        if self._folder is None:
            import shutil
            import tempfile

            self._folder = Path(tempfile.mkdtemp(prefix="replicate-kit-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder
