"""A lock that the operating system holds for a run as long as its process lives."""

from __future__ import annotations

import errno
import os
import sys
import uuid
import weakref
from contextlib import suppress
from pathlib import Path

from replicate_kit._user.file_locks import try_lock
from replicate_kit.batch._ledger.space import is_of_space
from replicate_kit.errors import JournalError

__all__ = ["RunLock", "in_use", "is_alive", "living_runs", "lock_folder"]

_TRIES = 10
# flock works on a file that is open for reading. Users who share a journal may not write each other's files.
_TO_ASK = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY
# No file can be opened now. On Windows a file that is being deleted cannot be opened either.
_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR} | (
    {errno.EACCES} if sys.platform == "win32" else set()
)


def lock_folder(journal: Path) -> Path:
    """Where the locks of a journal's runs are: beside it."""
    return journal.with_name(f"{journal.name}-runs")


class RunLock:
    """Marks a run as living. It ends with the process, however that ends."""

    def __init__(self, journal: Path, run: str | None = None) -> None:
        self.id = run or uuid.uuid4().hex
        self.folder = lock_folder(journal)
        self._path = self.folder / self.id
        # The number of its process would not do: the system gives it to other processes later, and in another container
        # it means nothing.
        try:
            self._file = _locked(self._path, journal)
        except OSError as error:
            step = (
                f"Free some space in {str(journal.parent)!r} and run it again."
                if is_of_space(error)
                else "Pass a journal= in a folder that you may write to."
            )
            raise JournalError(f"The journal {journal} cannot be used ({error}). {step}") from error
        if self._file < 0:
            raise JournalError(
                f"Files in the folder of {journal} cannot be locked against other programs. Keep the journal on a "
                "local disk."
            )
        _held.add(self)

    def release(self) -> None:
        """End the run's life."""
        if self._file >= 0:
            file, self._file = self._file, -1
            _held.discard(self)
            with suppress(OSError):
                self._path.unlink()
            os.close(file)
            with suppress(OSError):
                self._path.parent.rmdir()

    def is_there(self) -> bool:
        """Whether others see the lock: its file may be deleted, or its folder moved, while we hold it."""
        if self._file < 0:
            return True
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def forget(self) -> None:
        """In a forked child: leave the lock to the parent alone."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _locked(path: Path, journal: Path) -> int:
    """Make a file and lock it; gives -1 if that does not work.

    Others may look at the file, and take it for that of a dead run, before it is locked; and the last run of
    a journal may remove the folder: then it is made again.
    """
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):
            with suppress(FileExistsError):
                path.parent.mkdir(parents=True)
                _share(journal, path.parent, 0o770)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if try_lock(file) and path.exists():
                _share(journal, path, 0o640)
                return file
            os.close(file)
    return -1


def _share(journal: Path, path: Path, mode: int) -> None:
    """Let a group that may write a journal ask for its locks, and add its own. See `tables.make_private`."""
    with suppress(OSError):  # there is no journal yet, or we are not of its group
        found = journal.stat()
        if found.st_mode & 0o020 and sys.platform != "win32":
            os.chown(path, -1, found.st_gid)
            path.chmod(mode)


def is_alive(journal: Path, run: str) -> bool:
    """Tell whether the process of a run still lives; what a dead one left is removed.

    Raises `JournalError` where nothing tells: whoever took a living run for dead would pay for its rows again.
    """
    path = lock_folder(journal) / run
    try:
        file = os.open(path, _TO_ASK)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno in _PASSING:
            return True  # the run asks again
        raise JournalError(
            f"Another run uses, or has used, the journal {journal}, and nothing tells whether it still runs: its lock "
            f"{str(path)!r} cannot be opened ({error.strerror}). Give this user the right to read it (chmod g+r). If "
            "that run has certainly ended, delete the file."
        ) from error
    try:
        if not try_lock(file):
            return True
        with suppress(OSError):
            path.unlink()
        return False
    finally:
        os.close(file)


def in_use(journal: Path) -> bool:
    """Tell whether a living run uses a journal."""
    return any(is_alive(journal, each) for each in _named(journal))


def living_runs(journal: Path) -> frozenset[str]:
    """Give the ids of the living runs of a journal."""
    return frozenset(each for each in _named(journal) if is_alive(journal, each))


def _named(journal: Path) -> list[str]:
    """The ids of the runs that have a lock, or had one when they died."""
    try:
        return os.listdir(lock_folder(journal))
    except (FileNotFoundError, NotADirectoryError):
        return []


_held: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()


if hasattr(os, "register_at_fork"):
    # A lock belongs to the open file, which a forked child shares: it would outlive its run there.
    os.register_at_fork(after_in_child=_forget_all)
