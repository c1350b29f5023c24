"""Rows that wait: for what became of a create that was not answered, or for another process that has them.

All creates of unknown fate are looked for at once, in the list of predictions. One is recognised by its model and
canonical input, and each prediction is adopted once. Absence proves nothing until the request's own time has passed;
what the API does not show any more stays unknown.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit import errors
from replicate_kit.batch.clocks import Span, hull
from replicate_kit.batch.endings import lost
from replicate_kit.batch.likeness import Listed, Wanted, is_of, matched

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from replicate_kit.batch.journal import Work
    from replicate_kit.batch.rows import Rows
    from replicate_kit.batch.setup import Setup

__all__ = ["Finding", "Reconciler"]

JSON = dict[str, Any]

_GROUPED = 0.2  # seconds to let look-ups gather, so that one listing answers many
_ELSEWHERE = 0.5  # seconds between two looks at what other processes have
_MOST_PAGES = 500


class Finding(NamedTuple):
    """What became of a create: "found" with its prediction, "absent", "unknown", or "later" if that is not sure yet."""

    work: Work
    fate: str
    prediction: JSON | None = None


class Reconciler:
    """Brings back rows that wait."""

    def __init__(
        self, setup: Setup, rows: Rows, start: Callable[[Coroutine[None, None, None]], None]
    ) -> None:
        self._setup, self._flow, self._rows, self._start = setup, setup.flow, rows, start
        self._calls, self._clocks = setup.calls, setup.calls.clocks
        self._looking = asyncio.Lock()
        self._defaults = setup.defaults

    # When to look, and what follows.

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
        waits = [self._left(each, now) for each in self._flow.look_ups]
        soonest = min((min(max(each, _GROUPED), 2.0) for each in waits), default=_ELSEWHERE)
        return min(soonest, _ELSEWHERE) if self._flow.elsewhere else soonest

    async def _look_up_patiently(self) -> None:
        """Look; a service that does not answer is asked again, until patience has run out."""
        try:
            await self.look_up()
        except (errors.TransportError, errors.ServerError, errors.RateLimited) as error:
            try:
                self._setup.trouble.happened(error)
            except errors.ReplicateError as last:
                self._flow.fail(last)
        except Exception as error:
            self._flow.fail(error)

    async def look_up(self) -> None:
        """Look for everything whose fate is unknown, at once."""
        async with self._looking:  # a run that is stopped looks as well
            if wanted := list(self._flow.look_ups):
                for finding in await self.look(wanted):
                    await self._act_on(finding)

    async def _act_on(self, finding: Finding) -> None:
        """Adopt what was found; create again what is certainly absent; give up what stays unknown."""
        work = finding.work
        if finding.fate == "later":
            return
        if finding.prediction is not None:
            self._start(self._rows.adopted(work, finding.prediction))
        elif finding.fate == "absent":
            await self._rows.came_to_nothing(work)
            self._start(self._rows.resume(work))
        else:
            await self._rows.finish(
                work, lost("A create was sent and not answered, and its prediction cannot be found.")
            )
        # Not before it is somewhere else, or has its end: a run ends when there is nothing left to wait for.
        self._flow.look_ups.discard(work)
        self._flow.wake()

    # One look.

    async def look(self, rows: list[Work]) -> list[Finding]:
        """Look for the predictions of all these rows in one listing."""
        await self._calls.compare_clocks()
        began = self._clocks.now()
        listed, whole = await self._listed(min(self._window(each).first for each in rows))
        mine = [each for each in listed if is_of(self._setup.target, each)]
        taken = await self._setup.db.do(
            lambda db: self._setup.journal.known(db, [each["id"] for each in mine])
        )
        free = [Listed.of(each) for each in reversed(mine) if each["id"] not in taken]  # oldest first
        wanted = [Wanted(each.fingerprint, each.input, self._window(each)) for each in rows]
        found = matched(wanted, free, self._defaults)
        return [
            Finding(row, "found", match.prediction)
            if match is not None
            else Finding(row, self._missed(row, each, free, began, whole))
            for row, each, match in zip(rows, wanted, found, strict=True)
        ]

    async def _listed(self, since: float) -> tuple[list[JSON], bool]:
        """List what was created since a moment of the server's clock, and whether that is all."""
        after = datetime.fromtimestamp(max(0.0, since), UTC).isoformat()
        first, link = await self._calls.page(created_after=after)
        found = {each["id"]: each for each in first if "id" in each}
        for _ in range(_MOST_PAGES):
            if link is None:
                return list(found.values()), True
            page, link = await self._calls.page(link)
            more = {each["id"]: each for each in page if "id" in each}
            if link is not None and more.keys() <= found.keys():  # it goes in circles
                break
            found |= more
        return list(found.values()), False

    def _missed(self, row: Work, wanted: Wanted, free: list[Listed], began: float, whole: bool) -> str:
        """Say what it means that no prediction fits."""
        left = self._left(row, began)
        if left > 0:
            return "later"
        if not whole:
            return "unknown"
        if any(each.may_be(wanted, self._defaults) for each in free):
            # That may be another row's, which is written down soon.
            return "later" if left + self._calls.timeout > 0 else "unknown"
        return "absent"

    # Its time.

    def _left(self, row: Work, now: float) -> float:
        """Seconds, from a moment of our clock, in which the server may still act on a create."""
        if row.ours is not None:
            left = row.ours.last - now
        else:
            left = row.theirs.last - self._clocks.theirs(Span(now, now)).first
        return min(left, row.latest - now)

    def _window(self, row: Work) -> Span:
        """Between which moments of the server's clock it was created; what we know of that may have changed."""
        if row.ours is None:
            return row.theirs
        return hull((row.theirs, self._clocks.theirs(row.ours)))
