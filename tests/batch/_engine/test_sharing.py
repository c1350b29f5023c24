"""Limits that several runs share, on a clock of their own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from replicate_kit import Budget
from replicate_kit.batch._engine.shared_limits import State
from replicate_kit.batch._engine.sharing import SharedBucket, Sharing
from replicate_kit.batch._engine.state import RunState
from replicate_kit.batch._ledger.protocol import Shared, Spending
from replicate_kit.batch._money.pricing import Price, Spent
from replicate_kit.batch._money.shared import SharedAccount
from replicate_kit.errors import JournalError

from .test_limits import Clock, Service


@dataclass
class Ledger:
    """What runs share, and what their rows have cost. `offset` is by how much its clock is ahead."""

    clock: Clock
    offset: float = 0.0
    text: str | None = None
    living: set[str] = field(default_factory=set)
    spent: dict[str, Spent] = field(default_factory=dict)
    under_way: dict[str, int] = field(default_factory=dict)
    exchanges: int = 0

    async def share(self, change: Callable[[Shared], str], /) -> None:
        self.exchanges += 1
        self.text = change(Shared(self.text, self.clock.time + self.offset, frozenset(self.living)))

    async def spending_besides(self, price: Price, runs: Collection[str], /) -> Spending:
        total, count = Spent(), 0
        for run in self.spent.keys() | self.under_way.keys():
            if run not in runs:
                total = total.plus(*self.spent.get(run, Spent()).known(price.mosts))
                count += self.under_way.get(run, 0)
        return Spending(total, count)


class Run:
    """One run on a ledger: it creates whenever it may, and gets its answers a while later."""

    def __init__(self, ledger: Ledger, name: str, rate: float, budget: SharedAccount | None = None) -> None:
        self.ledger, self.name, self.budget, self.clock = ledger, name, budget, ledger.clock
        self.bucket = SharedBucket(rate, max(1.0, rate), ledger.clock)
        self.sharing = Sharing(
            ledger,  # type: ignore[arg-type]
            name,
            self.bucket,
            budget,
            RunState(),
            lambda error: None,
        )
        ledger.living.add(name)
        self.answers: list[tuple[float, int, dict[str, str], Any]] = []
        self.next, self.sent = 0.0, 0
        self.asked = False

    async def begin(self) -> None:
        await self.sharing._exchange(begins=True)
        self.bucket.ask = self._ask

    def _ask(self) -> None:
        self.asked = True

    async def step(self, service: Service, delay: Callable[[], float], *, wants: bool = True) -> None:
        """Do what is due: take answers, exchange, send one."""
        now = self.clock.time
        for due in [each for each in self.answers if each[0] <= now]:
            self.answers.remove(due)
            _, status, headers, ticket = due
            if status == 429:
                self.bucket.refused(1.0)
            else:
                self.bucket.told(headers, ticket)
        if (self.asked and now >= self.next - 0.7) or (now >= self.next and self.bucket.is_active):
            self.asked, self.next = False, now + 0.75
            await self.sharing._exchange()
        if wants and not self.bucket.ready_in():
            ticket = self.bucket.take()
            self.sent += 1
            self.answers.append((now + delay(), *service.ask(), ticket))


async def at_work(
    runs: list[Run],
    service: Service,
    seconds: float,
    delay: Callable[[], float],
    wants: Any = lambda each: True,
) -> None:
    clock = runs[0].clock
    until = clock.time + seconds
    while clock.time < until:
        for each in runs:
            await each.step(service, delay, wants=wants(each))
        clock.time += 0.002


_CASES = [
    (1, 0.3, 0.0, True),
    *((4, delay, 1.7e9, tells) for delay in (0.02, 0.3, 1.0) for tells in (True, False)),
]


@pytest.mark.parametrize(("count", "latency", "offset", "headers"), [*_CASES, (12, 0.3, 0.0, True)])
def test_runs_use_one_limit_together_and_are_hardly_refused(
    count: int, latency: float, offset: float, headers: bool
) -> None:
    async def tell() -> None:
        clock, dice = Clock(), random.Random(count)
        service, ledger = Service(clock, 60.0, 60.0, headers=headers), Ledger(clock, offset)
        runs = [Run(ledger, f"run {n}", 60.0) for n in range(count)]
        for each in runs:
            await each.begin()
        await at_work(runs, service, 30.0, lambda: latency * dice.uniform(0.5, 1.5))
        assert service.admitted >= 0.95 * 30.0 * 60.0
        assert service.refused < 0.01 * service.admitted
        assert ledger.exchanges < 0.5 * service.admitted
        assert min(each.sent for each in runs) > 0.25 * service.admitted / count

    asyncio.run(tell())


def test_what_one_run_does_not_use_others_do() -> None:
    async def tell() -> None:
        clock = Clock()
        service, ledger = Service(clock, 60.0, 60.0), Ledger(clock)
        busy, idle = (Run(ledger, name, 60.0) for name in ("busy", "idle"))
        for each in (busy, idle):
            await each.begin()
        await at_work([busy, idle], service, 5.0, lambda: 0.1)
        before = busy.sent
        await at_work([busy, idle], service, 20.0, lambda: 0.1, wants=lambda each: each is busy)
        assert busy.sent - before >= 0.95 * 20.0 * 60.0
        assert service.refused < 0.01 * service.admitted

    asyncio.run(tell())


def test_a_refusal_of_one_run_closes_the_bucket_of_all_within_a_second() -> None:
    async def tell() -> None:
        clock = Clock()
        service, ledger = Service(clock, 1000.0, 1000.0), Ledger(clock)
        runs = [Run(ledger, f"run {n}", 60.0) for n in range(4)]
        for each in runs:
            await each.begin()
        await at_work(runs, service, 3.0, lambda: 0.1)
        runs[0].bucket.refused(30.0)
        await at_work(runs, service, 1.0, lambda: 0.1)
        sent = [each.sent for each in runs]
        await at_work(runs, service, 28.5, lambda: 0.1)
        assert [each.sent for each in runs] == sent
        await at_work(runs, service, 10.0, lambda: 0.1)
        assert all(each.sent > before for each, before in zip(runs, sent, strict=True))

    asyncio.run(tell())


def test_a_run_that_dies_takes_no_more_than_a_second_along() -> None:
    async def tell() -> None:
        clock = Clock()
        service, ledger = Service(clock, 60.0, 60.0), Ledger(clock)
        runs = [Run(ledger, f"run {n}", 60.0) for n in range(4)]
        for each in runs:
            await each.begin()
        await at_work(runs, service, 3.0, lambda: 0.1)
        ledger.living -= {each.name for each in runs[1:]}
        await at_work(runs[:1], service, 2.0, lambda: 0.1)
        before = runs[0].sent
        await at_work(runs[:1], service, 10.0, lambda: 0.1)
        assert runs[0].sent - before >= 0.95 * 600

    asyncio.run(tell())


@pytest.mark.parametrize(("stated", "then", "rate"), [(10.0, 40.0, 10.0), (40.0, 10.0, 10.0)])
def test_runs_at_the_same_time_keep_to_the_lowest_limit(stated: float, then: float, rate: float) -> None:
    async def tell() -> None:
        clock = Clock()
        service, ledger = Service(clock, 1000.0, 1000.0), Ledger(clock)
        runs = [Run(ledger, "first", stated), Run(ledger, "second", then)]
        for each in runs:
            await each.begin()
        await at_work(runs, service, 20.0, lambda: 0.1)
        assert 0.9 * rate * 20 <= service.admitted <= rate * 20 + max(stated, then) + rate

    asyncio.run(tell())


def test_the_others_go_faster_when_the_slowest_run_is_over() -> None:
    async def tell() -> None:
        clock = Clock()
        service, ledger = Service(clock, 1000.0, 1000.0), Ledger(clock)
        slow, fast = Run(ledger, "slow", 5.0), Run(ledger, "fast", 50.0)
        for each in (slow, fast):
            await each.begin()
        await at_work([slow, fast], service, 10.0, lambda: 0.1)
        assert slow.sent + fast.sent <= 10 * 5 + 60
        await slow.sharing._leave()
        ledger.living.discard("slow")
        before = fast.sent
        await at_work([fast], service, 10.0, lambda: 0.1)
        assert fast.sent - before >= 0.95 * 500

    asyncio.run(tell())


def test_a_rate_that_the_server_states_holds_until_a_run_is_alone() -> None:
    async def tell() -> None:
        clock = Clock()
        service, ledger = Service(clock, 1000.0, 1000.0), Ledger(clock)
        runs = [Run(ledger, f"run {n}", 50.0) for n in range(2)]
        for each in runs:
            await each.begin()
        runs[0].bucket.refused(1.0, (2.0, 1.0))
        await at_work(runs, service, 1.0, lambda: 0.1)
        before = service.admitted
        await at_work(runs, service, 20.0, lambda: 0.1)
        assert 30 <= service.admitted - before <= 44
        ledger.living.clear()
        alone = Run(ledger, "later", 50.0)
        await alone.begin()
        await at_work([alone], service, 10.0, lambda: 0.1)
        assert alone.sent >= 0.95 * 500

    asyncio.run(tell())


def test_a_run_that_is_alone_has_the_limit_that_it_asks_for() -> None:
    async def tell() -> None:
        clock = Clock()
        service, ledger = Service(clock, 1000.0, 1000.0), Ledger(clock)
        slow = Run(ledger, "slow", 1.0)
        await slow.begin()
        await at_work([slow], service, 5.0, lambda: 0.1)
        ledger.living.discard("slow")
        fast = Run(ledger, "fast", 50.0)
        await fast.begin()
        await at_work([fast], service, 10.0, lambda: 0.1)
        assert fast.sent >= 0.95 * 500

    asyncio.run(tell())


def test_what_another_version_shares_is_refused() -> None:
    async def tell() -> None:
        ledger = Ledger(Clock(), text='{"version":2,"creates":[]}')
        with pytest.raises(JournalError, match="Use the same version for all"):
            await Run(ledger, "run", 1.0).begin()
        assert ledger.text == '{"version":2,"creates":[]}'

    asyncio.run(tell())


# Budgets.


class Spender:
    """A run that spends: what it reserves it claims in the ledger, what ends is written down there."""

    def __init__(
        self, ledger: Ledger, name: str, budget: Budget, price: Price, dice: random.Random, held: int = 0
    ) -> None:
        self.ledger, self.name, self.price, self.dice = ledger, name, price, dice
        self.account = SharedAccount(budget, price, held)
        self.sharing = Sharing(
            ledger,  # type: ignore[arg-type]
            name,
            SharedBucket(1e6, 1e6, ledger.clock),
            self.account,
            RunState(),
            lambda error: None,
        )
        ledger.living.add(name)
        self.under_way = 0

    async def begin(self) -> None:
        await self.sharing._exchange(begins=True)
        await self.sharing._count()

    async def step(self) -> None:
        """Do something that a run does."""
        match self.dice.randrange(6):
            case 0 | 1:
                if self.account.reserve():
                    self.under_way += 1
                    self.ledger.under_way[self.name] = self.under_way
            case 2 | 3 if self.under_way:
                seconds = self.dice.uniform(0.0, self.price.most_seconds)
                used = {name: self.dice.uniform(0.0, most) for name, most in self.price.mosts.items()}
                self.under_way -= 1
                self.ledger.under_way[self.name] = self.under_way
                spent = self.ledger.spent.get(self.name, Spent())
                self.ledger.spent[self.name] = spent.plus(1, seconds, self.price.of(seconds) or 0.0, used)
                self.account.settle(seconds, used)
            case 4 if self.under_way:
                self.under_way -= 1
                self.ledger.under_way[self.name] = self.under_way
                self.account.release()
            case 5:
                await self.exchange()

    async def exchange(self) -> None:
        await self.sharing._exchange()
        if self.account.is_short:
            await self.sharing._count()

    async def leave(self) -> None:
        await self.sharing._leave()
        self.ledger.living.discard(self.name)


def spent_at_most(ledger: Ledger, price: Price) -> Spent:
    """What the rows may have cost."""
    total = Spent()
    for each in ledger.spent.values():
        total = total.plus(*each.known(price.mosts))
    return total.plus(*price.at_most(sum(ledger.under_way.values())))


_BUDGETS = {
    "predictions": Budget(predictions=50, per="journal"),
    "seconds": Budget(seconds=300.0, per="journal"),
    "money": Budget(money=3.0, per="journal"),
    "all": Budget(predictions=60, seconds=250.0, money=2.5, per="journal"),
    "none": Budget(predictions=0, per="journal"),
    "metrics": Budget(metrics={"tokens": 300.0}, per="journal"),
}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("budget", _BUDGETS.values(), ids=_BUDGETS)
def test_runs_that_come_go_and_die_never_spend_more_than_one_budget(budget: Budget, seed: int) -> None:
    price = Price(second=0.01, longest=10.0, mosts={"tokens": 9.0, "pictures": 1.0} if budget.metrics else {})

    def is_kept(ledger: Ledger) -> bool:
        metrics = budget.metrics or {}
        limits = budget.predictions, budget.seconds, budget.money, *metrics.values()
        pairs = zip(spent_at_most(ledger, price).along(metrics), limits, strict=True)
        return all(limit is None or amount <= limit * (1 + 1e-6) for amount, limit in pairs)

    async def tell() -> None:
        dice, clock = random.Random(seed), Clock()
        ledger, runs, count = Ledger(clock), list[Spender](), 0
        for _ in range(1500):
            clock.time += 0.01
            if len(runs) < 4 and not dice.randrange(20):
                runs.append(Spender(ledger, f"run {count}", budget, price, dice))
                count += 1
                await runs[-1].begin()
            elif runs and not dice.randrange(60):
                gone = runs.pop(dice.randrange(len(runs)))
                if dice.randrange(2):
                    await gone.leave()
                else:  # it dies, and others see what becomes of its rows
                    ledger.living.discard(gone.name)
                    ended = dice.randrange(gone.under_way + 1)
                    ledger.under_way[gone.name] = gone.under_way - ended
                    for _ in range(ended):
                        spent = ledger.spent.get(gone.name, Spent())
                        ledger.spent[gone.name] = spent.plus(1, 5.0, 0.05, price.mosts)
            elif runs:
                await dice.choice(runs).step()
            assert is_kept(ledger)

    asyncio.run(tell())


def test_what_runs_do_not_tell_of_a_metric_counts_as_the_most() -> None:
    said: Any = {
        "others": [[2, 9.0, 0.0, {"tokens": 5.0}]] * 2,
        "runs": {
            "mine": [[7, 7.0, 0.0], [7, 7.0, 0.0]],
            "knows": [[3, 1.0, 0.0, {"tokens": 1.0, "pictures": 3.0}], [4, 2.0, 0.0, {"tokens": 11.0}]],
            "does not": [[1, 1.0, 0.0], [2, 2.0, 0.0, {}]],
        },
    }
    state = State(said, Shared(None, 0.0, frozenset()))
    spent, may = state.spent_by_others("mine", Price(mosts={"tokens": 10.0}))
    assert (spent.predictions, spent.metrics) == (6, {"tokens": 5.0 + 1.0 + 10.0})
    assert (may.predictions, may.metrics) == (8, {"tokens": 5.0 + 11.0 + 20.0})


@pytest.mark.parametrize("count", [1, 4, 9])
def test_all_of_a_budget_is_spent_and_then_each_run_knows(count: int) -> None:
    async def tell() -> None:
        clock, dice = Clock(), random.Random(count)
        ledger, budget = Ledger(clock), Budget(predictions=100, per="journal")
        runs = [Spender(ledger, f"run {n}", budget, Price(), dice) for n in range(count)]
        for each in runs:
            await each.begin()
        created = 0
        for _ in range(400):
            clock.time += 1.0
            for each in runs:
                while each.account.reserve():
                    created += 1
                    each.account.settle(1.0)
                await each.exchange()
        assert created == 100
        assert all(each.account.is_spent and not each.account.waits for each in runs)

    asyncio.run(tell())


@pytest.mark.parametrize("created", [0, 1, 3])
def test_what_a_dead_run_has_left_is_waited_for_by_whoever_takes_it_over(created: int) -> None:
    async def tell() -> None:
        ledger, dice = Ledger(Clock()), random.Random(created)
        ledger.under_way["dead"] = 3
        heir = Spender(ledger, "heir", Budget(predictions=3, per="journal"), Price(), dice, held=3)
        await heir.begin()
        for _ in range(4):  # it asks, and what others have spent is added up
            assert not heir.account.reserve()
            await heir.exchange()
            assert heir.account.waits
        ledger.under_way["dead"], ledger.spent["dead"] = 0, Spent(created)
        for _ in range(3):
            heir.account.let_go()
        for _ in range(20):
            if heir.account.reserve():
                heir.account.settle(0.0)
            await heir.exchange()
        assert heir.account.spent.predictions == 3 - created
        assert heir.account.is_spent

    asyncio.run(tell())
