"""A journal whose verbs fail in all ways: the run stops and says so, and the next one pays for nothing twice."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, cast, get_args

import pytest

from replicate_kit import Batch, BatchError, Client
from replicate_kit.batch._engine import creates, engine, recorder
from replicate_kit.batch._ledger import limited
from replicate_kit.batch._runs import runner
from replicate_kit.batch.ledgers import Event, Withdrawn
from replicate_kit.errors import JournalError, ReplicateError
from replicate_kit.testing.memory_ledger import MemoryLedger, MemoryStore

from .conftest import Service, numbers
from .faulty_ledger import VERBS, Choice, FaultyLedger, LedgerFault, at_random, scripted

ROWS = 40

pytestmark = pytest.mark.usefixtures("closed_databases")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verbs may take half a second, and events are recorded again for as long."""
    monkeypatch.setattr(limited, "_LONGEST", 0.5)
    monkeypatch.setattr(recorder, "_AGAIN", 0.5)


@pytest.fixture
def journal() -> str:
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[Choice], list[FaultyLedger]]:
    """Gives the ledgers of runs to come faults; tells which were made. The process of each dies with its run."""
    made: list[FaultyLedger] = []
    make = MemoryStore.ledger

    def choose(choice: Choice) -> list[FaultyLedger]:
        def ledger(self: MemoryStore, url: str, /) -> Any:
            made.append(FaultyLedger(make(self, url), choice))
            return made[-1]

        monkeypatch.setattr(MemoryStore, "ledger", ledger)
        return made

    return choose


def failure_of(batch: Batch) -> ReplicateError | None:
    """Take all results; the error that the run ended with, None if all rows have theirs."""
    try:
        results = list(batch)
    except (BatchError, JournalError) as error:
        return error
    assert [each.output for each in results] == [2 * number for number in range(ROWS)]
    return None


def run_until_it_is_done(client: Client, journal: str, made: list[FaultyLedger], **options: Any) -> int:
    """Run the rows until a run comes to its end; the number of runs that failed, each with a clear error."""
    for failed in range(10):
        batch = client.map("acme/double", numbers(ROWS), journal=journal, **options)
        error = failure_of(batch)
        if error is None:
            return failed
        # A `JournalError` itself before anything is created.
        assert isinstance(error, JournalError) or isinstance(error.__cause__, JournalError)
        assert all(each.output == 2 * each.index for each in getattr(error, "results", ()))
        cast("MemoryLedger", made[-1].ledger).kill()
    raise AssertionError("no run came to its end")


def once(call: tuple[str, int], fault: LedgerFault) -> Choice:
    """A fault of one call, counted over the ledgers of all runs."""
    calls, script = Counter[str](), scripted({call: fault})

    def choose(verb: str, number: int) -> LedgerFault | None:
        calls[verb] += 1
        return script(verb, calls[verb])

    return choose


@pytest.mark.parametrize(("verb", "fault"), list(product(["find", "claim", "record"], get_args(LedgerFault))))
def test_a_verb_that_fails_stops_the_run_and_nothing_is_paid_twice(
    service: Service,
    journal: str,
    faulty: Callable[[Choice], list[FaultyLedger]],
    verb: str,
    fault: LedgerFault,
) -> None:
    made = faulty(once((verb, 2), fault))
    with service.client() as client:
        failed = run_until_it_is_done(client, journal, made, concurrency=8)
    assert service.creates == ROWS
    if fault == "late" or verb == "find":
        assert failed <= 1
    else:
        assert failed == 1


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "fault"), list(product(VERBS, get_args(LedgerFault))))
def test_the_first_call_of_a_verb_may_fail(
    service: Service,
    journal: str,
    faulty: Callable[[Choice], list[FaultyLedger]],
    verb: str,
    fault: LedgerFault,
) -> None:
    made = faulty(once((verb, 1), fault))
    with service.client() as client:
        run_until_it_is_done(client, journal, made, concurrency=8)
    assert service.creates == ROWS


def test_a_create_that_would_be_sent_too_late_is_claimed_again(
    service: Service,
    journal: str,
    faulty: Callable[[Choice], list[FaultyLedger]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(creates, "_SEND_WITHIN", 0.02)  # and claims that are late take 0.05 seconds
    faulty(scripted({("claim", 1): "late"}))
    events, record = list[Event](), MemoryLedger.record

    async def noted(self: MemoryLedger, told: Sequence[Event], /) -> Sequence[bool]:
        events.extend(told)
        return await record(self, told)

    monkeypatch.setattr(MemoryLedger, "record", noted)
    with service.client() as client:
        batch = client.map("acme/double", numbers(ROWS), journal=journal, concurrency=ROWS)
        assert failure_of(batch) is None
    assert service.creates == ROWS
    assert any(isinstance(each, Withdrawn) for each in events)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_whatever_fails_nothing_is_paid_twice(
    service: Service, journal: str, faulty: Callable[[Choice], list[FaultyLedger]], seed: int
) -> None:
    made = faulty(at_random(seed, 0.03, verbs=("claim", "record", "take_over", "owners", "recent", "find")))
    with service.client() as client:
        run_until_it_is_done(client, journal, made, concurrency=8)
    assert service.creates == ROWS


def test_a_stop_does_not_wait_for_a_journal_that_hangs(
    service: Service,
    journal: str,
    faulty: Callable[[Choice], list[FaultyLedger]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limited, "_LONGEST", 600.0)
    monkeypatch.setattr(engine, "_JOURNAL", 0.1)
    monkeypatch.setattr(runner, "_STOPPING", 0.0)
    monkeypatch.setattr(runner, "_LEAST", 0.1)
    hangs = False
    faulty(lambda verb, number: "hangs" if hangs and verb in ("find", "record", "claim") else None)
    with service.client() as client:
        batch = client.map("acme/double", numbers(ROWS), journal=journal, concurrency=8)
        next(batch)
        hangs = True
        batch.close()
    assert batch._runner.ended.done()
