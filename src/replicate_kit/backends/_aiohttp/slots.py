"""How many connections a pool may have open: who waits for one, in turn, which of them are used, and which are kept."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Hashable

from replicate_kit.backends._aiohttp.protocols import Protocol
from replicate_kit.backends._common.open_files import tell_of_files
from replicate_kit.backends._common.patience import Patience

__all__ = ["Closed", "NoneFree", "Slots"]

_KEPT = 5.0  # seconds that a connection is kept which nobody uses, as httpx keeps it


class Closed(Exception):
    """The connections were closed: nothing of the request was sent."""


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
        self._used = set[Protocol]()
        self._kept: OrderedDict[Protocol, float] = OrderedDict()  # since when, the latest at the end
        self._by_route = dict[Hashable, dict[Protocol, None]]()
        self._tidying: asyncio.TimerHandle | None = None
        self.closings = 0
        """How often all were closed: what is being opened meanwhile is not to be used."""

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._taken

    def take_at_once(self) -> bool:
        """Take a slot, if one is free; tell whether."""
        if self._taken + 1 > self._most:
            return False
        self._taken += 1
        return True

    async def take(self, patience: Patience) -> None:
        """Take a slot, after those that came before. Raises `NoneFree` where that takes too long."""
        if self.take_at_once():
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

    def latest(self, route: Hashable) -> Protocol | None:
        """Use the connection of a route that was used last, if one is kept that can be used."""
        while free := self._by_route.get(route):
            connection = next(reversed(free))
            self._forget(connection)
            if connection.is_connected() and not connection.should_close and not connection.has_news():
                self.use(connection)
                return connection
            connection.drop()
        return None

    def use(self, connection: Protocol) -> None:
        """Note that a connection is used."""
        connection.is_idle = False
        self._used.add(connection)

    def end(self, connection: Protocol) -> None:
        """Keep a connection that a request has had to its end, or close it."""
        self._used.discard(connection)
        if connection.should_close or not connection.is_connected():
            connection.drop()
            return
        connection.is_idle = True
        self._kept[connection] = time.monotonic()
        self._by_route.setdefault(connection.route, {})[connection] = None
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(_KEPT, self._tidy)

    def make_room(self) -> None:
        """See that there is a file for one more connection."""
        while self._kept and self._taken + len(self._kept) > self._most:
            self._drop(next(iter(self._kept)))

    async def aclose(self) -> None:
        """Close all connections, those that are used as well."""
        self.closings += 1
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        for each in [*self._used, *self._kept]:
            each.drop()
        self._used.clear()
        self._kept.clear()
        self._by_route.clear()
        await asyncio.sleep(0)  # the loop closes them

    def _tidy(self) -> None:
        """Close what nobody has used for long."""
        before = time.monotonic() - _KEPT
        while self._kept and (oldest := next(iter(self._kept.items())))[1] <= before:
            self._drop(oldest[0])
        self._tidying = None
        if self._kept:
            wait = next(iter(self._kept.values())) - before
            self._tidying = asyncio.get_running_loop().call_later(wait, self._tidy)

    def _drop(self, connection: Protocol) -> None:
        """Close a connection that nobody uses."""
        self._forget(connection)
        connection.drop()

    def _forget(self, connection: Protocol) -> None:
        """Take a connection out of those that are kept."""
        del self._kept[connection]
        free = self._by_route[connection.route]
        del free[connection]
        if not free:  # there may be very many routes
            del self._by_route[connection.route]
