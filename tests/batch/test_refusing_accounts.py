"""An account that is refused in the middle of a run: for creates, for looks, or for everything."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import BatchError, Client, errors
from replicate_kit.batch._results import saver
from replicate_kit.errors import JournalError
from replicate_kit.simulator import Fault

from .conftest import Service, numbers

pytestmark = pytest.mark.slow  # a large family

WHERE = {
    "creates": ("*.create",),
    "looks": ("predictions.get", "predictions.list"),
    "everything": ("*",),
}
KINDS = {401: errors.AuthenticationError, 402: errors.InsufficientCredit, 403: errors.PermissionDenied}


def refuse(service: Service, status: int, where: str) -> None:
    """Let the service refuse from now on."""
    for operation in WHERE[where]:
        service.simulator.faults.add(Fault(operation=operation, status=status))


@pytest.mark.parametrize("where", sorted(WHERE))
@pytest.mark.parametrize("status", sorted(KINDS))
def test_a_refused_account_loses_nothing_and_the_next_run_pays_each_row_once(
    service: Service, client: Client, journal: Path, status: int, where: str
) -> None:
    def refuse_in_the_middle() -> None:
        while service.creates < 20:
            time.sleep(0.005)
        refuse(service, status, where)
        threading.Timer(0.5, service.gate.set).start()

    thread = threading.Thread(target=refuse_in_the_middle)
    thread.start()
    with pytest.raises(BatchError) as caught:
        list(
            client.map("acme/patient", numbers(60), journal=journal, concurrency=30, creates_per_minute=6000)
        )
    thread.join()
    assert isinstance(caught.value.__cause__, KINDS[status])
    assert f"journal={str(journal)!r}" in str(caught.value)
    assert service.cancels == 0
    service.gate.set()
    service.simulator.faults.clear()
    made = service.creates
    results = list(client.map("acme/patient", numbers(60), journal=journal))
    assert [each.output for each in results] == list(range(60))
    assert (service.creates, made < 60) == (60, True)


@pytest.mark.parametrize("status", sorted(KINDS))
def test_what_is_in_flight_is_kept_when_nothing_more_may_be_created(
    service: Service, client: Client, journal: Path, status: int
) -> None:
    def refuse_in_the_middle() -> None:
        while service.creates < 8:
            time.sleep(0.005)
        refuse(service, status, "creates")
        threading.Timer(0.7, service.gate.set).start()

    thread = threading.Thread(target=refuse_in_the_middle)
    thread.start()
    rows = numbers(12)
    with pytest.raises(BatchError) as caught:
        list(client.map("acme/patient", rows, journal=journal, concurrency=12, creates_per_minute=600))
    thread.join()
    assert len(caught.value.results) == service.creates
    assert all(each.error is None for each in caught.value.results)
    assert service.cancels == 0


def test_leaving_does_not_wait_for_what_is_kept(service: Service, client: Client, journal: Path) -> None:
    with client.map("acme/patient", numbers(12), journal=journal, creates_per_minute=600):
        while service.creates < 8:
            time.sleep(0.005)
        refuse(service, 402, "creates")
        time.sleep(0.5)
    assert service.cancels == service.creates


def test_what_is_left_running_is_not_waited_for(service: Service, client: Client, journal: Path) -> None:
    service.simulator.faults.add(Fault(operation="*.create", calls={5}, status=402))
    with pytest.raises(BatchError, match="Add credit"):
        list(client.map("acme/patient", numbers(12), journal=journal, on_interrupt="detach"))
    assert service.cancels == 0
    service.simulator.faults.clear()
    service.gate.set()
    assert [each.output for each in client.map("acme/patient", numbers(12), journal=journal)] == list(
        range(12)
    )
    assert service.creates == 12


def test_a_create_without_an_answer_is_found_after_the_refusal(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service()
    service.gate.set()
    service.simulator.faults.add(Fault(operation="*.create", calls={3}, cut=True, acted=True))
    service.simulator.faults.add(Fault(operation="*.create", calls=set(range(6, 100)), status=401))
    with service.client(timeout=0.3) as client:
        with pytest.raises(BatchError, match="replicate-kit auth status"):
            list(client.map("acme/patient", numbers(10), journal=journal))
        service.simulator.faults.clear()
        results = list(client.map("acme/patient", numbers(10), journal=journal))
    assert [each.output for each in results] == list(range(10))
    assert service.creates == 10


def interrupted(service: Service, journal: Path, token: str, *, answered: int) -> None:
    """A run of six rows that dies with some predictions answered, and one that is not."""
    service.simulator.faults.add(Fault(operation="*.create", calls={answered + 1}, cut=True, acted=True))
    service.simulator.faults.add(Fault(operation="*.create", calls=set(range(answered + 2, 100)), status=401))
    service.simulator.faults.add(Fault(operation="predictions.*", calls=set(range(2, 1000)), status=401))
    with service.client(api_token=token) as client, pytest.raises(BatchError):
        list(client.map("acme/patient", numbers(6), journal=journal, concurrency=1 + answered))
    service.simulator.faults.clear()
    service.gate.set()


TOKENS = {"r8_first": "ann", "r8_second": "ann", "r8_other": "bob"}


@pytest.mark.parametrize("answered", [1, 3])
def test_a_new_token_of_the_same_account_goes_on(
    make_service: Callable[..., Service], journal: Path, answered: int
) -> None:
    service = make_service(tokens=TOKENS)
    interrupted(service, journal, "r8_first", answered=answered)
    with service.client(api_token="r8_second", timeout=0.3) as client:
        results = list(client.map("acme/patient", numbers(6), journal=journal))
    assert [each.output for each in results] == list(range(6))
    assert service.creates == 6


@pytest.mark.parametrize("answered", [0, 1, 3])
def test_another_account_does_not_pay_again_for_what_it_cannot_see(
    make_service: Callable[..., Service], journal: Path, answered: int
) -> None:
    service = make_service(tokens=TOKENS)
    interrupted(service, journal, "r8_first", answered=answered)
    made = service.creates
    with service.client(api_token="r8_other", timeout=0.3) as client:
        for _ in range(2):
            with pytest.raises(JournalError, match=r"another API token.*retry=\('unknown',\)"):
                list(client.map("acme/patient", numbers(6), journal=journal))
    assert service.creates == made
    with service.client(api_token="r8_first", timeout=0.3) as client:
        results = list(client.map("acme/patient", numbers(6), journal=journal))
    assert [each.output for each in results] == list(range(6))
    assert service.creates == 6


def test_another_account_has_what_is_done_and_goes_on_with_what_is_not_begun(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service(tokens=TOKENS)
    service.gate.set()
    with service.client(api_token="r8_first") as client:
        list(client.map("acme/patient", numbers(3), journal=journal))
    with service.client(api_token="r8_other") as client:
        results = list(client.map("acme/patient", numbers(6), journal=journal))
    assert [each.output for each in results] == list(range(6))
    assert service.creates == 6


def test_a_journal_tells_nothing_of_the_token(service: Service, journal: Path) -> None:
    with service.client(api_token="r8_quite_secret") as client:
        list(client.map("acme/double", numbers(2), journal=journal))
    assert b"quite_secret" not in journal.read_bytes()


def test_a_create_without_an_answer_is_kept_as_well_when_it_is_found(
    make_service: Callable[..., Service], journal: Path, settling: Callable[[float], None]
) -> None:
    settling(1.0)
    unanswered = Fault(operation="*.create", calls={3}, cut=True, acted=True)
    service = make_service(
        faults=[unanswered, Fault(operation="*.create", calls=set(range(6, 100)), status=402)]
    )
    threading.Timer(2.0, service.gate.set).start()
    with service.client(timeout=0.3) as client, pytest.raises(BatchError, match="402"):
        list(client.map("acme/patient", numbers(10), journal=journal, concurrency=5))
    assert service.cancels == 0
    service.simulator.faults.clear()
    with service.client() as client:
        assert [each.output for each in client.map("acme/patient", numbers(10), journal=journal)] == list(
            range(10)
        )
    assert service.creates == 10


def test_a_run_is_left_at_once_where_nothing_can_be_canceled_or_watched(
    service: Service, client: Client, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with client.map("acme/patient", numbers(4), journal=journal):
        while service.creates < 4:
            time.sleep(0.01)
        service.simulator.faults.add(Fault(operation="*", status=401))
    assert "Not everything" not in caplog.text
    service.simulator.faults.clear()
    service.gate.set()
    assert [each.output for each in client.map("acme/patient", numbers(4), journal=journal)] == [0, 1, 2, 3]
    assert service.creates == 4


OLD, NEW = [{"text": f"old {number}"} for number in range(3)], {"text": "new"}


async def _broken(*_: object, **__: object) -> Any:
    raise ValueError("the store is broken")


def _age(journal: Path, state: str) -> None:
    """Let the rows of a journal have ended long ago."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("UPDATE items SET finished_at = 1000, state = ?", (state,))


