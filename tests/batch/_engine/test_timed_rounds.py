"""How late a batch sees its predictions end, and how many requests that takes a row, on a clock that waiting moves."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import fmean, median
from types import SimpleNamespace
from typing import Any, cast

import pytest

from replicate_kit import Client
from replicate_kit.batch._engine import patience, poller
from replicate_kit.batch._engine.limits import Bucket
from replicate_kit.batch._engine.patience import Patience
from replicate_kit.batch._engine.poller import Poller
from replicate_kit.batch._engine.requests import Requests
from replicate_kit.resources.predictions import Prediction

JSON = dict[str, Any]

TRIP = 0.01  # seconds that each request takes
SKEW = -7200.0  # seconds between the server's clock and ours


class Clock:
    """A clock that only waiting moves."""

    time = 1000.0


class Instant(selectors.DefaultSelector):
    """What would wait for timers moves the clock instead."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        self._clock.time += timeout or 0.0
        return super().select(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (poller, patience):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.time))
    return clock


def driven(clock: Clock, work: Callable[[], Any]) -> Any:
    """Run to the end on that clock."""
    loop = asyncio.SelectorEventLoop(Instant(clock))
    cast("Any", loop).time = lambda: clock.time
    loop._clock_resolution = 1e-6  # type: ignore[attr-defined]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work())


@dataclass
class Row:
    """A prediction: when it was created, and how long it waits and runs."""

    id: str
    created: float
    run: float
    queued: float


class Account:
    """The API as a poller sees it: predictions that go on with the clock. It counts what it is asked."""

    def __init__(self, clock: Clock, session: Any) -> None:
        self.clock, self.session = clock, session
        self.rows: dict[str, Row] = {}
        self.asked = 0
        self.bucket = Bucket(50.0, 50.0, lambda: clock.time)

    async def _ask(self) -> None:
        while wait := self.bucket.ready_in():  # noqa: ASYNC110 - the wait is known
            await asyncio.sleep(wait)
        self.bucket.take()
        self.asked += 1
        await asyncio.sleep(TRIP)

    def shown(self, row: Row) -> JSON:
        now, started = self.clock.time, row.created + row.queued
        json: JSON = {"id": row.id, "version": "f" * 64, "status": "starting", "created_at": _at(row.created)}
        if now >= started:
            json |= {"status": "processing", "started_at": _at(started)}
        if now >= started + row.run:
            json |= {"status": "succeeded", "output": row.id, "completed_at": _at(started + row.run)}
        return json

    async def page(self, link: str | None = None) -> tuple[list[JSON], str | None]:
        await self._ask()
        newest, start = list(reversed(self.rows.values())), int(link or 0)
        rest = str(start + 100) if start + 100 < len(newest) else None
        return [self.shown(each) for each in newest[start : start + 100]], rest

    async def get(self, id: str) -> JSON:
        await self._ask()
        return self.shown(self.rows[id])


def _at(moment: float) -> str:
    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=moment + SKEW)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Batches:
    """Runs one batch after another of one client."""

    clock: Clock
    account: Account
    created: int = 0

    def run(
        self, count: int, seconds: Callable[[int], float], *, every: float = 0.0, queued: float = 0.0
    ) -> tuple[list[float], float]:
        """How late each row was seen, and the requests a row."""
        before = self.account.asked

        async def work() -> list[float]:
            watching = Poller(cast("Requests", self.account), None, Patience(60.0))
            task = asyncio.ensure_future(watching.run())
            try:
                return await asyncio.gather(*(row(watching, number) for number in range(count)))
            finally:
                task.cancel()
                await asyncio.wait([task])

        async def row(watching: Poller, number: int) -> float:
            await asyncio.sleep(number * every)
            self.created += 1
            row = Row(f"p{self.created}", self.clock.time, seconds(number), queued)
            self.account.rows[row.id] = row
            await asyncio.sleep(TRIP)
            prediction = Prediction({**self.account.shown(row), "status": "starting"}, self.account.session)
            await watching.ended(prediction, self.clock.time)
            watching.took(row.run)
            return self.clock.time - row.created - row.queued - row.run

        return driven(self.clock, work), (self.account.asked - before) / count


@pytest.fixture
def batches(clock: Clock) -> Iterator[Batches]:
    with Client(backend="mock") as client:
        yield Batches(clock, Account(clock, client.session))


# Rows at once, or ten a second, as accounts allow.
@pytest.mark.parametrize(
    ("count", "every"), [(1, 0.0), (10, 0.0), (100, 0.0), (256, 0.0), (100, 0.1), (400, 0.1)]
)
@pytest.mark.parametrize("seconds", [2.05, 2.35, 20.0])
def test_a_known_model_is_seen_to_end_in_time_with_few_requests(
    batches: Batches, seconds: float, count: int, every: float
) -> None:
    batches.run(5, lambda _: seconds)
    late, requests = batches.run(count, lambda _: seconds, every=every)
    assert median(late) <= 0.15
    assert max(late) <= 0.25
    assert requests <= (4 if count == 1 else 3)


@pytest.mark.parametrize(("count", "every"), [(10, 0.0), (100, 0.0), (256, 0.0), (400, 0.1)])
@pytest.mark.parametrize("seconds", [2.05, 2.35, 20.0])
def test_an_unknown_model_is_seen_to_end_with_few_requests_too(
    batches: Batches, seconds: float, count: int, every: float
) -> None:
    late, requests = batches.run(count, lambda _: seconds, every=every)
    # Many rows share a page, so that more looks cost no more a row.
    assert max(late) <= seconds / (10 if count == 10 else 30) + 0.25
    assert requests <= (4 if count == 10 else 3)


@pytest.mark.parametrize("count", [10, 100, 400])
@pytest.mark.parametrize("queued", [0.7, 30.0])
def test_the_queue_is_not_the_run(batches: Batches, queued: float, count: int) -> None:
    batches.run(5, lambda _: 20.0)
    late, requests = batches.run(count, lambda _: 20.0, every=0.1, queued=queued)
    # Who looks often for starts has few looks left for ends, and sees those in groups.
    assert max(late) <= 0.06 * 20.0
    assert requests <= 4


@pytest.mark.parametrize("count", [100, 400])
def test_a_spread_of_times_costs_few_requests(batches: Batches, count: int) -> None:
    """Times are 16 to 24 s, in no order."""

    def seconds(number: int) -> float:
        return 16.0 + 8.0 * (number * 0.618 % 1.0)

    batches.run(20, seconds)
    late, requests = batches.run(count, seconds, every=0.1)
    assert fmean(late) <= 0.05 * 20.0
    assert requests <= 4
