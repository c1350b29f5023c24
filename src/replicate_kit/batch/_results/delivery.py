"""Results on their way to whoever iterates: in order or as they finish, and no faster than they are taken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING

from replicate_kit.batch._results.results import Result, Results

if TYPE_CHECKING:
    from replicate_kit.batch._ledger.entries import Key
    from replicate_kit.batch._plan.spool import Item, Row, Spool
    from replicate_kit.errors import ReplicateError

__all__ = ["Delivery"]

_CHUNK = 256
# Whoever leaves the loop early has then paid for little more than they have taken.
_AHEAD = 256  # results that may wait to be taken before the run pauses
_BEYOND = 2**62


class Delivery:
    """Answers `ask` with the next results.

    Results wait on disk; in memory there are only the keys of those that have finished since
    they were last asked for. Only when they are given are outputs decoded: `undecodable` is told of each that
    could not be.
    """

    def __init__(
        self,
        spool: Spool,
        results: Results,
        wake: Callable[[], None],
        undecodable: Callable[[ReplicateError], None],
        *,
        ordered: bool,
    ) -> None:
        self._spool, self._results, self._wake, self._ordered = spool, results, wake, ordered
        self._undecodable = undecodable
        self._asked: asyncio.Queue[Future[list[Result]]] = asyncio.Queue()
        self._finished: deque[Key] = deque()
        self._news = asyncio.Event()
        self._next, self._before, self._after, self._over = 0, 0, 0, False
        self._head: Key | None = None
        self._rest: ReplicateError | None = None
        self._untaken, self._waiting = 0, False
        self.has_room = True
        self.all_given = False

    def ask(self, future: Future[list[Result]]) -> None:
        """Take a request for results."""
        self._asked.put_nowait(future)
        self._waiting = self.has_room = True
        self._wake()

    def finished(self, item: Item) -> None:
        """Take note of a row that is done; pause the run if too many wait to be taken."""
        if not self._ordered:
            self._finished.append(item.key)
            self._news.set()
        elif item.key == self._head:
            self._news.set()
        self._untaken += item.copies
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
            rows = await self._results.filled(self._in_order() if self._ordered else self._as_finished())
            if rows or over:
                return [self._result(row) for row in rows]
            await self._news.wait()

    def _result(self, row: Row) -> Result:
        """Make a result; one of a row without an end says why."""
        if self._rest is not None and not row.is_done:
            return self._results.skipped(row, self._rest)
        result = self._results.of(row)
        if result.error is not None and not row.has_failed:
            self._undecodable(result.error)
        return result

    def _in_order(self) -> list[Row]:
        """The next rows without a gap; note the key of the first that is missing."""
        found = self._spool.rows(self._next, _CHUNK, done=not self._gives_all)
        rows = list(takewhile(self._can_be_given, found))
        self._next += len(rows)
        if len(rows) < len(found):
            self._head = found[len(rows)].key
        return rows

    def _can_be_given(self, row: Row) -> bool:
        """Whether a row has its result, or will have none."""
        return row.is_done or self._gives_all

    @property
    def _gives_all(self) -> bool:
        """Whether rows without a result are given, too: the run is over, and has left them out."""
        return self._over and self._rest is not None

    def _as_finished(self) -> list[Row]:
        """What has finished since; else what was done before the run; in the end what was left out."""
        rows: list[Row] = []
        while self._finished and len(rows) < _CHUNK:
            rows += self._spool.rows_of(self._finished.popleft())
        if not rows:
            rows = self._spool.given_before(self._before, _CHUNK)
            self._before = rows[-1].pos + 1 if rows else _BEYOND
        if not rows and self._gives_all:
            rows = self._spool.left_out(self._after, _CHUNK)
            self._after = rows[-1].pos + 1 if rows else _BEYOND
        return rows
