"""How many connections a pool may have open: who waits for one, in turn, and which of them nobody uses."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import suppress

from replicate_kit.backends._common.open_files import tell_of_files

__all__ = ["NoneFree", "Slots"]


class NoneFree(Exception):
    """No connection was free in time."""


class Slots:
    """The slots of one event loop's connections. Whoever has one may open a connection, or use one that is kept.

    A connection that is kept takes no slot, yet a file: the oldest ones are closed where a new one needs that.
    """

    def __init__(self, most: float) -> None:
        self._most, self._taken = most, 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._kept: OrderedDict[asyncio.Transport, None] = OrderedDict()

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._taken

    async def take(self, seconds: float | None) -> None:
        """Take a slot, after those that came before. Raises `NoneFree` where none is free in so many seconds."""
        if self._taken < self._most:
            self._taken += 1
            return
        tell_of_files(self._most)
        slot = asyncio.get_running_loop().create_future()
        self._waiting.append(slot)
        try:
            async with asyncio.timeout(seconds):
                await slot
        except BaseException as error:
            if slot.done() and not slot.cancelled():  # it was given in the same moment
                self.give_back()
            with suppress(ValueError):
                self._waiting.remove(slot)
            if isinstance(error, TimeoutError):
                raise NoneFree from None
            raise

    def give_back(self) -> None:
        """Give a slot to whoever waits the longest, or to nobody."""
        while self._waiting:
            slot = self._waiting.popleft()
            if not slot.done():
                slot.set_result(None)
                return
        self._taken -= 1

    def keep(self, connection: asyncio.Transport) -> None:
        """Note that nobody uses a connection."""
        if not connection.is_closing():
            self._kept[connection] = None

    def use(self, connection: asyncio.Transport) -> None:
        """Note that a connection is used."""
        self._kept.pop(connection, None)

    def make_room(self) -> None:
        """See that there is a file for one more connection."""
        if self._taken + len(self._kept) <= self._most:
            return
        for each in [each for each in self._kept if each.is_closing()]:
            del self._kept[each]
        while self._kept and self._taken + len(self._kept) > self._most:
            self._kept.popitem(last=False)[0].abort()