# What a run of another account does to rows that the first account has created.
TOUCHES = {
    "stores their files": {"save_to": "out"},
    "fails to store their files": {"save_to": "out", "store": "broken"},
    "finds their files gone": {"age": "finished"},
    "tries them again and is refused": {"age": "failed", "retry": ("failed",), "status": 422},
    "tries what expired again and is refused": {"age": "expired", "retry": ("expired",), "status": 422},
    "tries them again in vain": {"age": "failed", "retry": ("failed",), "status": 401},
}


def touch(
    service: Service, journal: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], token: str
) -> None:
    """A run that has to do with the rows of another, loses the answer to a create of its own, and dies."""
    options = dict(how)
    status, age, store = options.pop("status", 0), options.pop("age", None), options.pop("store", None)
    if age is not None:
        _age(journal, age)
    if "save_to" in options:
        options["save_to"] = str(journal.with_name("out"))
    rows = [*OLD, NEW] if status == 422 else [NEW, *OLD]
    lost = len(OLD) + 1 if status == 422 else 1
    faults = service.simulator.faults
    faults.add(Fault(operation="*.create", calls={lost}, cut=True, acted=True))
    if status:
        faults.add(Fault(operation="*.create", calls=set(range(1, 100)) - {lost}, status=status))
    faults.add(Fault(operation="predictions.list", calls=set(range(1, 1000)), status=401))
    with monkeypatch.context() as patches:
        if store is not None:
            patches.setattr(saver, "store_outputs", _broken)
        with service.client(api_token=token, timeout=0.3) as client, pytest.raises(BatchError):
            list(client.map("acme/pictures", rows, journal=journal, concurrency=1, **options))
    faults.clear()


