"""Locks that the operating system holds on files, against other programs of this machine and other threads."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from replicate_kit.errors import ReplicateError

__all__ = ["locked", "try_lock"]

_PATIENCE = 60.0  # seconds; a keyring may ask its user for a password meanwhile
_PAUSE = 0.05

if sys.platform == "win32":
    import msvcrt

    def try_lock(file: int) -> bool:
        """Take the lock on an open file unless somebody has it. Closing the file gives it back."""
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def try_lock(file: int) -> bool:
        """Take the lock on an open file unless somebody has it. Closing the file gives it back."""
        # flock, whose lock belongs to the open file. A POSIX lock belongs to the process (fcntl(2)): who opens a file
        # that another part of this process has locked, and closes it again, would get that lock, and take it away.
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep others who ask for this lock out; its file is there only meanwhile. Waits for them, but not for ever."""
    give_up = time.monotonic() + _PATIENCE
    while (file := _taken(path)) is None:
        if time.monotonic() > give_up:
            raise ReplicateError(
                f"Another program holds {path}, or files cannot be locked there. End that program and try again."
            )
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        # Removed while it is held: whoever opened it before sees that it is gone, and makes another.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(file)


def _taken(path: Path) -> int | None:
    """Make the file and lock it; None where another has it, or has just removed it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(FileNotFoundError):
        if try_lock(file) and os.path.samestat(os.stat(path), os.fstat(file)):
            return file
    os.close(file)
    return None
