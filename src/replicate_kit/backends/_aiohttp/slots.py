"""How many connections a pool may have open: who waits for one, in turn, and which of them nobody uses."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict

from replicate_kit.backends._common.open_files import tell_of_files
from replicate_kit.backends._common.patience import Patience

__all__ = ["NoneFree", "Slots"]


class NoneFree(Exception):
    """No connection was free in time."""


class Slots:
    """The slots of one event loop's connections. Whoever has one may open a connection, or use one that is kept.

    A connection that is kept takes no slot, yet a file: the oldest ones are closed where a new one needs that.
    """

    def __init__(self, most: float) -> None:
        self._most, self._taken = most, 0
        self._waiting = dict[asyncio.Future[None], None]()  # in the order they came; any may leave
        self._moved_at = 0.0  # when one that waited got its slot
        self._kept: OrderedDict[asyncio.Transport, None] = OrderedDict()

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._taken

    async def take(self, patience: Patience) -> None:
        """Take a slot, after those that came before. Raises `NoneFree` where that takes too long."""
        if self._taken + 1 <= self._most:
            self._taken += 1
            return
        tell_of_files(self._most)
        slot, began = asyncio.get_running_loop().create_future(), time.monotonic()
        self._waiting[slot] = None
        try:
            while not slot.done():
                left = patience.left(max(began, self._moved_at))
                if left <= 0:
                    raise NoneFree
                await asyncio.wait([slot], timeout=None if left == math.inf else left)
        except BaseException:
            if slot.done():  # it was given in the same moment
                self.give_back()
            else:
                del self._waiting[slot]
            raise

    def give_back(self) -> None:
        """Give a slot to whoever waits the longest, or to nobody."""
        if self._waiting:
            slot = next(iter(self._waiting))
            del self._waiting[slot]
            self._moved_at = time.monotonic()
            slot.set_result(None)
        else:
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
