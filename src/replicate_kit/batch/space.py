"""Whether there is room on the disks of this machine for files and for the journal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from replicate_kit.errors import FileError
from replicate_kit.storage import local_path

__all__ = ["FLOOR", "Need", "Space", "check_space", "free_bytes"]

FLOOR = 64 * 2**20
"""Bytes that stay free: what the journal may grow by until a run has wound up (its log is merged at 4 MB, and an output
may hold data of some MB itself), and a file of usual size for each transfer at a time. A disk with less is as good as
full, and everything on this machine that writes begins to fail."""


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


@dataclass(frozen=True, kw_only=True)
class Need:
    """What is still to be stored: rows that are paid for or in flight, rows to come, and bytes of one in the mean."""

    under_way: int = 0
    to_come: int = 0
    mean_size: float = 0.0


@dataclass(frozen=True)
class Space:
    """The folders of a run on disks of this machine: for files, None where they go elsewhere, and for the journal.

    `free` tells the free bytes of a folder, None where that is not known.
    """

    files: str | None
    journal: str
    free: Callable[[str], int | None] = free_bytes

    def missing(self, need: Need) -> FileError | None:
        """The error that says how much room is missing for one more row; None where there is enough."""
        if self.files is not None:
            size = need.mean_size
            least = FLOOR + size * (need.under_way + 1)
            all_of_it = FLOOR + size * (need.under_way + max(need.to_come, 1))
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
