"""Whom a search for unresolved creates asks on behalf of a batch: the API within the limits, and the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from replicate_kit import errors

if TYPE_CHECKING:
    from replicate_kit._unresolved.clocks import Clocks
    from replicate_kit._unresolved.protocols import JSON, Owner
    from replicate_kit.batch._engine.calls import Calls
    from replicate_kit.batch._ledger.database import Database
    from replicate_kit.batch._ledger.journal import Journal

__all__ = ["LedgerSource"]

T = TypeVar("T")

_AT_ONCE = 8  # requests


class LedgerSource:
    """Knows from the journal which predictions belong to rows, and what was sent for them."""

    def __init__(self, calls: Calls, db: Database, journal: Journal) -> None:
        self._calls, self._db, self._journal = calls, db, journal

    @property
    def clocks(self) -> Clocks:
        """Ours and the server's, by all answers of the run."""
        return self._calls.clocks

    @property
    def timeout(self) -> float:
        """Seconds that a request of the run may take."""
        return self._calls.timeout

    @property
    def settling(self) -> float:
        """Seconds after which a create of the run has been acted on and listed, if it ever is."""
        return self._calls.settling

    async def compare_clocks(self) -> None:
        """Ask the server for its time, unless an answer has told it."""
        await self._calls.compare_clocks()

    async def page(self, link: str | None = None, **filters: str) -> tuple[list[JSON], str | None]:
        """List one page of predictions."""
        return await self._calls.page(link, **filters)

    async def gets(self, ids: Collection[str], found: dict[str, JSON]) -> None:
        """Get predictions, a few at the same time; leaves out what is not found."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def get(id: str) -> None:
            async with gate:
                with suppress(errors.NotFound):
                    found[id] = await self._calls.get(id)

        await asyncio.gather(*map(get, ids))

    async def known(self, since: float) -> list[str]:
        """Name the predictions of the newest rows that may have been created since then."""
        return await self._db.do(lambda db: self._journal.latest(db, since))

    async def owners(self, ids: list[str]) -> Mapping[str, Owner]:
        """Tell which of these predictions belong to rows, of this run or of earlier ones."""
        return await self._db.do(lambda db: self._journal.owners(db, ids))

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call what computes for a while on another thread: the event loop has all rows to serve."""
        return await asyncio.to_thread(function)
