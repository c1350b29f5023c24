"""What a run has of the limits that all runs on its ledger share: tokens to create, and a budget.

They are one text in the ledger, which one run at a time changes. A run asks for as much as it uses in a part of a
second, so that this costs few statements, and tells at the same time what it has learned: what the server counts, and
what it refused. What it does not use it gives back. Tokens of a run that dies are lost, a second's worth at most; what
it has spent, or may have, the ledger's rows tell.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from replicate_kit.batch._engine.limits import Ticket, remaining_of
from replicate_kit.batch._engine.shared_limits import AHEAD, Grant, Report, State, User
from replicate_kit.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replicate_kit.batch._engine.state import RunState
    from replicate_kit.batch._ledger.protocol import Shared, SharedLedger
    from replicate_kit.batch._money.shared import SharedAccount

__all__ = ["SharedBucket", "Sharing"]

_PERIOD = 0.75  # seconds between two exchanges of a run that creates: soon all know what one knows
_SOON = 0.01  # seconds until a token that was asked for may have come
_APART = 0.05  # seconds between two exchanges at the least, so that runs that wait do not crowd the ledger
_LEAVING = 2.0  # seconds that it takes to leave, at most: a journal may hang
_LARGEST = 256  # tokens that one run is given at once
_COUNTING = 0.05  # of its time a run has the ledger add up, at the most, while it waits for money


class SharedBucket:
    """The part of a shared token bucket that one run has. It is used like a `Bucket`.

    Times are those of `now`; tickets have the ledger's. `ask` is called when a token is wanted.
    """

    def __init__(self, rate: float, burst: float, now: Callable[[], float]) -> None:
        self.rate, self.burst, self.now = rate, burst, now
        self.ask: Callable[[], None] = lambda: None
        self._tickets: deque[Ticket] = deque()
        self._last = Ticket(0, 0.0)
        self._ahead = 0.0
        self._closed_until = self._none_before = 0.0
        self._taken, self._want = 0, 1  # since the last exchange, and then
        self._unused = self._through = 0
        self._counted: tuple[float, Ticket] | None = None
        self._refusals: list[tuple[float, tuple[float, float] | None]] = []

    # What the engine asks and tells.

    def ready_in(self) -> float:
        """Seconds until the next request may be sent, or until that may be known; 0 for now."""
        now = self.now()
        if now < self._closed_until:
            return self._closed_until - now
        if self._tickets:
            return max(0.0, self._tickets[0].at - self._ahead - now)
        if now >= self._none_before:
            self.ask()
        return max(_SOON, self._none_before - now)

    def take(self) -> Ticket:
        """Count one request."""
        self._last = self._tickets.popleft()._replace(at=self.now() + self._ahead)
        self._taken += 1
        return self._last

    def give_back(self) -> None:
        """Uncount one request that was not sent after all."""
        self._tickets.appendleft(self._last)
        self._taken -= 1

    def told(self, headers: Mapping[str, str], ticket: Ticket) -> None:
        """Learn from the headers of an answer."""
        self._through += 1
        remaining = remaining_of(headers)
        if remaining is not None and (self._counted is None or ticket.number > self._counted[1].number):
            self._counted = remaining, ticket

    def refused(self, wait: float, stated: tuple[float, float] | None = None) -> None:
        """Learn from a 429, and let all others know."""
        self._refusals.append((wait, stated))
        self.pause(wait)
        self.ask()

    def pause(self, seconds: float) -> None:
        """Let nothing of this run through for a while."""
        self._closed_until = max(self._closed_until, self.now() + seconds)

    # What the exchange asks and tells.

    @property
    def is_active(self) -> bool:
        """Whether something was created since the last exchange, or may be soon."""
        return bool(self._tickets or self._taken)

    def wants(self) -> int:
        """How many tokens more it could use: as many as lately, or twice what it wanted where it has none left."""
        self._want = max(1, self._taken) if self._tickets else min(_LARGEST, 2 * self._want)
        return 0 if self.now() < self._closed_until else max(0, self._want - len(self._tickets))

    def report(self, *, leaves: bool = False) -> Report:
        """Take what is to be told. Tokens that are old were not needed; none is while the bucket is closed."""
        now = self.now()
        while self._tickets and (
            leaves or now < self._closed_until or self._tickets[0].at < now + self._ahead - _PERIOD
        ):
            self._tickets.popleft()
            self._unused += 1
        told = Report(len(self._tickets), self._unused, self._counted, self._through, self._refusals)
        self._unused = self._through = 0
        self._counted, self._refusals = None, []
        return told

    def untold(self, report: Report) -> None:
        """Take back what could not be told."""
        self._unused += report.unused
        self._through += report.through
        self._counted = self._counted or report.counted
        self._refusals = report.refusals + self._refusals

    def given(self, grant: Grant) -> None:
        """Take tokens, and what the others know."""
        self._ahead, self._taken = grant.ahead, 0
        self._tickets.extend(grant.tickets)
        # Not all at the same moment: the first would get all there is, each time.
        self._none_before = self.now() + (0.0 if grant.tickets else AHEAD * random.random())
        if grant.closed_for:
            self.pause(grant.closed_for)


class Sharing:
    """Exchanges what a run knows of shared limits with its ledger, when it needs something and now and then.

    `budget` is None where the run's is its own. `failed` is told of what ends the exchange.
    """

    def __init__(
        self,
        ledger: SharedLedger,
        run_id: str,
        bucket: SharedBucket,
        budget: SharedAccount | None,
        state: RunState,
        failed: Callable[[Exception], None],
    ) -> None:
        self._ledger, self._id, self._bucket, self._budget = ledger, run_id, bucket, budget
        self._state, self._failed = state, failed
        self._account, self._count_again = "", 0.0
        self._asked = asyncio.Event()
        bucket.ask = self._asked.set
        if budget is not None:
            budget.ask = self._asked.set

    @asynccontextmanager
    async def running(self, account: str | None) -> AsyncIterator[None]:
        """Share until the block is left. Creates of one `account` are limited together."""
        self._account = account or ""
        await self._exchange(begins=True)
        if self._budget is not None:
            await self._count()
            self._count_again = 0.0  # a run for which nothing is left shall see that soon
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            # Else the ledger's rows tell what was spent, once this run counts as over.
            if not isinstance(self._state.failure, JournalError):
                with suppress(JournalError, TimeoutError):
                    async with asyncio.timeout(_LEAVING):
                        await self._leave()

    async def _run(self) -> None:
        """Exchange, until the run is over."""
        bucket, budget = self._bucket, self._budget
        try:
            while True:
                active = bucket.is_active or (budget is not None and budget.is_active)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PERIOD if active else None):
                        await self._asked.wait()
                self._asked.clear()
                await self._exchange()
                if budget is not None and budget.is_short and bucket.now() >= self._count_again:
                    await self._count()
                await asyncio.sleep(_APART)
        except Exception as error:
            self._failed(error)

    async def _exchange(self, *, begins: bool = False) -> None:
        """Tell what this run knows, and take what it may use."""
        bucket, budget = self._bucket, self._budget
        report, wants, grant = bucket.report(), bucket.wants(), Grant([], 0.0, 0.0)
        demand, share = None if budget is None else budget.demand(), None

        def change(shared: Shared) -> str:
            nonlocal grant, share
            local, state = bucket.now(), State.of(shared)
            creates = state.creates(self._account, self._id, bucket, begins=begins)
            creates.learn(report)
            tickets = creates.ahead(min(wants, creates.fair - report.kept), AHEAD)
            grant = Grant(tickets, shared.now - local, creates.closed_for)
            creates.note(self._id, User(report.kept + len(tickets), wants > 0, bucket.rate))
            state.put(self._account, creates)
            if budget is not None and demand is not None:
                share = budget.share(demand, *state.spent_by_others(self._id, budget.price))
                state.runs[self._id] = demand.spent, share.may
            return state.text

        try:
            await self._ledger.share(change)
        except BaseException:
            bucket.untold(report)
            share = None  # it may have been noted, and may not
            raise
        else:
            bucket.given(grant)
        finally:
            if budget is not None:
                budget.take(share)
        self._state.wake()

    async def _count(self) -> None:
        """Have the ledger add up what was spent besides what living runs tell of themselves, and see what that leaves.

        Runs that do not share the budget tell nothing. What is under way of them may cost less in the end, as long as
        they live; what dead runs have left under way counts as the most that it may cost.
        """
        budget = self._budget
        assert budget is not None
        living = runs = frozenset[str]()
        number, began = 0, self._bucket.now()

        def look(shared: Shared) -> str:
            nonlocal number, living, runs
            state = State.of(shared)
            number, living, runs = state.number, shared.living, frozenset(state.runs)
            return state.text

        def note(shared: Shared) -> str:
            state = State.of(shared)
            # Else another run has ended meanwhile: it has added what it spent, and this sum is without that.
            if state.number == number:
                state.others, state.number = (certain, most), number + 1
                state.runs = {id: run for id, run in state.runs.items() if id not in runs - living}
            return state.text

        await self._ledger.share(look)
        spent, under_way = await self._ledger.spending_besides(budget.price, runs & living)
        left = under_way
        if under_way and living - runs:
            _, left = await self._ledger.spending_besides(budget.price, runs | living)
        certain, most = spent.plus(*budget.most(min(left, under_way))), spent.plus(*budget.most(under_way))
        await self._ledger.share(note)
        budget.counted()
        await self._exchange()
        now = self._bucket.now()
        self._count_again = now + max(_PERIOD, (now - began) / _COUNTING)

    async def _leave(self) -> None:
        """Give back what was not used, and let what was spent count among what is over."""
        report, budget = self._bucket.report(leaves=True), self._budget
        spent = None if budget is None else budget.needed

        def change(shared: Shared) -> str:
            state = State.of(shared)
            creates = state.creates(self._account, self._id, self._bucket, begins=False)
            creates.learn(report)
            state.put(self._account, creates)
            if spent is not None and state.runs.pop(self._id, None) is not None:
                state.add(spent)
            return state.text

        await self._ledger.share(change)