@pytest.mark.parametrize("how", sorted(TOUCHES))
def test_what_a_run_does_to_rows_of_another_account_makes_them_not_its_own(
    make_service: Callable[..., Service], journal: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    service = make_service(tokens=TOKENS)
    with service.client(api_token="r8_first") as client:
        list(client.map("acme/pictures", OLD, journal=journal))
    touch(service, journal, monkeypatch, TOUCHES[how], "r8_other")
    made = service.creates
    assert made == len(OLD) + 1
    first = service.client(api_token="r8_first", timeout=0.3)
    with first as client, pytest.raises(JournalError, match="another API token"):
        list(client.map("acme/pictures", [*OLD, NEW], journal=journal))
    assert service.creates == made
    with service.client(api_token="r8_other", timeout=0.3) as client:
        (result,) = client.map("acme/pictures", [NEW], journal=journal)
    assert (result.error, service.creates) == (None, made)


def test_a_token_that_created_nothing_passes_on_what_it_has_seen(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service(tokens=TOKENS | {"r8_third": "ann"})
    interrupted(service, journal, "r8_first", answered=2)
    service.gate.clear()
    with service.client(api_token="r8_second", timeout=0.3) as client:
        taken_over = client.map("acme/patient", numbers(3), journal=journal, on_interrupt="detach")
        with taken_over:
            while service.gets < 20:
                time.sleep(0.01)
    made = service.creates
    service.gate.set()
    for token in ("r8_third", "r8_first"):
        with service.client(api_token=token, timeout=0.3) as client:
            assert [each.output for each in client.map("acme/patient", numbers(3), journal=journal)] == [
                0,
                1,
                2,
            ]
    assert service.creates == made


def test_journals_of_earlier_versions_are_gone_on_with(
    service: Service, client: Client, journal: Path
) -> None:
    list(client.map("acme/double", numbers(2), journal=journal))
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("DROP TABLE accounts")
    assert [each.output for each in client.map("acme/double", numbers(3), journal=journal)] == [0, 2, 4]
    assert service.creates == 3


# Passing faults of the look by which the account is told, and lasting refusals of it.
PASSING = {
    "an overloaded service": {"status": 503},
    "a broken service": {"status": 500},
    "a limit of requests": {"status": 429, "retry_after": 0},
    "a lost connection": {"cut": True},
}


@pytest.mark.parametrize("what", sorted(PASSING))
def test_a_service_that_fails_for_a_while_keeps_nobody_from_going_on(
    make_service: Callable[..., Service], journal: Path, what: str
) -> None:
    service = make_service(tokens=TOKENS)
    interrupted(service, journal, "r8_first", answered=1)
    service.simulator.faults.add(Fault(operation="predictions.get", calls={1, 2}, **PASSING[what]))
    with service.client(api_token="r8_second", timeout=0.3) as client:
        results = list(client.map("acme/patient", numbers(6), journal=journal))
    assert [each.output for each in results] == list(range(6))
    assert service.creates == 6


def test_a_service_that_stays_away_costs_nothing_and_is_the_error(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service(tokens=TOKENS)
    interrupted(service, journal, "r8_first", answered=1)
    made = service.creates
    service.simulator.faults.add(Fault(operation="predictions.get", status=503))
    second = service.client(api_token="r8_second", timeout=0.3)
    with second as client, pytest.raises(errors.ServerError) as caught:
        list(client.map("acme/patient", numbers(6), journal=journal, patience=0.3))
    assert "Nothing was created" in caught.value.__notes__[-1]
    assert service.creates == made


@pytest.mark.parametrize("status", [403, 404])
def test_predictions_of_another_account_may_be_hidden_or_forbidden(
    make_service: Callable[..., Service], journal: Path, status: int
) -> None:
    service = make_service(tokens=TOKENS)
    interrupted(service, journal, "r8_first", answered=1)
    made = service.creates
    service.simulator.faults.add(Fault(operation="predictions.get", status=status))
    other = service.client(api_token="r8_other", timeout=0.3)
    with other as client, pytest.raises(JournalError, match="another API token"):
        list(client.map("acme/patient", numbers(6), journal=journal))
    assert service.creates == made


def test_leaving_does_not_wait_for_a_service_that_stays_away(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service(tokens=TOKENS)
    interrupted(service, journal, "r8_first", answered=1)
    service.simulator.faults.add(Fault(operation="predictions.get", status=503))
    asked = service.gets

    async def leave(client: Client) -> None:
        batch = client.async_map("acme/patient", numbers(6), journal=journal, patience=3600.0)
        task = asyncio.create_task(batch.async_start())
        while service.gets < asked + 3 and not task.done():  # noqa: ASYNC110 - another thread counts
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 20.0)

    with service.client(api_token="r8_second", timeout=0.3) as client:
        asyncio.run(leave(client))
