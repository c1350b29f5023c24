"""What a ledger has to do whose runs share limits, and one whose runs live by leases."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from replicate_kit.batch.ledgers import (
    Canceling,
    Created,
    Ledger,
    Name,
    Price,
    Run,
    Saved,
    Shared,
    SharedLedger,
    Spent,
    Withdrawn,
    elapsed,
)
from replicate_kit.errors import JournalError
from replicate_kit.testing.suites._ledgers import FOLDER, MODEL, Runs, do, ended, intent, key, story

__all__ = ["LeasedLedgerSuite", "SharedLedgerSuite"]

_PRICE = Price(second=0.1, longest=100.0)


def _added(shared: Shared) -> str:
    """Count, in what is shared."""
    return json.dumps(json.loads(shared.text or "0") + 1)


async def _begun(runs: Runs) -> tuple[SharedLedger, str]:
    """The ledger of a run that may pay, and the run's id."""
    ledger, id = await runs.plan()
    await ledger.begin(Run(id, MODEL))
    assert isinstance(ledger, SharedLedger), "the ledger lacks share() or spending_besides()"
    return ledger, id


async def _seen(ledger: SharedLedger) -> Shared:
    """What a run is shown of what is shared."""
    seen: list[Shared] = []

    def look(shared: Shared) -> str:
        seen.append(shared)
        return shared.text or ""

    await ledger.share(look)
    return seen[-1]


async def _sharing(runs: Runs) -> tuple[SharedLedger, str]:
    """The ledger of a run that shares limits, and has not created anything yet, and the run's id."""
    ledger, id = await _begun(runs)
    await _seen(ledger)
    return ledger, id


class SharedLedgerSuite:
    """Tests of a `SharedLedger`, beside those of `LedgerSuite`, whose fixtures and method `kill` it takes."""

    # What all runs share.

    @story
    async def test_nothing_is_shared_at_first(self, runs: Runs) -> None:
        ledger, id = await _begun(runs)
        seen = await _seen(ledger)
        assert seen.text is None
        assert seen.living == {id}

    @story
    async def test_one_run_shares_what_another_has_left(self, runs: Runs) -> None:
        (first, _), (second, _) = await _begun(runs), await _begun(runs)
        text = json.dumps({"ä": ["\u2028", "%s", "'", "\\"], "n": 1.5e300})
        await first.share(lambda shared: text)
        assert (await _seen(second)).text == text
        await runs.close(first)
        third, _ = await _begun(runs)
        assert (await _seen(third)).text == text

    @story
    async def test_only_one_run_at_a_time_changes_it(self, runs: Runs) -> None:
        ledgers = [(await _begun(runs))[0] for _ in range(4)]
        await asyncio.gather(*(each.share(_added) for each in ledgers for _ in range(10)))
        assert (await _seen(ledgers[0])).text == "40"

    @story
    async def test_a_change_that_raises_changes_nothing(self, runs: Runs) -> None:
        ledger, _ = await _begun(runs)
        await ledger.share(_added)

        def fail(shared: Shared) -> str:
            raise ValueError("by the test")

        with pytest.raises(Exception, match="by the test"):
            await ledger.share(fail)
        assert (await _seen(ledger)).text == "1"
        await ledger.share(_added)
        assert (await _seen(ledger)).text == "2"

    @story
    async def test_its_clock_goes_on(self, runs: Runs) -> None:
        (first, _), (second, _) = await _begun(runs), await _begun(runs)
        times = [(await _seen(each)).now for each in (first, second, first, second)]
        assert times == sorted(times)
        assert abs(times[0] - time.time()) < 86_400.0, "`now` is no Unix time"

    @story
    async def test_the_living_are_named(self, runs: Runs) -> None:
        made = [await _begun(runs) for _ in range(4)]
        (first, first_id), (ends, _), (dies, _), (_, other_id) = made
        assert (await _seen(first)).living == {id for _, id in made}
        await runs.close(ends)
        await runs.kill(dies)
        assert (await _seen(first)).living == {first_id, other_id}

    @story
    async def test_a_run_that_only_plans_lives_as_well(self, runs: Runs) -> None:
        ledger, id = await _begun(runs)
        _, planning = await runs.plan()
        assert (await _seen(ledger)).living == {id, planning}

    # What others have spent.

    @story
    async def test_what_runs_have_spent_is_left_out(self, runs: Runs) -> None:
        (first, first_id), (second, second_id) = await _sharing(runs), await _sharing(runs)
        for ledger, numbers in ((first, (1, 2, 3)), (second, (4, 5))):
            await ledger.claim([intent(n) for n in numbers])
        await do(first, Created(key(1), "p1"), ended(1, "p1", seconds=2.0, cost=0.2), Created(key(2), "p2"))
        await do(second, ended(4, "p4", "failed", seconds=None, cost=None))
        mine, theirs = Spent(1, 2.0, 0.2), Spent(1, 100.0, 10.0)
        expected: Any = {
            (): (mine.plus(*theirs), 3),
            (first_id,): (theirs, 1),
            (second_id,): (mine, 2),
            (first_id, second_id): (Spent(), 0),
            ("another",): (mine.plus(*theirs), 3),
        }
        for left_out, (spent, under_way) in expected.items():
            found = await first.spending_besides(_PRICE, left_out)
            assert found.spent[:3] == pytest.approx(spent[:3])
            assert found.under_way == under_way
        assert await first.spending(_PRICE) == await second.spending_besides(_PRICE, [])

    @pytest.mark.parametrize("has_id", [True, False])
    @story
    async def test_what_a_dead_run_has_created_is_its_own_whoever_takes_it_over(
        self, runs: Runs, has_id: bool
    ) -> None:
        dead, _ = await _sharing(runs)
        await dead.claim([intent(1)])
        if has_id:
            await do(dead, Created(key(1), "p1"))
        await runs.kill(dead)
        heir, heir_id = await _sharing(runs)
        await heir.take_over([key(1)])
        assert await heir.spending_besides(_PRICE, [heir_id]) == (Spent(), 1)
        await do(heir, ended(1, "p1", seconds=2.0, cost=0.2))
        found = await heir.spending_besides(_PRICE, [heir_id])
        assert found.spent[:3] == pytest.approx((1, 2.0, 0.2))
        assert not found.under_way

    @story
    async def test_what_another_run_paid_again_is_of_both(self, runs: Runs) -> None:
        first, first_id = await _sharing(runs)
        await first.claim([intent(1)])
        await do(first, ended(1, "p1", "failed", seconds=2.0, cost=0.2))
        await runs.close(first)
        second, second_id = await runs.plan()
        await second.begin(Run(second_id, MODEL, redo=frozenset({"failed"})))
        assert isinstance(second, SharedLedger)
        await _seen(second)
        await second.claim([intent(1, at=intent(1).sent_at + 100)])
        assert await second.spending_besides(_PRICE, [first_id]) == (Spent(), 1)
        await do(second, ended(1, "q1", seconds=3.0, cost=0.3))
        for left_out, spent in ((first_id, (1, 3.0, 0.3)), (second_id, (1, 2.0, 0.2))):
            assert (await second.spending_besides(_PRICE, [left_out])).spent[:3] == pytest.approx(spent)


