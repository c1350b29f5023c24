"""Budgets that count what the journal has spent: over runs, over models, and over a crash."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from replicate_kit import BatchError, Budget, Client, Progress
from replicate_kit.batch import journals
from replicate_kit.batch._ledger.spending import read_spending
from replicate_kit.batch._ledger.tables import open_journal
from replicate_kit.batch._money.pricing import Price, Spent
from replicate_kit.errors import BudgetExhausted, ConfigError
from replicate_kit.simulator import Fault
from replicate_kit.simulator import sleep as simulated_sleep

from .._engine.test_reconciler import intend
from ..bending import bent, conceal, predictions
from ..conftest import Service, numbers


def statuses(results: Any) -> list[str]:
    """How rows ended."""
    return [each.status for each in results]


@pytest.mark.parametrize(
    "limit", [{"predictions": 4}, {"money": 1.0}, {"seconds": 45}], ids=lambda each: next(iter(each))
)
def test_a_budget_is_one_runs_unless_it_is_the_journals(
    service: Service, journal: Path, limit: dict[str, Any]
) -> None:
    def run(per: Literal["run", "journal"]) -> int:
        before = service.creates
        list(
            client.map(
                "acme/double", numbers(20), journal=journal, price=0.25, cancel_after=10,
                budget=Budget(**limit, per=per), concurrency=1,
            )
        )  # fmt: skip
        return service.creates - before

    def tell_no_time(request: object, body: Any) -> None:  # so that each is charged as ten seconds
        for each in predictions(body):
            each["metrics"] = {"predict_time": -1}

    with bent(service, tell_no_time) as client:
        assert [run("journal"), run("journal"), run("run"), run("journal")] == [4, 0, 4, 0]


def test_what_other_models_have_cost_counts_by_what_is_written_down(
    service: Service, client: Client, journal: Path
) -> None:
    list(client.map("acme/double", numbers(3), journal=journal, price=2.0))
    results = list(
        client.map(
            "acme/picky", numbers(9), journal=journal, price=0.5, budget=Budget(money=7, per="journal")
        )
    )
    assert statuses(results).count("succeeded") == 2
    assert isinstance(results[-1].error, BudgetExhausted)
    assert "counts the 3 predictions for 6.00 of earlier runs with the journal" in str(results[-1].error)


def test_rows_that_ran_without_a_price_are_counted_by_the_present_one(
    service: Service, client: Client, journal: Path
) -> None:
    list(client.map("acme/double", numbers(3), journal=journal))
    results = list(
        client.map(
            "acme/double", numbers(9), journal=journal, price=1.0, budget=Budget(money=5, per="journal")
        )
    )
    assert statuses(results).count("succeeded") == 5
    assert service.creates == 5


def test_the_cost_of_a_run_is_what_it_spent_itself(client: Client, journal: Path) -> None:
    list(client.map("acme/double", numbers(3), journal=journal, price=1.0))
    batch = client.map(
        "acme/double", numbers(9), journal=journal, price=1.0, budget=Budget(money=5, per="journal")
    )
    list(batch)
    assert batch.progress.cost == 2.0
    assert (batch.progress.done, batch.progress.skipped, batch.progress.failed) == (5, 4, 0)


def test_tries_that_were_interrupted_count(service: Service, client: Client, journal: Path) -> None:
    list(client.map("acme/shaky", [{"n": 5}], journal=journal))  # three tries
    assert service.creates == 3
    list(
        client.map("acme/shaky", numbers(5, 6), journal=journal, budget=Budget(predictions=5, per="journal"))
    )
    assert service.creates == 5


@contextmanager
def left(service: Service, client: Client, journal: Path, count: int, **options: Any) -> Iterator[None]:
    """Leave predictions behind that run, as a run does that is killed."""
    batch = client.map("acme/patient", numbers(count), journal=journal, on_interrupt="detach", **options)
    batch.start()
    while batch.progress.in_flight < count or journals.describe(journal).states != {"created": count}:
        time.sleep(0.01)
    batch.close()
    yield


@pytest.mark.parametrize("limit", [{"predictions": 5}, {"money": 50.0}, {"seconds": 50}])
def test_what_runs_since_a_crash_counts_as_the_most_until_it_ends(
    service: Service, client: Client, journal: Path, limit: dict[str, Any]
) -> None:
    budget = Budget(**limit, per="journal")
    options: Any = {"journal": journal, "budget": budget, "price_per_second": 1.0, "cancel_after": 10}
    with left(service, client, journal, 3):
        # They are another model's, so that this run does not see them end.
        results = list(client.map("acme/double", numbers(1), **options))
        assert statuses(results) == ["succeeded"]
        results = list(
            client.map(
                "acme/double", numbers(1, 9), **(options | {"budget": Budget(predictions=4, per="journal")})
            )
        )
        assert statuses(results) == ["skipped"]
        service.gate.set()
        results = list(client.map("acme/patient", numbers(8), **options))
    if "predictions" in limit:
        assert service.creates == 5
        assert statuses(results).count("skipped") == 4
    else:
        assert statuses(results) == ["succeeded"] * 8  # they took next to no time
    assert [each.cached for each in results[:3]] == [True] * 3


def test_what_was_canceled_in_the_queue_is_not_charged_as_if_it_had_run_to_its_deadline(
    service: Service, client: Client, journal: Path
) -> None:
    @service.simulator.model("acme/queue", workers=1)
    def queue(n: int) -> int:
        while not service.gate.is_set():
            simulated_sleep(0.01)
        return n

    options: Any = {"journal": journal, "price_per_second": 1.0, "cancel_after": 600}
    batch = client.map("acme/queue", numbers(4), **options)
    batch.start()
    while service.creates < 4:
        time.sleep(0.01)
    batch.close()
    assert journals.describe(journal).states == {"canceled": 4}
    service.gate.set()
    budget = Budget(money=1000, per="journal")
    assert statuses(client.map("acme/queue", numbers(4), budget=budget, **options)) == ["succeeded"] * 4


def test_creates_that_a_crash_left_unanswered_count_until_it_is_certain_that_there_is_none(
    service: Service, client: Client, journal: Path
) -> None:
    open_journal(journal).close()
    for number in range(3):
        intend(journal, "acme/double", {"n": number}, time.time() - 60)
    budget = Budget(predictions=3, per="journal")
    assert statuses(client.map("acme/picky", numbers(1), journal=journal, budget=budget)) == ["skipped"]
    results = list(client.map("acme/double", numbers(5), journal=journal, budget=budget))
    assert statuses(results).count("succeeded") == service.creates == 3


def test_what_may_have_been_created_counts_also_when_it_is_paid_again(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls={1}, cut=True, acted=True)])

    with bent(service, conceal) as client:
        assert statuses(client.map("acme/double", numbers(1), journal=journal)) == ["unknown"]
        options: Any = {
            "journal": journal,
            "retry": ("unknown",),
            "budget": Budget(predictions=1, per="journal"),
        }
        assert statuses(client.map("acme/double", numbers(1), **options)) == ["skipped"]
        options["budget"] = Budget(predictions=2, per="journal")
        assert statuses(client.map("acme/double", numbers(1), **options)) == ["succeeded"]
        assert statuses(client.map("acme/double", numbers(1, 7), **options)) == ["skipped"]
    assert service.creates == 2


def test_rows_that_were_refused_or_never_began_cost_nothing(journal: Path) -> None:
    columns = "key, sample, state, run, model, input, prediction_id, status, seconds, cost"
    rows = [
        (b"1", 0, "failed", "r", "m", "{}", None, "rejected", None, None),
        (b"2", 0, "failed", "r", "m", "{}", "a", "aborted", 0.0, None),
        (b"3", 0, "finished", "r", "m", "{}", "b", "succeeded", 4.0, 3.0),
        (b"4", 0, "finished", "r", "m", "{}", "c", "succeeded", 4.0, None),
        (b"5", 0, "failed", "r", "m", "{}", "d", "failed", None, None),
        (b"6", 0, "finished", "r", "m", "{}", "e", "succeeded", -9.0, -9.0),
        (b"7", 0, "unknown", "r", "m", "{}", None, "unknown", None, None),
        (b"8", 0, "created", "r", "m", "{}", "f", None, None, None),
    ]
    with closing(open_journal(journal)) as db:
        db.executemany(f"INSERT INTO items ({columns}) VALUES ({', '.join('?' * 10)})", rows)
        db.execute("INSERT INTO attempts VALUES ('g', '3', 0, 'aborted', NULL, 0.0, NULL, NULL)")
        db.execute("INSERT INTO attempts VALUES ('h', '3', 0, 'failed', NULL, 2.0, 1.0, NULL)")
        found = read_spending(db, Price(0.5, 1.0, 10.0))
    assert found == (Spent(6, 4 + 4 + 10 + 10 + 10 + 2, 3 + 4.5 + 10.5 * 3 + 1), 1)


@pytest.mark.parametrize("per", ["week", None, True, "runs"])
def test_a_budget_is_a_runs_or_a_journals(per: Any) -> None:
    with pytest.raises(ConfigError, match="'run' or 'journal'"):
        Budget(money=1, per=per)


def test_a_journals_budget_needs_a_journal(client: Client) -> None:
    with pytest.raises(ConfigError, match="journal="):
        client.map("acme/double", numbers(1), budget=Budget(predictions=1, per="journal"))


def test_rows_that_are_left_out_are_counted_apart(client: Client) -> None:
    seen: list[Progress] = []
    rows = [*numbers(3), {"n": "x"}, {"n": 2}, {"n": 9}]
    list(client.map("acme/double", rows, budget=Budget(predictions=2), progress=seen.append, concurrency=1))
    last = seen[-1]
    assert (last.total, last.done, last.failed, last.skipped) == (6, 3, 1, 3)
    assert last.finished
    assert last.remaining in (0.0, None)


@pytest.mark.parametrize("ends", [False, True], ids=["at once", "one after the other"])
@pytest.mark.parametrize("where", ["file", "memory"])
@pytest.mark.parametrize(
    ("limit", "most"), [({"predictions": 7}, 7), ({"money": 3.5}, 7), ({"seconds": 75.0}, 7)], ids=str
)
def test_runs_that_use_a_journal_at_once_spend_its_budget_together(
    service: Service, journal: Path, where: str, limit: dict[str, Any], most: int, ends: bool
) -> None:
    url = str(journal) if where == "file" else f"memory://{journal.parent.name}"
    budget, got = Budget(**limit, per="journal"), list[Any]()

    def run(first: int) -> None:
        rows = [{"n": first + n} for n in range(10)]
        options: Any = {"journal": url, "price": 0.5, "cancel_after": 10, "concurrency": 3}
        got.extend(client.map("acme/double", rows, budget=budget, **options))

    def tell_no_time(request: object, body: Any) -> None:  # so that each is charged as ten seconds
        for each in predictions(body):
            each["metrics"] = {"predict_time": -1}

    with bent(service, tell_no_time) as client:
        threads = [threading.Thread(target=run, args=(100 * n,)) for n in range(4)]
        for each in threads:
            each.start()
            if ends:
                each.join()
        for each in threads:
            each.join()
    assert (service.creates, sorted(set(statuses(got)))) == (most, ["skipped", "succeeded"])
    assert statuses(got).count("succeeded") == most


OTHERS: dict[str, dict[str, Any]] = {
    "succeed": {},
    "fail": {"model": "acme/failing"},
    "are stopped": {"stop": True},
    "come to nothing": {"refuse": True},
}


@pytest.mark.parametrize("how", sorted(OTHERS))
def test_what_a_living_run_ends_is_charged_by_what_it_cost(
    make_service: Callable[..., Service], journal: Path, how: str
) -> None:
    service = make_service()
    model, other = OTHERS[how].get("model", "acme/patient"), OTHERS[how]

    @service.simulator.model("acme/failing", workers=64)
    def failing(n: int) -> int:
        while not service.gate.is_set():
            simulated_sleep(0.01)
        raise ValueError("no")

    budget = Budget(money=8.0, per="journal")  # four at the most of 1.80, and many at what they do cost
    options: dict[str, Any] = {"journal": journal, "price_per_second": 0.001}
    got: list[Any] = []
    with service.client() as a, service.client() as b:
        waiting = threading.Thread(
            target=lambda: got.extend(b.map(model, numbers(8), budget=budget, **options))
        )
        if other.get("refuse"):
            service.simulator.faults.add(
                Fault(operation="*predictions.create", calls=set(range(1, 5)), status=401, delay=1.5)
            )
        try:
            with a.map(model, numbers(4), **options) as one:
                while service.simulator.calls["models.predictions.create"] < 4:
                    time.sleep(0.01)
                waiting.start()
                time.sleep(0.5)
                if not other.get("stop"):
                    service.gate.set()
                    list(one)
        except BatchError:
            assert other.get("refuse")
        service.gate.set()
        waiting.join(60)
    assert len(got) == 8
    assert [each.status for each in got if each.status == "skipped"] == []
