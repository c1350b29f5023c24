"""One thread that owns an SQLite connection, and commits what many tasks ask of it in groups."""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from replicate_kit._runtime.runtimes import new_thread
from replicate_kit.batch._ledger.space import is_of_space
from replicate_kit.errors import JournalError

__all__ = ["Database", "explained"]

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], Any]
Asked = list[tuple[Operation, "asyncio.Future[Any]"]]

# Operations in one transaction. Without a limit, tasks that ask faster than the thread works could keep it from ever
# committing.
_LARGEST_GROUP = 1000


class Watch(Protocol):
    """Looks after each commit whether the journal is still where it was opened."""

    def begin(self, connection: sqlite3.Connection) -> None:
        """Note what there is, right after it was opened."""

    def look(self, connection: sqlite3.Connection) -> JournalError | None:
        """Say what has happened to it."""


class Database:
    """Runs functions of the connection on its own thread, each group in one transaction.

    `await database.do(function)` comes back when what `function` did is committed. The commit of a group
    costs about as much as that of one row, so the more is asked at once the less it costs each.

    `watch` looks after each commit whether the journal was lost. What the connection has open can be used all the
    same: `on_lost` is told before anybody who asked comes back, so that a claim is not followed by its create. Without
    `on_lost`, who asked gets the error.
    """

    def __init__(
        self, connect: Callable[[Path], sqlite3.Connection], path: Path, watch: Watch | None = None
    ) -> None:
        self._connect, self._path, self._watch = connect, path, watch
        self.lost: JournalError | None = None
        self.on_lost: Callable[[JournalError], None] | None = None
        self._asked: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._gathered: Asked = []
        self._thread = new_thread(self._serve, "replicate-kit-journal")
        self._loop: asyncio.AbstractEventLoop | None = None
        self.commits = 0

    async def open(self) -> None:
        """Start the thread and open the connection."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        await self.do(lambda connection: None)

    async def do(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run `operation` in the next group and give what it returns. Raises `JournalError`."""
        assert self._loop is not None
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._gathered:  # what the loop's other tasks ask for in this round goes along
            self._loop.call_soon(self._hand_over)
        self._gathered.append((operation, future))
        return await future

    def _hand_over(self) -> None:
        """Give the thread what was asked for in one round of the loop."""
        group, self._gathered = self._gathered, []
        self._asked.put(group)

    async def aclose(self) -> None:
        """Finish what was asked, and close the connection."""
        if self._thread.is_alive():
            self._hand_over()
            self._asked.put(None)
            await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        """Work through what is asked, as much at a time as there is."""
        connection: sqlite3.Connection | None = None
        more = True
        try:
            while more:
                group, more = self._next_group()
                results: list[Any] = []
                try:
                    connection = connection or self._opened()
                    results = self._commit(connection, group)
                # The whole group gets the error: its transaction was rolled back, so that nothing of what they asked
                # for is on disk.
                except (sqlite3.Error, OSError) as error:
                    results = [explained(error, self._path)] * len(group)
                # Whatever an operation raises goes to those who asked. If it ended the thread, they would wait for
                # ever.
                except BaseException as error:
                    results = [error] * len(group)
                self._answer(group, results, self._look(connection) if group else None)
        finally:
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    def _opened(self) -> sqlite3.Connection:
        """Open the connection."""
        connection = self._connect(self._path)
        try:
            if self._watch is not None:
                self._watch.begin(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _look(self, connection: sqlite3.Connection | None) -> JournalError | None:
        """Say whether the journal was lost; what cannot be looked at now is looked at next time."""
        if connection is None or self._watch is None or self.lost is not None:
            return None
        with suppress(sqlite3.Error, OSError):
            return self._watch.look(connection)
        return None

    def _next_group(self) -> tuple[Asked, bool]:
        """Wait for one, and take all that have come meanwhile; tell whether there will be more."""
        first = self._asked.get()
        group: Asked = []
        while first is not None:
            group += first
            if len(group) >= _LARGEST_GROUP or self._asked.empty():
                return group, True
            first = self._asked.get()
        return group, False

    def _commit(self, connection: sqlite3.Connection, group: Asked) -> list[Any]:
        """Run a group in one transaction."""
        if not group:
            return []
        try:
            # IMMEDIATE, because most operations read a row and then write it. A deferred transaction takes the write
            # lock only when it first writes. If another process has written since it began to read, SQLite refuses that
            # at once, whatever the timeout is (SQLITE_BUSY_SNAPSHOT,
            # https://www.sqlite.org/rescode.html#busy_snapshot).
            connection.execute("BEGIN IMMEDIATE")
            results = [operation(connection) for operation, _ in group]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
        self.commits += 1
        return results

    def _answer(self, group: Asked, results: list[Any], lost: JournalError | None) -> None:
        """Wake the tasks of a group, all at once."""
        assert self._loop is not None
        pairs = [(future, result) for (_, future), result in zip(group, results, strict=True)]
        with suppress(RuntimeError):  # the loop is gone, and so is everyone who asked
            self._loop.call_soon_threadsafe(self._wake, pairs, lost)

    def _wake(self, pairs: list[tuple[asyncio.Future[Any], Any]], lost: JournalError | None) -> None:
        """Hand out results; first of all tell that the journal was lost."""
        if lost is not None and self.lost is None:
            self.lost = lost
            if self.on_lost is not None:
                self.on_lost(lost)
            else:
                pairs = [(future, lost) for future, _ in pairs]
        for future, result in pairs:
            if future.done():
                # Its task was canceled. What it asked for may be committed all the same: then the journal knows of it.
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)


