"""Creates of unknown fate: found, waited for, given up, and never paid twice."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import BatchError
from replicate_kit._unresolved.canonical import canonical, digest, fingerprint
from replicate_kit.batch._ledger.tables import open_journal
from replicate_kit.errors import ModelError, OutputExpired, UnknownPrediction
from replicate_kit.simulator import Clock, Fault

from ..conftest import Service, numbers


def intend(journal: Path, model: str, input: dict[str, Any], sent_at: float, lasting: float = 0.0) -> None:
    """Leave behind what a killed run leaves between its intent and the answer."""
    text = canonical(input)
    with sqlite3.connect(journal) as connection:
        connection.execute(
            "INSERT INTO items (key, sample, state, run, model, input, fingerprint, sent_at, settled_at) "
            "VALUES (?, 0, 'intent', 'dead', ?, ?, ?, ?, ?)",
            (digest(model, text), model, text, fingerprint(input), sent_at, sent_at + lasting),
        )
    connection.close()


@pytest.mark.parametrize("how", [{"cut": True}, {"status": 500}, {"status": 502}, {"status": 504}])
@pytest.mark.parametrize("acted", [True, False])
def test_what_was_not_answered_is_looked_for_and_adopted_or_created(
    make_service: Callable[..., Service], how: dict[str, Any], acted: bool
) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls={2, 5}, acted=acted, **how)])
    with service.client(timeout=0.5) as client:
        results = list(client.map("acme/double", numbers(8)))
    assert [each.output for each in results] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert service.creates == 8


def test_an_answer_that_is_no_json_leaves_the_fate_unknown_until_it_is_found(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls={1}, truncate=40)])
    with service.client(timeout=0.5) as client:
        results = list(client.map("acme/double", numbers(3)))
    assert [each.output for each in results] == [0, 2, 4]
    assert service.creates == 3


def test_samples_of_the_same_input_are_told_apart_as_a_multiset(make_service: Callable[..., Service]) -> None:
    faults = [Fault(operation="*.create", calls={1, 3}, cut=True, acted=True)]
    faults.append(Fault(operation="*.create", calls={4}, cut=True))
    service = make_service(faults=faults)
    with service.client(timeout=0.5) as client:
        results = list(client.map("acme/double", [{"n": 1}] * 6, dedupe=False))
    assert [each.output for each in results] == [2] * 6
    assert len({each.prediction_id for each in results}) == 6
    assert service.creates == 6


def test_an_intent_of_a_dead_run_is_adopted(service: Service, journal: Path) -> None:
    open_journal(journal).close()
    with service.client() as client:
        before = time.time()
        client.predictions.create(model="acme/double", input={"n": 3}, wait=True)
        intend(journal, "acme/double", {"n": 3}, before)
        results = list(client.map("acme/double", numbers(5), journal=journal))
    assert [each.output for each in results] == [0, 2, 4, 6, 8]
    assert service.creates == 5
    assert [each.index for each in results if each.cached] == [3]


def test_an_intent_that_came_to_nothing_is_created(service: Service, journal: Path) -> None:
    open_journal(journal).close()
    intend(journal, "acme/double", {"n": 3}, time.time() - 60)
    with service.client() as client:
        results = list(client.map("acme/double", numbers(5), journal=journal))
    assert [each.output for each in results] == [0, 2, 4, 6, 8]
    assert service.creates == 5


def test_absence_proves_nothing_before_the_request_has_had_its_time(service: Service, journal: Path) -> None:
    open_journal(journal).close()
    intend(journal, "acme/double", {"n": 3}, time.time(), lasting=1.5)
    moments = []

    @service.simulator.model("acme/double", workers=8)
    def double(n: int) -> int:
        moments.append((n, time.time()))
        return 2 * n

    began = time.time()
    with service.client() as client:
        list(client.map("acme/double", numbers(5), journal=journal))
    created = dict(moments)
    assert created[3] >= began + 1.4
    assert max(created[n] for n in (0, 1, 2, 4)) < created[3]


def test_a_prediction_whose_data_is_gone_may_be_ours_and_is_not_paid_again(
    make_service: Callable[..., Service], journal: Path
) -> None:
    clock = Clock()
    service = make_service(clock=clock)
    open_journal(journal).close()
    with service.client() as client:
        before = clock.now()
        client.predictions.create(model="acme/double", input={"n": 3}, wait=True)
        clock.advance(2 * 3600)
        intend(journal, "acme/double", {"n": 3}, before, lasting=1.0)
        results = list(client.map("acme/double", numbers(5), journal=journal))
        assert service.creates == 5
        assert isinstance(results[3].error, UnknownPrediction)
        assert results[3].status == "unknown"
        again = list(client.map("acme/double", numbers(5), journal=journal))
        assert isinstance(again[3].error, UnknownPrediction)
        assert service.creates == 5
        paid = list(client.map("acme/double", numbers(5), journal=journal, retry=("unknown",)))
    assert paid[3].output == 6
    assert service.creates == 6


def test_a_later_prediction_is_not_taken_for_one_whose_data_is_gone(
    make_service: Callable[..., Service], journal: Path
) -> None:
    clock = Clock()
    service = make_service(clock=clock)
    open_journal(journal).close()
    with service.client() as client:
        intend(journal, "acme/double", {"n": 3}, time.time(), lasting=5.0)
        client.predictions.create(model="acme/double", input={"n": 3}, wait=True)
        clock.advance(3700)
        client.predictions.create(model="acme/double", input={"n": 3}, wait=True)  # another sample's
        (result,) = client.map("acme/double", numbers(1, 3), journal=journal)
    assert isinstance(result.error, UnknownPrediction)
    assert service.creates == 2


def test_outputs_that_expired_are_errors_and_not_paid_again(
    make_service: Callable[..., Service], journal: Path
) -> None:
    clock = Clock()
    service = make_service(clock=clock)
    rows = [{"text": "a"}, {"text": "b"}]
    with service.client() as client:
        first = list(client.map("acme/pictures", rows, journal=journal))
        assert all(each.files and each.output == list(each.files) for each in first)
        again = list(client.map("acme/pictures", rows, journal=journal))
        assert [each.output for each in again] == [each.output for each in first]
        clock.advance(2 * 3600)
        age(journal, 2 * 3600)
        late = list(client.map("acme/pictures", rows, journal=journal))
        assert all(isinstance(each.error, OutputExpired) for each in late)
        assert [each.status for each in late] == ["expired", "expired"]
        assert service.creates == 2
        paid = list(client.map("acme/pictures", rows, journal=journal, retry=("expired",)))
    assert all(each.error is None for each in paid)
    assert service.creates == 4


def age(journal: Path, seconds: float) -> None:
    """Let what is in a journal have happened earlier."""
    with sqlite3.connect(journal) as connection:
        connection.execute("UPDATE items SET finished_at = finished_at - ?", (seconds,))
    connection.close()


def test_texts_never_expire(make_service: Callable[..., Service], journal: Path) -> None:
    clock = Clock()
    service = make_service(clock=clock)
    with service.client() as client:
        list(client.map("acme/words", [{"text": "by the sea"}], journal=journal))
        clock.advance(5 * 3600)
        age(journal, 5 * 3600)
        service.simulator.calls.clear()
        (result,) = client.map("acme/words", [{"text": "by the sea"}], journal=journal)
    assert result.output == "by the sea "
    assert not service.simulator.calls["predictions.get"]


def test_failures_are_remembered_and_paid_again_only_by_choice(service: Service, journal: Path) -> None:
    with service.client() as client:
        first = list(client.map("acme/picky", numbers(3, 36), journal=journal))
        again = list(client.map("acme/picky", numbers(3, 36), journal=journal))
        assert service.creates == 3
        for results in (first, again):
            assert isinstance(results[1].error, ModelError)
            assert results[1].error.prediction.id == results[1].prediction_id
        list(client.map("acme/picky", numbers(3, 36), journal=journal, retry=("failed",)))
    assert service.creates == 4


def test_an_interruption_that_does_not_end_is_a_failure_after_the_last_attempt(service: Service) -> None:
    @service.simulator.model("acme/never")
    def never(n: int) -> int:
        raise ValueError("Prediction interrupted; please retry (code: PA)")

    with service.client() as client:
        (result,) = client.map("acme/never", numbers(1), retries=1)
    assert isinstance(result.error, ModelError)
    assert service.creates == 2


def test_no_credit_stops_the_run_and_says_so(make_service: Callable[..., Service], journal: Path) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls=set(range(11, 1000)), status=402)])
    with service.client() as client, pytest.raises(BatchError, match="credit") as caught:
        list(client.map("acme/double", numbers(100), journal=journal, concurrency=2))
    assert len(caught.value.results) == 10
    service.simulator.faults.clear()
    with service.client() as client:
        list(client.map("acme/double", numbers(100), journal=journal))
    assert service.creates == 100


def test_a_prediction_that_somebody_else_cancels_is_an_error(service: Service) -> None:
    with service.client() as client:
        batch = client.map("acme/patient", numbers(2))
        batch.start()
        while service.creates < 2:
            time.sleep(0.01)
        ids = [each.id for each in client.predictions.list()]
        client.predictions.cancel(ids[0])
        service.gate.set()
        results = list(batch)
    assert sorted(each.status for each in results) == ["canceled", "succeeded"]
    assert service.creates == 2


def test_times_are_compared_on_the_servers_clock(make_service: Callable[..., Service]) -> None:
    clock = Clock(start=datetime(2031, 5, 1, tzinfo=UTC).timestamp())
    service = make_service(clock=clock, faults=[Fault(operation="*.create", calls={2}, cut=True, acted=True)])
    with service.client(timeout=0.5) as client:
        results = list(client.map("acme/double", numbers(4)))
    assert [each.output for each in results] == [0, 2, 4, 6]
    assert service.creates == 4
