"""A gate: how many transfers are on their way at a time, whoever drives them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicate_kit._http.session import Session

__all__ = ["TRANSFERS", "Gate"]


class Gate:
    """Lets so many in at a time, first come, first served; threads and event loops wait in one line."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._lock = threading.Lock()
        self._waiting: deque[Future[None]] = deque()

    @asynccontextmanager
    async def entered(self, session: Session) -> AsyncIterator[None]:
        """Hold a slot for the length of the block."""
        ticket = self._ticket()
        try:
            await session.wait(ticket, None)
            yield
        finally:
            self._leave(ticket)

    def _ticket(self) -> Future[None]:
        """Stand in line; a ticket that is done is a slot."""
        ticket: Future[None] = Future()
        with self._lock:
            if self._free:
                self._free -= 1
                ticket.set_result(None)
            else:
                self._waiting.append(ticket)
        return ticket

    def _leave(self, ticket: Future[None]) -> None:
        """Give the slot to the next in line, or leave the line if there is none yet."""
        with self._lock:
            if not ticket.done():
                self._waiting.remove(ticket)
                return
            following = self._waiting.popleft() if self._waiting else None
            if following is None:
                self._free += 1
            else:
                following.set_result(None)


TRANSFERS = Gate(8)
"""All transfers of this process: each holds a few blocks of its file in memory."""
