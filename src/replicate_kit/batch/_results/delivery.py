"""Results on their way to whoever iterates: in order or as they finish, and no faster than they are taken."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from replicate_kit.batch._results.results import SELECT, Result, Results, is_known_failure

if TYPE_CHECKING:
    from replicate_kit.batch._ledger.database import Database
    from replicate_kit.batch._ledger.journal import Work
    from replicate_kit.errors import ReplicateError

__all__ = ["Delivery"]

_CHUNK = 256
# Whoever leaves the loop early has then paid for little more than they have taken.
_AHEAD = 256  # results that may wait to be taken before the run pauses
_BEYOND = 2**62


class Delivery:
    """Answers `ask` with the next results.

    Results wait on disk, in the journal; in memory there are only the keys of those that have finished since
    they were last asked for. Only when they are given are outputs decoded: `undecodable` is told of each that
    could not be.
    """

    def __init__(
        self,
        db: Database,
        results: Results,
        wake: Callable[[], None],
        undecodable: Callable[[ReplicateError], None],
        *,
        ordered: bool,
    ) -> None:
        self._db, self._results, self._wake, self._ordered = db, results, wake, ordered
        self._undecodable = undecodable
        self._asked: asyncio.Queue[Future[list[Result]]] = asyncio.Queue()
        self._finished: deque[tuple[bytes, int]] = deque()
        self._news = asyncio.Event()
        self._next, self._before, self._after, self._over = 0, [0], [0], False
        self._head: tuple[bytes, int] | None = None
        self._rest: ReplicateError | None = None
        self._untaken, self._waiting = 0, False
        self.has_room = True
        self.all_given = False

    def ask(self, future: Future[list[Result]]) -> None:
        """Take a request for results."""
        self._asked.put_nowait(future)
        self._waiting = self.has_room = True
        self._wake()

    def finished(self, work: Work) -> None:
        """Take note of a row that is done; pause the run if too many wait to be taken."""
        if not self._ordered:
            self._finished.append((work.key, work.sample))
            self._news.set()
        elif (work.key, work.sample) == self._head:
            self._news.set()
        self._untaken += work.copies
        if self._untaken >= _AHEAD and not self._waiting:
            self.has_room = False

    def over(self, rest: ReplicateError | None = None) -> None:
        """Nothing more will finish; rows without an end get the error `rest`, if one is given."""
        self._over, self._rest = True, rest
        self._news.set()

    async def serve(self) -> None:
        """Answer requests until all results were given."""
        while True:
            future = await self._asked.get()
            chunk = await self._chunk()
            self._untaken = max(0, self._untaken - len(chunk))
            self._waiting = not self._asked.empty()
            with suppress(InvalidStateError):  # whoever asked has gone
                future.set_result(chunk)
            if not chunk:
                self.all_given = True
                return

    async def _chunk(self) -> list[Result]:
        """Wait for the next results; an empty list at the end."""
        while True:
            # Cleared before the rows are read: what finishes meanwhile sets it again, and is not missed.
            self._news.clear()
            over = self._over
            rows = await self._db.do(self._in_order if self._ordered else self._as_finished)
            if rows or over:
                return [self._result(row) for row in rows]
            await self._news.wait()

    def _result(self, row: tuple[Any, ...]) -> Result:
        """Make a result; one of a row without an end says why."""
        if self._rest is not None and row[2] is None and not row[3]:
            return self._results.skipped(row, self._rest)
        result = self._results.of(row)
        if result.error is not None and not is_known_failure(row):
            self._undecodable(result.error)
        return result

    def _in_order(self, db: sqlite3.Connection) -> list[tuple[Any, ...]]:
        """The next rows without a gap; note the key of the first that is missing."""
        found = db.execute(
            SELECT + "WHERE r.pos >= ? ORDER BY r.pos LIMIT ?", (self._next, _CHUNK)
        ).fetchall()
        rows = list(takewhile(self._can_be_given, found))
        self._next += len(rows)
        if len(rows) < len(found):
            head = db.execute("SELECT key, sample FROM run.rows WHERE pos = ?", (self._next,))
            self._head = head.fetchone()
        return rows

    def _can_be_given(self, row: tuple[Any, ...]) -> bool:
        """Whether a row has its result, or will have none."""
        return row[2] is not None or bool(row[3]) or (self._over and self._rest is not None)

    def _as_finished(self, db: sqlite3.Connection) -> list[tuple[Any, ...]]:
        """What has finished since; else what was done before the run; in the end what was left out."""
        rows: list[tuple[Any, ...]] = []
        while self._finished and len(rows) < _CHUNK:
            rows += db.execute(SELECT + "WHERE r.key = ? AND r.sample = ?", self._finished.popleft())
        if not rows:
            rows = self._scan(db, "(r.problem IS NOT NULL OR w.ready = 1)", self._before)
        if not rows and self._over and self._rest is not None:
            rows = self._scan(db, "r.problem IS NULL AND w.ready = 0", self._after)
        return rows

    def _scan(self, db: sqlite3.Connection, which: str, place: list[int]) -> list[tuple[Any, ...]]:
        """The next rows of a kind, walking over all of them once."""
        query = SELECT + f"WHERE r.pos >= ? AND {which} ORDER BY r.pos LIMIT ?"
        rows = db.execute(query, (place[0], _CHUNK)).fetchall()
        place[0] = rows[-1][0] + 1 if rows else _BEYOND
        return rows
