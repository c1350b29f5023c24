"""Locks that the operating system holds on files, against other programs of this machine and other threads."""

from __future__ import annotations

import sys

__all__ = ["try_lock"]

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
