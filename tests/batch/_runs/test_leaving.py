"""Leaving at any moment: nothing is left running at the service, and nothing that was paid is out of reach."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.simulator import Fault
from replicate_kit.simulator import sleep as simulated_sleep
from tests.served import Command

from ..bending import bent
from ..conftest import Service, numbers


def running(service: Service) -> set[str]:
    """The states of all predictions that were not canceled."""
    with service.client() as other:
        return {each.status for each in other.predictions.list_all()} - {"canceled", "aborted"}


@pytest.mark.parametrize("after", [0.0, 0.01, 0.02, 0.04, 0.1])
def test_leaving_at_any_moment_leaves_nothing_running(service: Service, client: Client, after: float) -> None:
    with client.map("acme/patient", numbers(60), creates_per_minute=60000):
        time.sleep(after)
    assert not running(service)


def test_rows_whose_files_are_on_their_way_are_not_created_after_leaving(service: Service) -> None:
    @service.simulator.model("acme/hold", workers=64)
    def hold(image: Path) -> int:
        while not service.gate.is_set():
            simulated_sleep(0.01)
        return 1

    def delay(request: httpx.Request) -> float:
        return 0.5 if request.url.path.endswith("/files") else 0.0

    rows = [{"image": bytes([number]) * 1_000_000} for number in range(3)]
    with bent(service, delay=delay, timeout=5.0) as client, client.map("acme/hold", rows):
        time.sleep(0.2)
    assert service.creates == 0


def test_cancels_that_fail_are_sent_again(make_service: Callable[..., Service]) -> None:
    cancel = "predictions.cancel"
    faults = [
        Fault(operation=cancel, calls={1}, status=429, retry_after=0),
        Fault(operation=cancel, calls={2}, cut=True),
        Fault(operation=cancel, calls={3}, status=500),
    ]
    service = make_service(faults=faults)
    with service.client() as client, client.map("acme/patient", numbers(6)):
        while service.creates < 6:
            time.sleep(0.01)
    assert not running(service)


def test_what_is_being_taken_up_is_cancelled_too(service: Service, journal: Path) -> None:
    with service.client() as client:
        with client.map("acme/patient", numbers(6), journal=journal, on_interrupt="detach") as batch:
            while batch.progress.created < 6:
                time.sleep(0.01)
        service.simulator.faults.add(Fault(operation="predictions.*", calls=set(range(1, 7)), delay=0.3))
        with client.map("acme/patient", numbers(6), journal=journal) as batch:
            while not batch.progress.in_flight:
                time.sleep(0.005)
    assert not running(service)


def test_leaving_while_rows_are_read_does_not_wait_for_the_last(client: Client) -> None:
    batch = client.map("acme/double", ({"n": number} for number in itertools.count()))

    def start() -> None:
        with suppress(CancelledError):
            batch.start()

    starting = threading.Thread(target=start)
    starting.start()
    time.sleep(0.3)
    batch._runner.stop(detach=False)
    starting.join(20)
    assert not starting.is_alive()


def test_what_is_done_and_was_not_taken_stays_in_the_journal_that_nobody_named(
    service: Service, client: Client
) -> None:
    with client.map("acme/double", numbers(10)) as batch:
        while batch.progress.done < 10:
            time.sleep(0.01)
        next(batch)
    assert batch.journal is not None
    results = list(client.map("acme/double", numbers(10), journal=batch.journal))
    assert all(each.cached for each in results)
    assert service.creates == 10


STEADY = Path(__file__).parents[1].absolute() / "steady.py"
SCRIPT = """
import sys, time
from replicate_kit import Client

rows = [{"n": number, "delay": 30.0 if number else 0.0} for number in range(8)]
client = Client("r8_any", backend="http", base_url=sys.argv[1], poll_interval=0.05)
with_name = client.map("acme/steady", rows)
for result in with_name:
    print(result.index, flush=True)
    time.sleep(30)
"""


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_the_body_of_a_loop_cancels_what_is_in_flight(tmp_path: Path) -> None:
    with Command(tmp_path, str(STEADY), "--quiet") as (_, url, _):
        script = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        with Client("r8_any", backend="http", base_url=url) as client:
            assert script.stdout is not None
            assert script.stdout.readline() == "0\n"
            while len(client.predictions.list()) < 8:
                time.sleep(0.05)
            script.send_signal(signal.SIGINT)
            script.communicate(timeout=60)
            states = sorted(each.status for each in client.predictions.list())
    assert states == ["canceled"] * 7 + ["succeeded"]
