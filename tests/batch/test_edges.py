"""What rarely happens, and must not cost anything when it does."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import BatchError, Client
from replicate_kit.errors import InputError, UnknownPrediction
from replicate_kit.simulator import Fault

from .conftest import Service, numbers


@pytest.mark.usefixtures("interruptible")
def test_a_second_interrupt_does_not_wait(service: Service, client: Client, journal: Path) -> None:
    service.simulator.faults.add(Fault(operation="predictions.cancel", delay=0.8))

    def interrupt() -> None:
        while service.creates < 20:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.4)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        list(client.map("acme/patient", numbers(20), journal=journal))
    thread.join()
    time.sleep(1.5)  # let the first one's cancels come to their end
    service.simulator.faults.clear()
    service.gate.set()
    assert [each.output for each in client.map("acme/patient", numbers(20), journal=journal)] == list(
        range(20)
    )


def test_what_was_canceled_by_a_run_that_died_doing_so_is_created_again(
    service: Service, client: Client, journal: Path
) -> None:
    with client.map("acme/patient", numbers(3), journal=journal, on_interrupt="detach"):
        while service.creates < 3:
            time.sleep(0.01)
    with sqlite3.connect(journal) as connection:
        connection.execute("UPDATE items SET status = 'canceling' WHERE state = 'created'")
        (id,) = connection.execute("SELECT prediction_id FROM items LIMIT 1").fetchone()
    connection.close()
    client.predictions.cancel(id)
    service.gate.set()
    assert [each.output for each in client.map("acme/patient", numbers(3), journal=journal)] == [0, 1, 2]
    assert service.creates == 4


@pytest.mark.usefixtures("found_at_once")
def test_a_prediction_that_the_api_has_lost_is_not_paid_again(
    service: Service, client: Client, journal: Path
) -> None:
    with client.map("acme/patient", numbers(2), journal=journal, on_interrupt="detach"):
        while service.creates < 2:
            time.sleep(0.01)
    with sqlite3.connect(journal) as connection:
        connection.execute("UPDATE items SET prediction_id = 'gone' WHERE input = '{\"n\":1}'")
    connection.close()
    service.gate.set()
    results = list(client.map("acme/patient", numbers(2), journal=journal))
    assert results[0].output == 0
    assert isinstance(results[1].error, UnknownPrediction)
    assert service.creates == 2


@pytest.mark.usefixtures("found_at_once")
def test_one_that_is_lost_while_it_is_watched_is_unknown_too(service: Service, client: Client) -> None:
    batch = client.map("acme/patient", numbers(1))
    batch.start()
    while service.creates < 1:
        time.sleep(0.01)
    service.simulator.faults.add(Fault(operation="predictions.get", status=404))
    (result,) = batch
    assert isinstance(result.error, UnknownPrediction)


def test_a_file_that_goes_after_the_plan_is_that_rows_error(
    service: Service, client: Client, tmp_path: Path
) -> None:
    @service.simulator.model("acme/weigh")
    def weigh(file: Path) -> int:
        return len(file.read_bytes())

    here, gone = tmp_path / "here", tmp_path / "gone"
    here.write_bytes(b"1")
    gone.write_bytes(b"22")

    def rows() -> Any:
        yield {"file": here}
        yield {"file": gone}

    batch = client.map("acme/weigh", rows(), concurrency=1)
    service.simulator.faults.add(Fault(operation="*.create", times=1, status=429, retry_after=1))
    batch.start()
    gone.unlink()
    first, second = batch
    assert first.output == 1
    assert isinstance(second.error, InputError)
    assert second.status == "rejected"
    assert service.creates == 1


def test_looks_are_slowed_down_by_refusals_and_nothing_is_lost(make_service: Callable[..., Service]) -> None:
    service = make_service(
        faults=[Fault(operation="predictions.*", probability=0.3, status=429, retry_after=0, times=20)]
    )
    with service.client() as client:
        assert [each.output for each in client.map("acme/double", numbers(40))] == [2 * n for n in range(40)]
    assert service.creates == 40


def test_a_service_that_fails_every_look_stops_the_run(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service(faults=[Fault(operation="predictions.*", cut=True)])
    with service.client() as client, pytest.raises(BatchError, match="Run it again with journal="):
        list(client.map("acme/double", numbers(5), journal=journal, patience=0.5))
    service.simulator.faults.clear()
    with service.client() as client:
        results = list(client.map("acme/double", numbers(5), journal=journal))
    assert [each.output for each in results] == [0, 2, 4, 6, 8]
    assert service.creates == 5


def test_what_was_sent_is_found_behind_many_others(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service()
    with service.client() as client:
        batch = client.map("acme/patient", numbers(1), journal=journal)
        service.simulator.faults.add(Fault(operation="*.create", times=1, cut=True, acted=True))
        batch.start()
        while service.creates < 1:
            time.sleep(0.01)
        for number in range(150):
            client.predictions.create(model="acme/double", input={"n": number})
        service.gate.set()
        (result,) = batch
    assert result.output == 0
    assert service.creates == 151


def test_a_deployment_is_run_by_its_name(service: Service, client: Client) -> None:
    service.simulator.deployment("mine", model="acme/double")
    service.simulator.faults.add(Fault(operation="*.create", calls={2}, cut=True, acted=True))
    with service.client(timeout=0.5) as quick:
        results = list(quick.map("deployments/local/mine", numbers(3)))
        plan = quick.plan("deployments/local/mine", numbers(3))
    assert [each.output for each in results] == [0, 2, 4]
    assert not plan.pinned
    assert service.creates == 3


def test_a_version_is_run_by_its_id(service: Service, client: Client) -> None:
    version = service.simulator.version("acme/community")
    service.simulator.faults.add(Fault(operation="*.create", calls={2}, cut=True, acted=True))
    with service.client(timeout=0.5) as quick:
        assert [each.output for each in quick.map(f"acme/community:{version}", numbers(3))] == [0, 1, 2]
        assert [each.output for each in quick.map(version, numbers(2, 10))] == [10, 11]
    assert service.creates == 5
