"""Notices that a journal is deleted, moved or replaced while a run uses it, and copies what the run still has open.

The path is compared with the file that is open, by `stat` alone: opening the file and closing it again would take
away the locks that SQLite holds on it (https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from replicate_kit.batch._ledger.entries import Key
from replicate_kit.batch._ledger.locks import RunLock
from replicate_kit.batch._ledger.places import folders
from replicate_kit.batch._ledger.tables import APPLICATION, VERSION
from replicate_kit.errors import JournalError

__all__ = ["Guard", "JournalLost", "Sample", "files_copied", "rescued"]

_SAMPLE = 64  # rows of either kind that are looked for in the file, after somebody wrote to it
_IN_MEMORY = 1_500_000  # bytes of a journal that is read into memory when it is opened
_WAL_HEADER, _FRAME_HEADER = 32, 24  # bytes (https://www.sqlite.org/fileformat2.html#walformat)
_CHECKPOINT = 1000  # frames after which SQLite writes the log into the database (PRAGMA wal_autocheckpoint)


class JournalLost(JournalError):
    """A journal is not what it was when the run opened it. `copyable` says that what is open is worth a copy."""

    def __init__(self, message: str, *, copyable: bool = True) -> None:
        super().__init__(message)
        self.copyable = copyable


class Sample:
    """Remembers a few of the rows that a run has written: the latest, and others at random. On one thread."""

    def __init__(self) -> None:
        self._count = 0
        self._latest: deque[Key] = deque(maxlen=_SAMPLE)
        self._drawn: list[Key] = []

    def __call__(self) -> list[Key]:
        """Give them."""
        return [*self._drawn, *self._latest]

    def add(self, key: Key) -> None:
        """Take note of a row. Each that was ever added is among those at random with the same probability."""
        self._latest.append(key)
        self._count += 1
        if len(self._drawn) < _SAMPLE:
            self._drawn.append(key)
        elif (position := int(random.random() * self._count)) < _SAMPLE:
            self._drawn[position] = key


class _Seen(NamedTuple):
    """What identifies a file, and what a change of it shows in."""

    device: int
    inode: int
    size: int
    changed: int

    def is_same(self, other: _Seen) -> bool:
        """Whether this is the same file, whatever is in it."""
        return (self.device, self.inode) == (other.device, other.inode)


@dataclass
class Guard:
    """Compares the files of a journal with those that the run has open. Lives on the thread of the connection.

    `sample` gives some rows that have to be in it.
    """

    path: Path
    lock: RunLock
    sample: Callable[[], Iterable[Key]] = tuple
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _opened: _Seen | None = None
    _log: bytes = b""
    _page: int = 4096
    _written: bool = False
    _beside: dict[str, str] = field(default_factory=dict)
    _id: str = ""

    def begin(self, connection: sqlite3.Connection) -> None:
        """Note what the files are, right after they were opened."""
        # SQLite keeps the log beside the file that a link leads to.
        real = os.path.realpath(self.path)
        self._beside = {"log": f"{real}-wal", "index of the log": f"{real}-shm"}
        self._page = connection.execute("PRAGMA page_size").fetchone()[0]
        self._id = _identity(connection)
        self.look(connection)
        if os.stat(self.path).st_size <= _IN_MEMORY:
            _read_all(connection)

    def look(self, connection: sqlite3.Connection) -> JournalLost | None:
        """Say what has happened to the files; None if they are still those that were opened."""
        problem = self._database(connection) or self._others()
        if problem is not None:
            return JournalLost(f"{problem} while a run used it.")
        # The journal itself is where it was, and other runs may write to it by now: a copy would miss what they write.
        if not self.lock.is_there():
            return JournalLost(
                f"The lock of this run in {str(self.lock.folder)!r} was deleted, so that other runs take this one "
                f"for dead. That folder belongs to the journal {str(self.path)!r}: leave it alone while a run lasts.",
                copyable=False,
            )
        return None

    def rescue(self, connection: sqlite3.Connection) -> Path:
        """Copy what is open to another file, and give that. Raises `JournalError` where that cannot be done."""
        target = rescued(connection, self.path)
        self._clear()
        return target

    def _clear(self) -> None:
        """Take our log away from a file that was put in our place: SQLite would take it for that file's own."""
        now, opened = _look_at(self.path), self._opened
        if now is None or opened is None or now.is_same(opened):
            return
        for name, path in self._beside.items():
            beside, ours = _look_at(path), self._seen.get(name)
            if beside is not None and ours is not None and beside.is_same(ours):
                with suppress(OSError):  # where it is open, and the system does not delete what is
                    os.unlink(path)

    def _database(self, connection: sqlite3.Connection) -> str | None:
        """Say what is wrong with the database itself."""
        name, now, before = f"The journal {str(self.path)!r}", _look_at(self.path), self._seen.get("")
        if now is None:
            there = self.path.parent.is_dir()
            return f"{name} was {'deleted or moved away' if there else 'moved or deleted together with its folder'}"
        self._seen[""] = now
        log, self._log = self._log, self._head()
        if before is None:
            self._opened = now
            return None
        self._written = now != before
        if not now.is_same(before):
            return f"{name} was replaced by another file"
        if now.size < before.size or (self._written and not self._is_ours(connection, log)):
            return f"{name} was overwritten by another program"
        return None

    def _is_ours(self, connection: sqlite3.Connection, before: bytes) -> bool:
        """Whether a database that somebody wrote to, or only touched, is still this journal and holds our rows.

        SQLite itself writes to it only when it works off the log: once that is long, or when somebody asks for it.
        After that the next write begins the log anew, unless somebody reads what is in it. So a log that goes on
        proves nothing, but is reason to look at the whole of the database.
        """
        try:
            explained = self._is_worked_off(connection, before)
            if not explained:
                connection.execute("PRAGMA main.wal_checkpoint(PASSIVE)")
            # A connection of its own has not kept pages in memory.
            with closing(sqlite3.connect(self.path, isolation_level=None)) as fresh:
                return (
                    _identity(fresh) == self._id
                    and all(_has(fresh, each) for each in self.sample())
                    and (explained or fresh.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
                )
        # Somebody has it to himself just now; or a table is not there.
        except sqlite3.OperationalError as error:
            return error.sqlite_errorcode != sqlite3.SQLITE_ERROR
        except sqlite3.DatabaseError:
            return False

    def _is_worked_off(self, connection: sqlite3.Connection, before: bytes) -> bool:
        """Whether SQLite has worked off the log, or may have."""
        log = _look_at(self._beside["log"])
        if log is not None and log.size >= _WAL_HEADER + _CHECKPOINT * (_FRAME_HEADER + self._page):
            return True
        connection.execute(f"PRAGMA main.user_version = {VERSION}")  # a write, by which nothing changes
        self._log = self._head()
        return self._log != before

    def _head(self) -> bytes:
        """The header of the log: it is another after the log was worked off. No lock is on this file."""
        try:
            with open(self._beside["log"], "rb") as log:
                return log.read(_WAL_HEADER)
        except OSError:
            return b""

    def _others(self) -> str | None:
        """Say what is wrong with what SQLite keeps beside the database."""
        for name, path in self._beside.items():
            now, before = _look_at(path), self._seen.get(name)
            if now is not None:
                self._seen[name] = now
            if before is None:
                continue
            if now is None or not now.is_same(before):
                return f"The {name} of the journal, {path!r}, was deleted or replaced"
            if now.size < before.size and not self._written:  # else it was worked off
                return f"The {name} of the journal, {path!r}, was cut"
        return None


def _read_all(connection: sqlite3.Connection) -> None:
    """Read a small journal as a whole, so that it can be copied even if its file is overwritten."""
    connection.execute("PRAGMA main.integrity_check(1)").fetchall()


def _look_at(path: str | Path) -> _Seen | None:
    """Look at a file; None if it is not there."""
    try:
        stat = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _Seen(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _identity(connection: sqlite3.Connection) -> str:
    """What tells a journal from others. It stands on a page of its own, which no run writes to."""
    return str(connection.execute("SELECT id FROM main.identity").fetchone()[0])


def _has(connection: sqlite3.Connection, key: Key) -> bool:
    """Whether a journal knows a row."""
    return connection.execute("SELECT 1 FROM items WHERE key = ? AND sample = ?", key).fetchone() is not None


def rescued(connection: sqlite3.Connection, path: Path) -> Path:
    """Copy a journal that is still open to a new file: beside its old place, else where that can be written.

    Raises `JournalError` if there is no such place, or if what is open is damaged.
    """
    name = f"{path.stem}-rescued-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}{path.suffix or '.sqlite'}"
    problems: list[str] = []
    for folder in (path.parent, *folders(), Path(tempfile.gettempdir())):
        try:
            if folder != path.parent:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return _copied(connection, folder / name)
        except (OSError, sqlite3.Error) as error:
            problems.append(f"{folder}: {error}")
    raise JournalError("; ".join(problems))


def _copied(connection: sqlite3.Connection, target: Path) -> Path:
    """Copy what is open to a file, and see whether the copy is whole."""
    part = target.with_name(f"{target.name}.part")
    try:
        # Before SQLite opens it, which may make files that others can read. Nobody else knows of it yet, so that to
        # close it takes nobody's locks away (see `make_private`).
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(part)) as copy:
            connection.backup(copy)
        with closing(sqlite3.connect(part)) as copy:
            found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                # Perhaps only an index is damaged: those can be made again from the rows.
                copy.execute("REINDEX")
                found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
            ours = copy.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
        if found != "ok" or not ours:
            raise JournalError("its content is damaged")
        os.replace(part, target)
    except BaseException:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                os.unlink(f"{part}{suffix}")
        raise
    return target


def files_copied(journal: Path, folder: Path) -> Path:
    """Copy a journal that no run uses, without opening it: SQLite would write to it, and make files beside it.

    What another program writes meanwhile may tear the copy. Raises `JournalError` then.
    """
    target = folder / journal.name
    real = Path(os.path.realpath(journal))  # SQLite keeps the log beside the file that a link leads to
    try:
        before = _look_at(real)
        with suppress(FileNotFoundError):
            shutil.copyfile(f"{real}-wal", f"{target}-wal")
        shutil.copyfile(real, target)
        torn = before is None or _look_at(real) != before
    except OSError as error:
        raise JournalError(f"The journal {journal} could not be copied ({error}).") from error
    if torn:
        raise JournalError(f"Something wrote to the journal {journal} while it was copied. Try again.")
    return target
