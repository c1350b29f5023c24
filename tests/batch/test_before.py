"""What was known of a row before another create was tried stays known if that create comes to nothing."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import BatchError
from replicate_kit.batch import Result, journals
from replicate_kit.errors import ModelError, OutputExpired, UnknownPrediction, ValidationError
from replicate_kit.simulator import Clock, Fault, sleep

from .conftest import Service
from .test_machine import crash

ROW = [{"n": 37}]  # a number of which the model fails

REFUSALS = {
    "no credit": {"status": 402},
    "throttled": {"status": 429, "retry_after": 30},
    "unavailable": {"status": 503, "retry_after": 0},
    "not reached": {"refuse": True},
}


def states(journal: Path) -> dict[str, int]:
    return dict(journals.describe(journal).states)


def failed_once(service: Service, journal: Path) -> Result:
    """Pay for a row that fails."""
    with service.client() as client:
        (result,) = client.map("acme/picky", ROW, journal=journal, price=2.0)
    assert isinstance(result.error, ModelError)
    return result


def retried_in_vain(service: Service, journal: Path, how: dict[str, Any], state: Any = "failed") -> None:
    """Let another create be refused until the run is stopped."""
    service.simulator.faults.add(Fault(operation="*.create", **how))
    with service.client() as client:
        batch = client.map("acme/picky", ROW, journal=journal, retry=(state,), patience=0.5)
        batch.start()
        while not service.simulator.calls["models.predictions.create"] > service.creates:
            if batch._runner.ended.done():
                break
            time.sleep(0.01)
        time.sleep(0.2)
        batch.close()
    service.simulator.faults.clear()


@pytest.mark.parametrize("how", REFUSALS.values(), ids=REFUSALS)
def test_a_failure_stays_known_when_paying_again_is_refused(
    service: Service, journal: Path, how: dict[str, Any]
) -> None:
    first = failed_once(service, journal)
    retried_in_vain(service, journal, how)
    with service.client() as client:
        (again,) = client.map("acme/picky", ROW, journal=journal)
        assert isinstance(again.error, ModelError)
        assert (again.prediction_id, again.cost, again.seconds) == (
            first.prediction_id,
            first.cost,
            first.seconds,
        )
        assert service.creates == 1
        assert journals.describe(journal).cost == 2.0
        (paid,) = client.map("acme/picky", ROW, journal=journal, retry=("failed",), price=2.0)
    assert paid.prediction_id != first.prediction_id
    assert service.creates == 2
    assert journals.describe(journal).cost == 4.0


@pytest.mark.parametrize(("state", "error"), [("unknown", UnknownPrediction), ("expired", OutputExpired)])
def test_what_is_unknown_or_expired_stays_so(
    service: Service, journal: Path, state: str, error: type[Exception]
) -> None:
    failed_once(service, journal)
    with sqlite3.connect(journal) as connection:
        connection.execute(
            "UPDATE items SET state = ?, status = ?, error = json_object('kind', ?, 'message', 'gone')",
            (state, state, error.__name__),
        )
    connection.close()
    retried_in_vain(service, journal, {"status": 402}, state)
    with service.client() as client:
        (again,) = client.map("acme/picky", ROW, journal=journal)
    assert isinstance(again.error, error)
    assert service.creates == 1


@pytest.mark.parametrize("acted", [True, False])
@pytest.mark.parametrize("retry", [(), ("failed",)])
def test_a_crash_between_the_intent_and_its_withdrawal_forgets_nothing(
    service: Service, journal: Path, acted: bool, retry: tuple[Any, ...]
) -> None:
    def has_arrived() -> bool:
        return (service.creates if acted else service.simulator.calls["models.predictions.create"]) == 2

    failed_once(service, journal)
    service.simulator.faults.add(Fault(operation="*.create", cut=True, acted=acted))
    service.simulator.faults.add(Fault(operation="predictions.list", calls=set(range(2, 1000)), cut=True))
    with service.client(timeout=0.3) as client:
        batch = client.map("acme/picky", ROW, journal=journal, retry=("failed",), patience=60.0)
        batch.start()
        while states(journal) != {"intent": 1} or not has_arrived():
            time.sleep(0.01)
        crash(batch)
    service.simulator.faults.clear()
    made = service.creates
    with service.client() as client:
        (result,) = client.map("acme/picky", ROW, journal=journal, retry=retry)
    assert isinstance(result.error, ModelError)
    assert states(journal) == {"failed": 1}
    assert service.creates == (made if acted or not retry else made + 1)


def test_a_row_that_is_refused_after_it_failed_keeps_what_the_failure_cost(
    service: Service, journal: Path
) -> None:
    failed_once(service, journal)
    service.simulator.faults.add(Fault(operation="*.create", status=413))
    with service.client() as client:
        (result,) = client.map("acme/picky", ROW, journal=journal, retry=("failed",))
    assert (result.status, result.prediction_id, result.cost) == ("rejected", None, None)
    assert journals.describe(journal).cost == 2.0


def test_a_last_interruption_counts_once(service: Service, journal: Path) -> None:
    @service.simulator.model("acme/never")
    def never(n: int) -> int:
        raise ValueError("Prediction interrupted; please retry (code: PA)")

    with service.client() as client:
        (result,) = client.map("acme/never", ROW, journal=journal, retries=1, price=2.0)
    assert result.prediction_id is not None
    assert service.creates == 2
    assert journals.describe(journal).cost == 4.0


def test_an_attempt_that_is_stopped_leaves_canceled_rows_to_be_created(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service()
    with service.client() as client:
        with client.map("acme/patient", ROW, journal=journal):
            while service.creates < 1:
                time.sleep(0.01)
        assert states(journal) == {"canceled": 1}
        service.simulator.faults.add(Fault(operation="*.create", status=402))
        with pytest.raises(BatchError):
            list(client.map("acme/patient", ROW, journal=journal))
        assert states(journal) == {"canceled": 1}
        service.simulator.faults.clear()
        service.gate.set()
        assert [each.output for each in client.map("acme/patient", ROW, journal=journal)] == [37]
    assert service.creates == 2


def test_a_refusal_forgets_no_file_that_is_left_and_none_that_is_put_back(
    make_service: Callable[..., Service], journal: Path, tmp_path: Path
) -> None:
    service = make_service(clock=(clock := Clock()))
    rows, options = [{"text": "sea", "count": 2}], {"journal": journal, "save_to": tmp_path / "pictures"}
    with service.client() as client:
        (first,) = client.map("acme/pictures", rows, **options)
        clock.advance(3 * 3600.0)
        content = Path(first.files[0]).read_bytes()
        Path(first.files[0]).unlink()
        (expired,) = client.map("acme/pictures", rows, **options)
        assert isinstance(expired.error, OutputExpired)
        service.simulator.faults.add(Fault(operation="*.create", status=422))
        (refused,) = client.map("acme/pictures", rows, retry=("expired",), **options)
        assert isinstance(refused.error, ValidationError)
        assert (refused.status, refused.files) == ("expired", first.files[1:])
        Path(first.files[0]).write_bytes(content)
        (again,) = client.map("acme/pictures", rows, **options)
    assert (again.status, again.error, again.files) == ("succeeded", None, first.files)
    assert service.creates == 1


def test_a_row_whose_file_was_changed_is_not_taken_from_the_run_that_has_it(
    service: Service, journal: Path, tmp_path: Path
) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(b"as planned")

    @service.simulator.model("acme/slow-size", workers=8)
    def slow_size(image: Path, n: int = 0) -> int:
        while not service.gate.is_set():
            sleep(0.01)
        return len(image.read_bytes()) + n

    rows = [{"image": image}]
    with service.client() as client:
        first = client.map("acme/slow-size", rows, journal=journal)
        other = client.map("acme/slow-size", rows, journal=journal, on_plan=lambda plan: created.wait(10.0))
        created = threading.Event()
        starting = threading.Thread(target=other.start)
        starting.start()
        while other._runner._execution is None:
            time.sleep(0.01)
        first.start()
        while states(journal) != {"created": 1}:
            time.sleep(0.01)
        image.write_bytes(b"changed")
        created.set()
        starting.join()
        time.sleep(0.3)
        assert states(journal) == {"created": 1}
        service.gate.set()
        assert [each.output for each in (*first, *other)] == [10, 10]
    assert service.creates == 1


def test_a_row_that_another_run_pays_for_again_is_no_success(service: Service, journal: Path) -> None:
    @service.simulator.model("acme/second", workers=8)
    def second(n: int) -> int:
        service.tries[n] += 1
        if service.tries[n] == 1:
            raise ValueError("not yet")
        while not service.gate.is_set():
            sleep(0.01)
        return n

    with service.client() as client:
        list(client.map("acme/second", ROW, journal=journal))
        with (
            client.map("acme/second", ROW, journal=journal) as planned,
            client.map("acme/second", ROW, journal=journal, retry=("failed",)) as again,
        ):
            while states(journal) != {"created": 1}:
                time.sleep(0.01)
            (result,) = planned
            assert "Another run pays for this row again" in str(result.error)
            assert result.status == "skipped"
            service.gate.set()
            assert [each.output for each in again] == [37]
        assert [each.output for each in client.map("acme/second", ROW, journal=journal)] == [37]
    assert service.creates == 2
