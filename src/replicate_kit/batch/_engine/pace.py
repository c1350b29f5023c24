"""The only place where the pace of a run is decided: what is in flight, what is spent, how fast is created.

Whoever is to create something waits, in this order, for a place in the window, for saving to keep up, for the budget,
and for a token of the creates. All of it is in a `Slot`, which gives back what it holds exactly once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Self

from replicate_kit.batch._engine.limits import Bucket, Ticket, Window
from replicate_kit.batch._engine.sharing import SharedBucket
from replicate_kit.batch._engine.state import RunState, Stopped
from replicate_kit.batch._money.pricing import Account
from replicate_kit.batch._results.backlog import Backlog

__all__ = ["Exhausted", "Pace", "Slot"]

_LOOK_AGAIN = 5.0  # seconds between two looks at how far saving lags behind, if nothing else happens
_UNDER_WAY = 64  # rows beyond twice the window that may be under way: files that are being stored count too


class Exhausted(Exception):
    """The budget has nothing left for this row, and nothing under way may free any of it."""


class Pace:
    """Gives slots. `has_room` tells whether whoever takes the results keeps up, `takes_more` whether what comes of one
    more prediction can be stored, beside that of so many rows.

    `backlog` is None where no files are stored.
    """

    def __init__(
        self,
        state: RunState,
        window: Window,
        creates: Bucket | SharedBucket,
        budget: Account,
        backlog: Backlog | None,
        has_room: Callable[[], bool],
        takes_more: Callable[[int], bool],
    ) -> None:
        self.window, self.creates, self.budget = window, creates, budget
        self._state, self._backlog = state, backlog
        self._has_room, self._takes_more = has_room, takes_more
        self._queue = asyncio.Lock()  # fair: rows that come again need not wait for all others
        self.under_way = 0
        self.changed = state.wake
        """Let those who wait look again."""

    async def to_resume(self, *, reserved: bool, held: bool = False) -> Slot:
        """Wait for what a row needs that is paid for already: a place in the window. Raises `Stopped`.

        It is `held` where what it costs is not known yet.
        """
        async with self._queue:
            while not self._has_place():
                await self._state.change()
            return Slot(self, reserved=reserved, held=held)

    async def to_create(self) -> Slot:
        """Wait for all that a create needs. Raises `Stopped`, and `Exhausted`."""
        # Where a model answers fast, mostly nobody waits, and everything is there.
        if not self._queue.locked() and not self.creates.ready_in() and self._affords():
            slot = Slot(self, reserved=True)
            slot.ticket = self.creates.take()
            return slot
        async with self._queue:
            await self._afford()
            slot = Slot(self, reserved=True)
            try:
                slot.ticket = await self._token()
            except BaseException:
                slot.close()
                raise
            return slot

    async def again(self, slot: Slot, seconds: float = 0.0) -> None:
        """Let a slot that is not in the window have all that a create needs, after a pause. Raises as `to_create`."""
        slot.park()
        if seconds:
            await self._pause(seconds)
        async with self._queue:
            if slot.reserved:
                while not self._has_place():
                    await self._state.change()
            else:
                await self._afford()
                slot.reserved = True
            slot.resume()
            slot.ticket = await self._token()

    def _has_place(self) -> bool:
        """Whether one more row may be under way, and whoever takes the results keeps up. Raises `Stopped`."""
        if self._state.stopped:
            raise Stopped
        crowded = self.under_way > 2 * self.window.size + _UNDER_WAY
        return self.window.free and not crowded and self._has_room()

    def _affords(self) -> bool:
        """Whether there is a place, and what comes of one more prediction can be stored and paid: then the money is set
        aside. Raises `Stopped`.
        """
        if not self._has_place():
            return False
        if not self._takes_more(self.under_way):
            raise Stopped
        return not self._lags() and self.budget.reserve()

    def _lags(self) -> bool:
        """Whether saving has to keep up first."""
        # Rows that have ended and are being written down are neither in flight nor unsaved: they will be.
        backlog = self._backlog
        return backlog is not None and backlog.holds(self.under_way - backlog.unsaved)

    async def _afford(self) -> None:
        """Wait for a place, and set the money aside. Raises `Stopped`, and `Exhausted`."""
        while not self._affords():
            if not self._has_place():
                await self._state.change()
            elif self._lags():
                if self.budget.is_spent:  # nothing is created any more, so that nobody waits for a store
                    raise Exhausted
                await self._state.change(_LOOK_AGAIN)
            elif self.budget.waits:
                await self._state.change()
            else:
                raise Exhausted

    async def _token(self) -> Ticket:
        """Wait until a create may be sent."""
        while not self._state.stopped:
            wait = self.creates.ready_in()
            if not wait:
                return self.creates.take()
            await self._pause(wait)
        raise Stopped

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the run stops."""
        try:
            async with asyncio.timeout(seconds):
                await self._state.stopping.wait()
        except TimeoutError:
            pass


class Slot:
    """What one row holds: a place in the window, money set aside, a token to create. A context manager."""

    __slots__ = ("_held", "_in_window", "_pace", "_under_way", "reserved", "ticket")

    def __init__(self, pace: Pace, *, reserved: bool, held: bool = False) -> None:
        self._pace, self.reserved, self._held = pace, reserved, held
        self.ticket: Ticket | None = None
        self._in_window = self._under_way = True
        pace.window.in_flight += 1
        pace.under_way += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is still held."""
        self.release()
        if self._in_window:
            self.leave_window()
        if self._under_way:
            self._under_way = False
            self._pace.under_way -= 1
        if self.ticket is not None:
            self.give_token_back()
        self._pace.changed()

    @property
    def may_create(self) -> bool:
        """Whether it has a token."""
        return self.ticket is not None

    def leave_window(self) -> None:
        """Make room for another prediction: this one has ended, or waits for something else."""
        if self._in_window:
            self._in_window = False
            self._pace.window.in_flight -= 1
            self._pace.changed()

    def enter_window(self) -> None:
        """Be in flight again, without waiting: the prediction is there."""
        if not self._in_window:
            self._in_window = True
            self._pace.window.in_flight += 1

    def park(self) -> None:
        """Wait for something else than a prediction, and hold nobody up."""
        self.leave_window()
        if self._under_way:
            self._under_way = False
            self._pace.under_way -= 1

    def resume(self) -> None:
        """Go on after that."""
        self.enter_window()
        if not self._under_way:
            self._under_way = True
            self._pace.under_way += 1

    def use_token(self) -> Ticket:
        """Take the token for a create that is sent now."""
        assert self.ticket is not None
        ticket, self.ticket = self.ticket, None
        return ticket

    def not_needed(self) -> None:
        """Give back what was set aside for a create that is not sent."""
        self.give_token_back()
        self.release()

    def release(self) -> None:
        """Give the money back: nothing was created."""
        self._let_go()
        if self.reserved:
            self.reserved = False
            self._pace.budget.release()
            self._pace.changed()

    def settle(
        self, seconds: float | None, metrics: Mapping[str, float] | None = None, *, ours: bool
    ) -> None:
        """Replace what was set aside by what the prediction cost: the most, of whatever is not known."""
        self._let_go()
        if self.reserved:
            self.reserved = False
            self._pace.budget.settle(seconds, metrics or {}, ours=ours)
            self._pace.changed()

    def _let_go(self) -> None:
        """See that it is known what became of a row that an earlier run had left open."""
        if self._held:
            self._held = False
            self._pace.budget.let_go()

    def give_token_back(self) -> None:
        """Give the token back: nothing was sent."""
        if self.ticket is not None:
            self.ticket = None
            self._pace.creates.give_back()
