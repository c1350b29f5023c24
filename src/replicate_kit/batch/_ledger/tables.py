"""The tables of a journal, and the file that they are in."""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

from replicate_kit._formats.redacting import redacted
from replicate_kit.batch._ledger.stored import redacted_files
from replicate_kit.errors import JournalError

__all__ = ["APPLICATION", "VERSION", "make_private", "open_journal"]

APPLICATION = 0x52506B6A  # "RPkj": marks an SQLite file as a journal of ours
VERSION = 1
_PATIENCE = 60.0  # seconds for which others may hold the file
_CACHE = 32_768  # KiB of a journal's pages in memory; with SQLite's 2000 rows of a large one are read several times

# Keyed by content, so that other, more, fewer or reordered rows find what was paid before.
_JOURNAL = """
CREATE TABLE items (
    key BLOB NOT NULL, sample INTEGER NOT NULL, state TEXT NOT NULL, run TEXT NOT NULL,
    model TEXT NOT NULL, input TEXT NOT NULL, before TEXT, fingerprint BLOB, attempts INTEGER NOT NULL DEFAULT 0,
    sent_at REAL, settled_at REAL, clock TEXT NOT NULL DEFAULT 'server', prediction_id TEXT, status TEXT, output TEXT,
    stored TEXT, stored_in TEXT, error TEXT, seconds REAL, cost REAL, finished_at REAL,
    PRIMARY KEY (key, sample)
);
CREATE UNIQUE INDEX items_by_prediction ON items (prediction_id) WHERE prediction_id IS NOT NULL;
CREATE TABLE attempts (
    prediction_id TEXT PRIMARY KEY, key BLOB NOT NULL, sample INTEGER NOT NULL,
    status TEXT, error TEXT, seconds REAL, cost REAL, ended_at REAL
);
CREATE TABLE names (
    folder TEXT NOT NULL, name TEXT NOT NULL, key BLOB NOT NULL, sample INTEGER NOT NULL,
    PRIMARY KEY (folder, name)
);
CREATE TABLE pins (reference TEXT PRIMARY KEY, version TEXT NOT NULL, pinned_at REAL NOT NULL);
CREATE TABLE runs (id TEXT PRIMARY KEY, model TEXT NOT NULL, rows INTEGER, began_at REAL NOT NULL);
"""

# What came later, in tables of its own, so that earlier versions can go on with a journal.
_LATER = """
CREATE TABLE IF NOT EXISTS accounts (run TEXT PRIMARY KEY, token TEXT NOT NULL, prediction_id TEXT);
CREATE TABLE IF NOT EXISTS redacted (at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS labels (run TEXT PRIMARY KEY, label TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS creators (
    prediction_id TEXT NOT NULL, key BLOB NOT NULL, sample INTEGER NOT NULL, run TEXT NOT NULL,
    PRIMARY KEY (prediction_id, key, sample)
);
CREATE TABLE IF NOT EXISTS senders (
    key BLOB NOT NULL, sample INTEGER NOT NULL, sent_at REAL NOT NULL, run TEXT NOT NULL, PRIMARY KEY (key, sample)
);
CREATE TABLE IF NOT EXISTS shared (text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS used (prediction_id TEXT PRIMARY KEY, metrics TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS identity (id TEXT NOT NULL);
INSERT INTO identity SELECT lower(hex(randomblob(16))) WHERE NOT EXISTS (SELECT 1 FROM identity);
"""

_ANOTHER = (
    "The journal {} was written by another version of replicate-kit ({}). Finish its rows with that version, or pass "
    "another file as journal=."
)


def open_journal(path: Path) -> sqlite3.Connection:
    """Open a journal, making it where there is none; raises `JournalError` for what is none of ours."""
    _check_log(path)
    if not path.exists():
        make_private(path)
    file = _file(path)
    # Without the transactions of Python's module (`isolation_level`): those begin before the first write, and ours
    # before the first read.
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        _check_ours(connection, path)
        make_private(path)
        _use_wal(connection)
        # A commit is on the disk when it returns, since creates are sent on the strength of their intents. With NORMAL
        # the last commits may be lost when the power fails (https://www.sqlite.org/pragma.html#pragma_synchronous):
        # there would be a prediction, and no journal that knows of it.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE}")
        _prepare(connection, path)
        _check_same(file, path)
    except BaseException:
        connection.close()
        raise
    return connection