class LeasedLedgerSuite(SharedLedgerSuite):
    """Tests of a `SharedLedger` whose runs are on many machines, and live by leases.

    `lapse` lets the lease of a run be over while its process goes on, as after it was stopped for long.
    """

    async def lapse(self, ledger: Ledger) -> None:
        """Let the lease of a run be over, and its process go on."""
        raise TypeError("Override the method `lapse` with one that lets the lease of a run be over.")

    @story
    async def test_a_lease_lasts_and_ends(self, runs: Runs) -> None:
        ledger, _ = await _begun(runs)
        assert 0 < ledger.lease_until - elapsed() < 86_400.0

    @pytest.mark.parametrize("verb", ["claim", "record", "take_over", "take_names", "share"])
    @story
    async def test_a_run_whose_lease_is_over_writes_nothing(self, runs: Runs, verb: str) -> None:
        late, _ = await _begun(runs)
        await late.claim([intent(1)])
        await do(late, Created(key(1), "p1"))
        await self.lapse(late)
        heir, heir_id = await _begun(runs)
        (taken,) = await heir.take_over([key(1)])
        assert taken is not None
        assert taken.holder == "ours"
        calls: Any = {
            "claim": lambda: late.claim([intent(2)]),
            "record": lambda: late.record([Canceling(key(1)), Saved(key(1), "", ""), Withdrawn(key(1))]),
            "take_over": lambda: late.take_over([key(1)]),
            "take_names": lambda: late.take_names([Name(FOLDER, "a", key(1))]),
            "share": lambda: late.share(_added),
        }
        with pytest.raises(JournalError):
            await calls[verb]()
        assert list(await heir.find([key(1), key(2)])) == [taken, None]
        assert list(await heir.take_names([Name(FOLDER, "a", key(2))])) == [True]
        seen = await _seen(heir)
        assert seen.text is None
        assert seen.living == {heir_id}
