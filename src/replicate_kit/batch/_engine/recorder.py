"""What the rows of a run tell the ledger and ask of it, many at a time.

A verb of a ledger costs about as much for a hundred rows as for one. So what rows ask for while a call is under way
goes along with the next one. Events wait a few milliseconds for others; claims do not, as a create waits for each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from replicate_kit._runtime.elapsed import elapsed

if TYPE_CHECKING:
    from replicate_kit.batch._ledger.entries import Entry, Event, Intent, Key, Name
    from replicate_kit.batch._ledger.protocol import Ledger

__all__ = ["Gathered", "Recorder"]

A = TypeVar("A")
B = TypeVar("B")

_GATHER = 0.002  # seconds that an event waits for others
_AGAIN = 5.0  # seconds for which events are recorded again after the first failure
_PAUSE = 0.25  # seconds between two of these attempts
_MOST = 1000  # rows in one call
_LARGEST = 4_000_000  # characters of outputs in one call, unless one alone has more: a ledger may be far away


class Gathered(Generic[A, B]):
    """Calls a verb with all that was asked for since its last call, one call at a time; what is large goes in parts."""

    def __init__(
        self,
        verb: Callable[[list[A]], Awaitable[Sequence[B]]],
        *,
        delay: float = 0.0,
        size: Callable[[A], int] = lambda what: 0,
    ) -> None:
        self._verb, self._delay, self._size = verb, delay, size
        self._asked: list[tuple[A, asyncio.Future[B]]] = []
        self._last: asyncio.Future[B] | None = None
        self._task: asyncio.Task[None] | None = None

    def ask(self, what: A) -> asyncio.Future[B]:
        """Ask for one; the future has its answer, or what the call raised."""
        future: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self._asked.append((what, future))
        self._last = future
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return future

    async def flush(self) -> None:
        """Wait until all that was asked for by now is answered: one after the other, so that the last one tells."""
        if self._last is not None and not self._last.done():
            await asyncio.wait([self._last])

    async def _work(self) -> None:
        """Call, as long as somebody asks."""
        try:
            while self._asked:
                if self._delay:
                    await asyncio.sleep(self._delay)
                count = self._fitting()
                asked, self._asked = self._asked[:count], self._asked[count:]
                await self._answer(asked)
        finally:
            self._task = None

    def _fitting(self) -> int:
        """How many of those that wait go into one call: one at least."""
        sizes = accumulate(self._size(what) for what, _ in self._asked[:_MOST])
        return max(1, sum(1 for _ in takewhile(lambda size: size <= _LARGEST, sizes)))

    async def _answer(self, asked: list[tuple[A, asyncio.Future[B]]]) -> None:
        """Call once, and hand out the answers."""
        try:
            answers = await self._verb([what for what, _ in asked])
        except BaseException as error:
            for _, future in asked:
                if not future.done():
                    if isinstance(error, asyncio.CancelledError):
                        future.cancel()
                    else:
                        future.set_exception(error)
                        future.exception()  # a row that has been canceled meanwhile asks for none
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in zip(asked, answers, strict=True):
            if not future.done():  # else its row was canceled; what was done for it stands in the ledger
                future.set_result(answer)


class Recorder:
    """Claims rows and records what happens to them; `failed` is told of the first failure, and stops the run.

    From then on nothing is claimed. What has happened is recorded again for a few seconds: creates that were in flight
    come back, and are paid for.
    """

    def __init__(self, ledger: Ledger, failed: Callable[[Exception], None]) -> None:
        self._ledger, self._told = ledger, failed
        self._failure: Exception | None = None
        self._lost = self.has_written = False
        self._claims: Gathered[Intent, Entry | None] = Gathered(self._claimed)
        self._finds: Gathered[Key, Entry | None] = Gathered(self._found)
        self._take_overs: Gathered[Key, Entry | None] = Gathered(self._taken_over)
        self._events: Gathered[Event, bool] = Gathered(self._recorded, delay=_GATHER, size=_size)
        self._names: Gathered[Name, bool] = Gathered(self._named)

    @property
    def lease(self) -> float:
        """Seconds for which what was claimed is certainly this run's."""
        return self._ledger.lease_until - elapsed()

    def claim(self, intent: Intent) -> asyncio.Future[Entry | None]:
        """Take a row: None if it is ours now."""
        self.has_written = True
        return self._claims.ask(intent)

    def find(self, key: Key) -> asyncio.Future[Entry | None]:
        """Read what is known of a row."""
        return self._finds.ask(key)

    def take_over(self, key: Key) -> asyncio.Future[Entry | None]:
        """Take what a dead run has left open."""
        return self._take_overs.ask(key)

    def record(self, event: Event) -> asyncio.Future[bool]:
        """Write down what happened to a row; False if the row is not ours any more."""
        self.has_written = True
        return self._events.ask(event)

    def take_name(self, name: Name) -> asyncio.Future[bool]:
        """Take the name of a file for a row."""
        return self._names.ask(name)

    async def flush(self) -> None:
        """Wait until all that was told is recorded."""
        await self._events.flush()

    async def _claimed(self, intents: list[Intent]) -> Sequence[Entry | None]:
        if self._failure is not None:
            raise self._failure
        return await self._first(self._ledger.claim, intents)

    async def _found(self, keys: list[Key]) -> Sequence[Entry | None]:
        return await self._first(self._ledger.find, keys)

    async def _taken_over(self, keys: list[Key]) -> Sequence[Entry | None]:
        return await self._first(self._ledger.take_over, keys)

    async def _named(self, names: list[Name]) -> Sequence[bool]:
        return await self._first(self._ledger.take_names, names)

    async def _first(self, verb: Callable[[Any], Awaitable[Sequence[B]]], asked: list[Any]) -> Sequence[B]:
        """Call a verb; a failure stops the run."""
        try:
            return await self._called(verb, asked)
        except Exception as error:
            self._fail(error)
            raise

    async def _recorded(self, events: list[Event]) -> Sequence[bool]:
        """Record; after a failure again, for a limited time: a ledger takes the same events twice."""
        until: float | None = None
        while True:
            try:
                return await self._called(self._ledger.record, events)
            except Exception as error:
                self._fail(error)
                until = until or time.monotonic() + _AGAIN
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(_PAUSE)

    async def _called(self, verb: Callable[[Any], Awaitable[Sequence[B]]], asked: list[Any]) -> Sequence[B]:
        """Call a verb of the ledger, and see whether that was lost."""
        answers = await verb(asked)
        # Before anybody comes back: a claim in a journal that nobody else sees must not be followed by its create.
        if self._ledger.lost is not None and not self._lost:
            self._lost = True
            self._told(self._ledger.lost)
        return answers

    def _fail(self, error: Exception) -> None:
        """Stop the run; the first failure counts."""
        if self._failure is None:
            self._failure = error
            self._told(error)


def _size(event: Event) -> int:
    """How large the output is that comes with an event."""
    return len(getattr(event, "output", None) or "")