def make_private(path: Path) -> None:
    """See that nobody but its owner can read a journal: rows may hold secrets. SQLite gives its log the same mode.

    One that others can read is closed to them. A group may go on if it may write (664, 660): SQLite itself makes files
    as 644 at most, so that somebody has meant it. The file is never opened here: to close it would take away the locks
    that SQLite has on it in this process.
    """
    if os.name == "nt":
        return
    if not path.exists():
        with suppress(
            OSError
        ):  # where links cannot be made, the mode is mended when it is opened the next time
            handle, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}")
            os.close(handle)
            try:
                # The name appears together with its rights, and a file that another run has made meanwhile stays: a
                # link replaces nothing.
                os.link(new, path)
            finally:
                os.unlink(new)
    for each in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
        with suppress(OSError):  # not there, or somebody else's
            mode = each.stat().st_mode
            if mode & 0o004:
                each.chmod(mode & (0o770 if mode & 0o020 else 0o700))


def _check_log(path: Path) -> None:
    """Refuse to begin a journal beside the log of one that is gone: SQLite would delete what is in that."""
    log = path.with_name(f"{path.name}-wal")
    # Looked at again, as another run may just be closing it.
    if _size(log) and not _size(path) and _size(log):
        raise JournalError(
            f"The journal {path} is {'empty' if path.exists() else 'not there'}, but its log {log.name} is: the file "
            "was moved, deleted or cut while it was used. Put it back to its log. To begin a new journal, which pays "
            "for everything again, move the log away."
        )


def _file(path: Path) -> tuple[int, int] | None:
    """What tells a file from others; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_same(before: tuple[int, int] | None, path: Path) -> None:
    """See that the file that was opened is the one at the path: while we waited for it, it may have been removed."""
    if before is not None and _file(path) != before:
        raise JournalError(
            f"The journal {path} was removed or replaced while it was opened. Nothing was created. Run it again."
        )


def _size(path: Path) -> int:
    """The size of a file, 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; SQLite itself does not wait for another process that is about to do the same."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.005, 0.02))
        else:
            return


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables, or check that they are those that we know."""
    connection.execute("BEGIN IMMEDIATE")  # two processes may find it empty at once
    try:
        _check_or_make(connection, path)
        # One by one: `executescript` would commit the transaction that we are in.
        for statement in _LATER.split(";"):
            connection.execute(statement)
        _redact(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _redact(connection: sqlite3.Connection) -> None:
    """Take the passwords out of the places that earlier versions have noted as they were passed; once."""
    if connection.execute("SELECT 1 FROM redacted").fetchone():
        return
    connection.execute("INSERT INTO redacted VALUES (?)", (time.time(),))
    connection.execute("PRAGMA secure_delete = ON")  # what is replaced does not stay in the file
    connection.create_function("redacted", 1, redacted)
    connection.create_function("redacted_files", 1, redacted_files)
    connection.execute(
        "UPDATE items SET stored_in = redacted(stored_in), stored = redacted_files(stored) "
        "WHERE stored_in IS NOT NULL AND stored_in != redacted(stored_in)"
    )
    # Two folders may be one without their passwords.
    connection.execute(
        "UPDATE OR REPLACE names SET folder = redacted(folder) WHERE folder != redacted(folder)"
    )


def _check_columns(connection: sqlite3.Connection, path: Path) -> None:
    """See that the tables have the columns that we use; others do no harm."""
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(_JOURNAL)
        lacking = sorted(_columns(model) - _columns(connection))
    if lacking:
        raise JournalError(_ANOTHER.format(path, f"it has no column {'.'.join(lacking[0])}"))


def _columns(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """The names of all tables and their columns."""
    return set(
        connection.execute(
            "SELECT t.name, c.name FROM main.sqlite_master AS t JOIN pragma_table_info(t.name) AS c "
            "WHERE t.type = 'table'"
        )
    )


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is no journal of ours before anything of it is changed, its mode and its log included."""
    connection.execute("BEGIN")  # or another process could make it between two looks
    try:
        _is_made(connection, path)
    finally:
        connection.execute("ROLLBACK")


def _check_or_make(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables where there are none."""
    if _is_made(connection, path):
        return
    for statement in _JOURNAL.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _is_made(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a file has our tables, by its marks; raise `JournalError` for one that has others."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application == APPLICATION and version == VERSION:
        _check_columns(connection, path)
        return True
    if application == APPLICATION and version > VERSION:
        raise JournalError(
            f"The journal {path} was written by a newer replicate-kit (its version is {version}, known is "
            f"{VERSION}). Update with: pip install -U replicate-kit"
        )
    if application == APPLICATION:
        raise JournalError(_ANOTHER.format(path, f"its version is {version}, known is {VERSION}"))
    if application or version or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise JournalError(f"{path} is an SQLite database, and not a journal. Pass another file as journal=.")
    return False
