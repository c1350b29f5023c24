"""Room on the disks of this machine: whether there is enough for files and for the journal, and which disk is full."""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from replicate_kit._formats.store_urls import local_path
from replicate_kit.errors import FileError

__all__ = [
    "FLOOR",
    "Space",
    "can_be_written",
    "check_space",
    "free_bytes",
    "is_of_space",
]

FLOOR = 64 * 2**20
"""Bytes that stay free: what the journal may grow by until a run has wound up (its log is merged at 4 MB, and an output
may hold data of some MB itself), and a file of usual size for each transfer at a time. A disk with less is as good as
full, and everything on this machine that writes begins to fail."""

_OFTEN = 0.05  # seconds; at 1 GB a second a disk loses less than FLOOR in that time


def free_bytes(folder: str) -> int | None:
    """The bytes that are free where a folder is, or will be; None where the system does not say."""
    place = Path(os.path.abspath(folder))
    for each in (place, *place.parents):
        try:
            return shutil.disk_usage(each).free
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return None
    return None


def free_lately() -> Callable[[str], int | None]:
    """Make what tells the free bytes of folders as they were a moment ago: whoever asks for each row asks too often."""
    seen: dict[str, tuple[float, int | None]] = {}

    def free(folder: str) -> int | None:
        now = time.monotonic()
        at, found = seen.get(folder, (-math.inf, None))
        if now - at > _OFTEN:
            seen[folder] = now, (found := free_bytes(folder))
        return found

    return free


@dataclass(frozen=True)
class Space:
    """The folders of a run on disks of this machine: for files, None where they go elsewhere, and for the journal.

    `free` tells the free bytes of a folder, None where that is not known.
    """

    files: str | None
    journal: str
    free: Callable[[str], int | None] = field(default_factory=free_lately)

    def missing(self, *, under_way: int = 0, to_come: int = 0, mean_size: float = 0.0) -> FileError | None:
        """The error that says how much room is missing for one more row; None where there is enough.

        `under_way` are rows that are paid for or in flight, `mean_size` is the bytes of one in the mean.
        """
        if self.files is not None:
            least = FLOOR + mean_size * (under_way + 1)
            all_of_it = FLOOR + mean_size * (under_way + max(to_come, 1))
            if (
                error := _missing(self.files, "save_to", self.free(self.files), least, all_of_it)
            ) is not None:
                return error
        return _missing(self.journal, "journal", self.free(self.journal), FLOOR, FLOOR)


def check_space(folder: str, option: str = "save_to") -> None:
    """Raise `FileError` where a folder of this machine, or a URL of one, clearly has too little room."""
    path = local_path(folder)
    if path is not None and (error := _missing(path, option, free_bytes(path), FLOOR, FLOOR)) is not None:
        raise error


def _missing(folder: str, option: str, free: int | None, least: float, all_of_it: float) -> FileError | None:
    """Make the error, if less than `least` is free; `all_of_it` is what would do for the whole run."""
    if free is None or free >= least:
        return None
    return FileError(
        f"The disk of {option}={folder!r} has {_shown(free)} free, and about {_shown(all_of_it)} are needed: "
        f"{_shown(all_of_it - free)} are missing. Nothing more was created. Make room, or pass a folder on another "
        f"disk as {option}, and run it again: what is done, and saving what is paid for, is free then."
    )


def _shown(size: float) -> str:
    """Show bytes.

    >>> [_shown(each) for each in (2_000, 5_300_000, 1.5e12)]
    ['2 kB', '5.3 MB', '1.5 TB']
    """
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.5:
            return f"{size:.3g} {unit}"
    return f"{size / 1000:.3g} TB"


# Whether an error comes of a disk that is full.

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


def can_be_written(folder: Path, size: int) -> bool:
    """Whether there is room in a folder for a file of some bytes; what is free is not always ours."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            return file.write(bytes(size)) == size
    except OSError:
        return False
