"""Creates whose outcome is unknown: looked for together, as one listing answers many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from replicate_kit import errors
from replicate_kit._unresolved.protocols import Finding, Owner
from replicate_kit._unresolved.search import Search
from replicate_kit.batch._engine.patience import PASSING

if TYPE_CHECKING:
    from replicate_kit._unresolved.clocks import Clocks
    from replicate_kit._unresolved.protocols import JSON
    from replicate_kit.batch._engine.creates import SentCreate
    from replicate_kit.batch._engine.patience import Patience
    from replicate_kit.batch._engine.recorder import Recorder
    from replicate_kit.batch._engine.requests import Requests
    from replicate_kit.batch._ledger.protocol import Ledger
    from replicate_kit.batch._plan.spool import Spool
    from replicate_kit.resources._running.running import Runnable

__all__ = ["LedgerSource", "Reconciler"]

T = TypeVar("T")

_AT_ONCE = 8  # requests
_GROUPED = 0.2  # seconds to let creates gather, so that one listing answers many
_LONGEST = 2.0  # seconds between two looks


class LedgerSource:
    """Whom a search asks for a run: the API within the rate limits, and the ledger, which knows whose predictions are.

    `owners` are those of this run: the ledger may not know them yet.
    """

    def __init__(
        self,
        requests: Requests,
        ledger: Ledger,
        recorder: Recorder,
        spool: Spool,
        owners: Mapping[str, SentCreate],
    ) -> None:
        self._requests, self._ledger, self._recorder = requests, ledger, recorder
        self._spool, self._owners = spool, owners

    @property
    def clocks(self) -> Clocks:
        """Ours and the server's, by all answers of the run."""
        return self._requests.clocks

    @property
    def timeout(self) -> float:
        """Seconds that a request of the run may take."""
        return self._requests.timeout

    @property
    def settling(self) -> float:
        """Seconds after which a create of the run has been acted on and listed, if it ever is."""
        return self._requests.settling

    async def compare_clocks(self) -> None:
        """Ask the server for its time, unless an answer has told it."""
        await self._requests.compare_clocks()

    async def page(self, link: str | None = None, **filters: str) -> tuple[list[JSON], str | None]:
        """List one page of predictions."""
        return await self._requests.page(link, **filters)

    async def gets(self, ids: Collection[str], found: dict[str, JSON]) -> None:
        """Get predictions, a few at the same time; leaves out what is not found."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def get(id: str) -> None:
            async with gate:
                with suppress(errors.NotFound):
                    found[id] = await self._requests.get(id)

        await asyncio.gather(*map(get, ids))

    async def known(self, since: float) -> list[str]:
        """Name the predictions of the newest rows that may have been created since then."""
        return list(await self._ledger.recent(since))

    async def owners(self, ids: list[str]) -> Mapping[str, Owner]:
        """Tell which of these predictions belong to rows, of this run or of others."""
        # What this run knows is looked up before and after: a create may be answered, or be written down, meanwhile.
        mine = {id: self._owners[id] for id in ids if id in self._owners}
        await self._recorder.flush()
        found = {
            id: Owner(each.is_of_model, self._input(each.input, each.key.digest), each.fingerprint)
            for id, each in (await self._ledger.owners(ids)).items()
        }
        mine |= {id: self._owners[id] for id in ids if id in self._owners}
        return {id: Owner(True, each.input, each.fingerprint) for id, each in mine.items()} | found

    def _input(self, kept: str | None, digest: bytes) -> str | None:
        """The input of a row: the ledger may hold its hash alone, where a row of this run has all of it."""
        return self._spool.input_of(digest) if kept is None else kept

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call what computes for a while on another thread: the event loop has all rows to serve."""
        return await asyncio.to_thread(function)


class Reconciler:
    """Finds out what became of creates."""

    def __init__(
        self, source: LedgerSource, runnable: Runnable, requests: Requests, patience: Patience
    ) -> None:
        self._search: Search[SentCreate] = Search(source, runnable.reference, runnable.schema)
        self._requests, self._patience = requests, patience
        self._waiting: dict[SentCreate, asyncio.Future[Finding[SentCreate]]] = {}
        self._looking = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """How many creates are looked for."""
        return len(self._waiting)

    def look_for(self, create: SentCreate) -> asyncio.Future[Finding[SentCreate]]:
        """Find out what became of a create; nothing but "later" is said of it until that is certain."""
        future: asyncio.Future[Finding[SentCreate]] = asyncio.get_running_loop().create_future()
        self._waiting[create] = future
        return future

    async def run(self) -> None:
        """Look, as long as the run lasts. Raises what a service says for longer than patience lasts."""
        while True:
            while not self._waiting:  # noqa: ASYNC110 - so that many gather
                await asyncio.sleep(_GROUPED)
            try:
                await self.look()
            except PASSING as error:
                self._patience.happened(error)
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Seconds until another look may bring something new."""
        now = self._requests.clocks.now()
        # Once its own time is over, a create waits for a list that is behind: that is not asked several times a second.
        least = min(max(self._requests.settling / 30, _GROUPED), _LONGEST)
        waits = [self._search.left(each, now) for each in self._waiting]
        return min((min(max(each, least), _LONGEST) for each in waits), default=_GROUPED)

    async def look(self) -> None:
        """Look for all of them at once."""
        async with self._looking:  # a run that is stopped looks as well
            wanted = list(self._waiting)
            if not wanted:
                return
            findings = (
                await self._search.look(wanted)
                if self._requests.lists
                else [Finding(each, "unknown") for each in wanted]
            )
            for finding in findings:
                if finding.outcome != "later":
                    future = self._waiting.pop(finding.create)
                    if not future.done():  # else its row was left
                        future.set_result(finding)
