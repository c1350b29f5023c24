"""Rows that wait: for what became of a create that was not answered, or for another process that has them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from replicate_kit import errors
from replicate_kit._unresolved.protocols import Finding
from replicate_kit._unresolved.search import Search
from replicate_kit.batch._engine.endings import lost
from replicate_kit.batch._engine.ledger_source import LedgerSource

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from replicate_kit.batch._engine.rows import Rows
    from replicate_kit.batch._engine.setup import Setup
    from replicate_kit.batch._ledger.journal import Work

__all__ = ["Reconciler"]

_GROUPED = 0.2  # seconds to let look-ups gather, so that one listing answers many
_LONGEST = 2.0  # seconds between two look-ups
_ELSEWHERE = 0.5  # seconds between two looks at what other processes have


class Reconciler:
    """Brings back rows that wait."""

    def __init__(
        self, setup: Setup, rows: Rows, start: Callable[[Coroutine[None, None, None]], None]
    ) -> None:
        self._setup, self._flow, self._rows, self._start = setup, setup.flow, rows, start
        self._calls, self._clocks = setup.calls, setup.calls.clocks
        self._looking = asyncio.Lock()
        source = LedgerSource(setup.calls, setup.db, setup.journal)
        self._search: Search[Work] = Search(source, setup.target, setup.runnable.schema)

    async def run(self) -> None:
        """Look after them, as long as the run lasts."""
        while True:
            while not (self._flow.look_ups or self._flow.elsewhere):  # noqa: ASYNC110 - so that many gather
                await asyncio.sleep(_GROUPED)
            if self._flow.look_ups:
                await self._look_up_patiently()
            for work in list(self._flow.elsewhere):
                self._flow.elsewhere.discard(work)
                self._start(self._rows.resume(work))
            await asyncio.sleep(self._pause())
            self._flow.wake()

    def _pause(self) -> float:
        """Seconds until another look may bring something new."""
        now = self._clocks.now()
        # Once its own time is over, a row waits for a list that is behind: that is not asked several times a second.
        least = min(max(self._calls.settling / 30, _GROUPED), _LONGEST)
        waits = [self._search.left(each, now) for each in self._flow.look_ups]
        soonest = min((min(max(each, least), _LONGEST) for each in waits), default=_ELSEWHERE)
        return min(soonest, _ELSEWHERE) if self._flow.elsewhere else soonest

    async def _look_up_patiently(self) -> None:
        """Look; a service that does not answer is asked again, until patience has run out. Raises what then ends us."""
        try:
            await self.look_up()
        except (errors.TransportError, errors.ServerError, errors.RateLimited) as error:
            self._setup.trouble.happened(error)

    async def look_up(self) -> None:
        """Look for everything whose fate is unknown, at once."""
        async with self._looking:  # a run that is stopped looks as well
            if wanted := list(self._flow.look_ups):
                for finding in await self._findings(wanted):
                    await self._act_on(finding)

    async def _findings(self, wanted: list[Work]) -> list[Finding[Work]]:
        """Search, where there is something to search in."""
        if self._calls.lists:
            return await self._search.look(wanted)
        return [Finding(work, "unknown") for work in wanted]

    async def _act_on(self, finding: Finding[Work]) -> None:
        """Adopt what was found; create again what is certainly absent; give up what stays unknown."""
        work = finding.create
        if finding.outcome == "later":
            return
        if finding.prediction is not None:
            self._start(self._rows.adopted(work, finding.prediction))
        elif finding.outcome == "absent":
            await self._rows.came_to_nothing(work)
            # The journal says what is next: another run may have the row by now, or it is failed, unknown or expired as
            # it was before the intent.
            self._start(self._rows.resume(work))
        else:
            why = (
                "its prediction cannot be found" if self._calls.lists else "this backend lists no predictions"
            )
            await self._rows.finish(work, lost(work, f"A create was sent and not answered, and {why}."))
        # Not before it is somewhere else, or has its end: a run ends when there is nothing left to wait for.
        self._flow.look_ups.discard(work)
        self._flow.wake()
