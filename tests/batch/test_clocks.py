"""What a run remembers is on the server's clock: setting ours, or the server's, makes nothing be paid twice."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import BatchError, Client
from replicate_kit.simulator import Clock, Fault

from .bending import Bent, bent
from .conftest import Service, numbers
from .test_lying import Late
from .test_machine import crash

HOUR = 3600.0


class _Silent(Bent):
    """A service that acts on all creates, and answers none of them from `silent_from` on."""

    def __init__(self, service: Service, silent_from: int, bend: Any = None) -> None:
        super().__init__(service, bend)
        self.silent_from, self.posts = silent_from, 0

    def connect(self, config: Any, /, *, blocking: bool) -> Any:
        inner = super().connect(config, blocking=blocking)
        send = inner.send

        async def silent(request: httpx.Request, /, *, stream: bool = False) -> httpx.Response:
            self.posts += request.method == "POST"
            mute = request.method == "POST" and self.posts >= self.silent_from
            response: httpx.Response = await send(request, stream=stream)
            if mute:
                await asyncio.sleep(60.0)
            return response

        inner.send = silent
        return inner


def undated(request: httpx.Request, body: Any) -> httpx.Response:
    """Leave out all headers."""
    return httpx.Response(200, json=body, request=request)


def crashed(service: Service, journal: Path, rows: int, silent_from: int, bend: Any = None) -> None:
    """Run until all creates were acted on, and die before some of the answers come."""
    with Client(backend=_Silent(service, silent_from, bend), poll_interval=0.02, timeout=0.3) as client:
        batch = client.map("acme/double", numbers(rows), journal=journal)
        batch.start()
        unanswered = rows - silent_from + 1
        while service.creates < rows or (bend is None and len(intents(journal)) > unanswered):
            time.sleep(0.01)
        crash(batch)


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set this computer's clock."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + seconds)


def intents(journal: Path) -> list[str]:
    """The clocks that the intents of a journal were timed by."""
    with sqlite3.connect(journal) as connection:
        found = connection.execute("SELECT clock FROM items WHERE state = 'intent'").fetchall()
    connection.close()
    return [clock for (clock,) in found]


def run_again(client: Client, journal: Path, rows: int) -> list[Any]:
    return [each.output for each in client.map("acme/double", numbers(rows), journal=journal)]


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
@pytest.mark.parametrize("off", [0.0, 5 * HOUR, -5 * HOUR])
def test_a_clock_that_is_set_between_a_crash_and_the_next_run_hides_nothing(
    make_service: Callable[..., Service],
    journal: Path,
    monkeypatch: pytest.MonkeyPatch,
    jump: float,
    off: float,
) -> None:
    service = make_service(clock=Clock(start=time.time() + off))
    crashed(service, journal, rows=6, silent_from=3)
    assert intents(journal) == ["server"] * 4
    set_clock(monkeypatch, jump)
    with service.client() as client:
        assert run_again(client, journal, 6) == [0, 2, 4, 6, 8, 10]
    assert service.creates == 6


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_what_came_to_nothing_is_created_although_the_clock_was_set(
    make_service: Callable[..., Service], journal: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    service = make_service(faults=[Fault(operation="*.create", delay=0.4)])
    with service.client(timeout=0.3) as client:
        batch = client.map("acme/double", numbers(3), journal=journal)
        batch.start()
        while not (journal.exists() and intents(journal)):
            time.sleep(0.01)
        crash(batch)
    service.simulator.faults.clear()
    made = service.creates
    set_clock(monkeypatch, jump)
    with service.client() as client:
        assert run_again(client, journal, 3) == [0, 2, 4]
    assert service.creates <= 3
    assert made <= 3


@pytest.mark.parametrize("jump", [90.0, -90.0])
def test_without_dates_our_clock_counts_with_a_wide_margin(
    service: Service, journal: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    crashed(service, journal, rows=3, silent_from=1, bend=undated)
    assert intents(journal) == ["ours"] * 3
    set_clock(monkeypatch, jump)
    with bent(service, undated) as client:
        assert run_again(client, journal, 3) == [0, 2, 4]
    assert service.creates == 3


@pytest.mark.parametrize("off", [5 * HOUR, -5 * HOUR])
def test_a_later_run_that_knows_the_servers_clock_looks_there_for_what_was_timed_by_ours(
    make_service: Callable[..., Service], journal: Path, off: float
) -> None:
    service = make_service(clock=Clock(start=time.time() + off))
    crashed(service, journal, rows=3, silent_from=1, bend=undated)
    with service.client() as client:
        assert run_again(client, journal, 3) == [0, 2, 4]
    assert service.creates == 3


@pytest.mark.parametrize("off", [5 * HOUR, -5 * HOUR])
def test_without_dates_the_servers_clock_is_told_from_what_it_creates(
    make_service: Callable[..., Service], journal: Path, off: float
) -> None:
    service = make_service(
        clock=Clock(start=time.time() + off),
        faults=[Fault(operation="*.create", calls={1}, cut=True, acted=True)],
    )
    with bent(service, undated) as client:
        assert run_again(client, journal, 4) == [0, 2, 4, 6]
    assert service.creates == 4


@pytest.mark.parametrize("jump", [HOUR, 10 * HOUR])
def test_a_computer_that_slept_finds_what_was_created_before(
    make_service: Callable[..., Service], jump: float
) -> None:
    unanswered = Fault(operation="*.create", calls={2}, cut=True, acted=True)
    asleep = Fault(operation="predictions.list", calls={2}, jump=jump)
    service = make_service(faults=[unanswered, asleep], retention=100 * HOUR)
    with service.client(timeout=0.5) as client:
        results = list(client.map("acme/double", numbers(4), concurrency=1))
    assert [each.output for each in results] == [0, 2, 4, 6]
    assert service.creates == 4


def test_a_computer_that_slept_waits_as_long_for_what_it_gave_up(service: Service) -> None:
    service.simulator.faults.add(Fault(operation="predictions.list", calls={2}, jump=HOUR))
    with Client(backend=Late(service), poll_interval=0.02, timeout=0.5) as client:
        results = list(client.map("acme/double", numbers(3), concurrency=1))
    assert [each.output for each in results] == [0, 2, 4]
    assert service.creates == 3


def test_the_time_is_asked_for_once_and_before_anything_is_created(service: Service, journal: Path) -> None:
    with service.client() as client:
        run_again(client, journal, 5)
        asked = [each.operation for each in service.simulator.requests if "models.get" not in each.operation]
        assert asked[0] == "predictions.list"
        assert asked.count("predictions.list") <= 2  # one may be a look at several in flight
        service.simulator.requests.clear()
        run_again(client, journal, 5)
        client.plan("acme/double", numbers(9), journal=journal)
    assert not [each for each in service.simulator.requests if each.operation.startswith("predictions")]


def test_a_service_that_does_not_tell_its_time_at_first_is_asked_again(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service(faults=[Fault(operation="predictions.list", calls={1, 2}, cut=True)])
    with service.client() as client:
        assert run_again(client, journal, 3) == [0, 2, 4]
    assert service.creates == 3


def test_nothing_is_created_while_the_service_cannot_be_reached(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(faults=[Fault(operation="predictions.list", cut=True)])
    with service.client() as client, pytest.raises(BatchError, match="The run stopped"):
        list(client.map("acme/double", numbers(3), patience=0.3))
    assert service.creates == 0


def test_a_list_that_is_refused_tells_the_time_all_the_same(
    make_service: Callable[..., Service], journal: Path
) -> None:
    faults = [Fault(operation="predictions.list", times=1, status=404)]
    service = make_service(clock=Clock(start=time.time() - HOUR), faults=faults)
    crashed(service, journal, rows=2, silent_from=1)
    assert intents(journal) == ["server"] * 2


def test_a_stopped_run_does_not_wait_for_the_time(make_service: Callable[..., Service]) -> None:
    service = make_service(faults=[Fault(operation="predictions.list", cut=True)])
    with service.client() as client:
        batch = client.map("acme/double", numbers(3), patience=600.0)
        batch.start()
        while not service.simulator.calls["predictions.list"]:
            time.sleep(0.01)
        batch.close()
    assert service.creates == 0


def dated(service_time: Callable[[], float]) -> Any:
    """Date all answers, as a gateway or a cache does."""

    def bend(request: httpx.Request, body: Any) -> httpx.Response:
        date = formatdate(service_time(), usegmt=True)
        return httpx.Response(200, json=body, headers={"Date": date}, request=request)

    return bend


def crashed_in_vain(service: Service, journal: Path, bend: Any) -> None:
    """Die before creates arrive of which the intents are written down."""
    service.simulator.faults.add(Fault(operation="*.create", cut=True))
    with bent(service, bend, timeout=0.3) as client:
        batch = client.map("acme/double", numbers(2), journal=journal)
        batch.start()
        while not (journal.exists() and intents(journal)):
            time.sleep(0.01)
        crash(batch)
    service.simulator.faults.clear()


@pytest.mark.parametrize("off", [0.0, 5 * HOUR, -5 * HOUR])
def test_a_date_that_stands_still_keeps_nobody_waiting(service: Service, journal: Path, off: float) -> None:
    still = time.time() + off
    crashed_in_vain(service, journal, dated(lambda: still))
    with bent(service, dated(lambda: still), timeout=0.3) as client:
        assert run_again(client, journal, 2) == [0, 2]
    assert service.creates == 2


def test_what_is_created_after_a_crash_is_waited_for_as_long_as_ever(service: Service, journal: Path) -> None:
    crashed_in_vain(service, journal, None)
    with Client(backend=Late(service), poll_interval=0.02, timeout=0.5) as client:
        assert run_again(client, journal, 2) == [0, 2]
    assert service.creates == 2


def test_a_servers_clock_that_was_ahead_keeps_nobody_waiting(service: Service, journal: Path) -> None:
    crashed_in_vain(service, journal, dated(lambda: time.time() + 5 * HOUR))
    with service.client(timeout=0.3) as client:
        assert run_again(client, journal, 2) == [0, 2]
    assert service.creates == 2


def test_our_clock_that_was_ahead_keeps_nobody_waiting(
    service: Service, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed_in_vain(service, journal, undated)
    assert {*intents(journal)} == {"ours"}
    set_clock(monkeypatch, -HOUR)
    with bent(service, undated, timeout=0.3) as client:
        assert run_again(client, journal, 2) == [0, 2]
    assert service.creates == 2


@pytest.mark.parametrize("off", [60.0, -60.0, 5 * HOUR, -5 * HOUR])
def test_a_gateway_whose_clock_is_wrong_hides_nothing(service: Service, journal: Path, off: float) -> None:
    gateway = dated(lambda: time.time() + off)
    service.simulator.faults.add(Fault(operation="*.create", calls={1}, cut=True, acted=True))
    with bent(service, gateway, timeout=0.3) as client:
        assert run_again(client, journal, 1) == [0]
    assert service.creates == 1


@pytest.mark.parametrize("off", [60.0, -60.0, 5 * HOUR, -5 * HOUR])
def test_nor_does_it_after_a_crash(service: Service, journal: Path, off: float) -> None:
    gateway = dated(lambda: time.time() + off)
    crashed(service, journal, rows=3, silent_from=1, bend=gateway)
    with bent(service, gateway) as client:
        assert run_again(client, journal, 3) == [0, 2, 4]
    assert service.creates == 3


@pytest.mark.parametrize(
    "date", ["yesterday", "", "Mon, 99 Jan 2026 00:00:00 GMT", f"Mon, 01 Jan 2026 00:00:{'9' * 20} GMT"]
)
def test_a_date_that_cannot_be_read_tells_nothing(service: Service, journal: Path, date: str) -> None:
    def odd(request: httpx.Request, body: Any) -> httpx.Response:
        return httpx.Response(200, json=body, headers={"Date": date}, request=request)

    crashed(service, journal, rows=1, silent_from=1, bend=odd)
    assert intents(journal) == ["ours"]


def test_a_date_without_a_zone_is_in_utc(
    service: Service, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(request: httpx.Request, body: Any) -> httpx.Response:
        shown = formatdate(time.time(), usegmt=True).removesuffix(" GMT")
        return httpx.Response(200, json=body, headers={"Date": shown}, request=request)

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        crashed(service, journal, rows=1, silent_from=1, bend=odd)
    finally:
        monkeypatch.undo()
        time.tzset()
    with sqlite3.connect(journal) as connection:
        (sent_at,) = connection.execute("SELECT sent_at FROM items").fetchone()
    connection.close()
    assert sent_at == pytest.approx(time.time(), abs=120)
