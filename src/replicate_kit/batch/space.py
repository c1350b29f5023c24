"""Which disk is full: that of the journal, or that of the temporary file in which the rows of a run wait."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["full_places", "is_of_space", "temporary_folder"]

_PROBE = 1 << 20  # bytes; SQLite asks for less at a time
_GROUP = 1000  # pages; more than one transaction adds
_NO_SPACE = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
_KINDS = (
    "SQLITE_FULL",
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_SHMSIZE",
    "SQLITE_IOERR_TRUNCATE",
    "SQLITE_IOERR_FSYNC",
)


def is_of_space(error: Exception) -> bool:
    """Whether an error may come of a disk that is full, of a quota or of a limit of the process."""
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return True
    # A quota and a limit of the process show as errors of writing.
    return getattr(error, "sqlite_errorname", "") in _KINDS or "is full" in str(error)


def temporary_folder() -> Path:
    """Where SQLite puts temporary files (https://www.sqlite.org/tempfiles.html, section 5)."""
    if sys.platform == "win32":
        return Path(tempfile.gettempdir())
    named = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp")
    for each in filter(None, named):
        if os.path.isdir(each) and os.access(each, os.W_OK | os.X_OK):
            return Path(each)
    return Path.cwd()


def full_places(connection: sqlite3.Connection | None, journal: Path) -> tuple[bool, bool]:
    """Tell whether the journal cannot grow, and whether the run's temporary file cannot."""
    sizes = [_size(f"{journal}{suffix}") for suffix in ("", "-wal")]
    kept = _is_full(connection, "main", journal.parent, max(sizes))
    return kept, _is_full(connection, "run", temporary_folder(), None)


def _is_full(connection: sqlite3.Connection | None, schema: str, folder: Path, size: int | None) -> bool:
    """Whether a file in a folder cannot grow any more."""
    if connection is not None:
        with suppress(sqlite3.Error):
            pages, most, page = (
                connection.execute(f"PRAGMA {schema}.{name}").fetchone()[0]
                for name in ("page_count", "max_page_count", "page_size")
            )
            if pages + _GROUP >= most:  # what did not fit was rolled back
                return True
            size = pages * page if size is None else size
    limit = _limit()
    if limit is not None and (size or 0) + (_PROBE >> 4) > limit:
        return True
    return not _can_be_written(folder, _PROBE if limit is None else min(_PROBE, limit))


def _can_be_written(folder: Path, size: int) -> bool:
    """Whether there is room in a folder for a file of some bytes; what is free is not always ours."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            return file.write(bytes(size)) == size
    except OSError:
        return False


def _limit() -> int | None:
    """How large this process may make a file; None where there is no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _size(path: str) -> int:
    """The size of a file, 0 if there is none."""
    with suppress(OSError):
        return os.stat(path).st_size
    return 0