def explained(error: Exception, path: Path) -> JournalError:
    """Say what can be done about a database that fails."""
    if isinstance(error, JournalError):
        return error
    text = str(error) or type(error).__name__
    failure = JournalError(_space_said(text, path) if is_of_space(error) else _said(text, path))
    failure.__cause__ = error
    return failure


def _said(text: str, path: Path) -> str:
    """Say what to do by what SQLite says."""
    if "locked" in text or "busy" in text:
        step = "Another program holds it. Close that program and run it again."
    elif "not a database" in text:
        step = (
            "It is none, or its beginning is damaged. Pass another file as journal=. If it was a journal, restore it "
            "from a copy; predictions of the last hour can be looked up with client.predictions.list()."
        )
    elif "malformed" in text:
        step = (
            "It is damaged. Restore it from a copy, or move it away and run with a new one; predictions of the "
            "last hour can be looked up with client.predictions.list()."
        )
    elif "no such table" in text or "no such column" in text:
        step = "Another version of replicate-kit wrote it. Run it with that version, or pass another file as journal=."
    elif ("unable to open" in text or "readonly" in text) and (whose := _whose(path)):
        step = whose
    else:
        step = "Check that its folder exists, is local and can be written to."
    return f"The journal {str(path)!r} cannot be used: {text}. {step}"


def _whose(path: Path) -> str | None:
    """Say whose file it is that this program may not use; None where that is not what is wrong."""
    if os.name == "nt" or not path.exists() or os.access(path, os.R_OK | os.W_OK):
        return None
    found = path.stat()
    return (
        f"It is the file of {_user(found.st_uid)} (mode {found.st_mode & 0o777:03o}), and this program runs as "
        f"{_user(os.geteuid())}: journals are for their owner alone. To share it, its owner opens the file and its "
        f"folder to a group that both are in: chmod 660 {path.name}. With another journal= all is paid for again."
    )


def _user(uid: int) -> str:
    """Name a user of this machine."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _space_said(text: str, path: Path) -> str:
    """Say that the disk is full, and what to do."""
    return (
        f"The journal {str(path)!r} cannot be used: {text}. The disk is full, or a limit for files is reached (ulimit "
        f"-f, quotas). Free some space in {str(path.parent)!r} and run it again: what was paid for is in the journal, "
        "or is found at the API."
    )
