"""Rows of unknown fate that somebody settles by hand: with a prediction, or with none."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import Budget, Client
from replicate_kit._unresolved.canonical import canonical, digest
from replicate_kit.batch import Result, journals
from replicate_kit.batch._ledger.tables import open_journal
from replicate_kit.errors import ConfigError, JournalError, OutputExpired, UnknownPrediction
from replicate_kit.simulator import Clock, Fault

from .._engine.test_reconciler import intend
from ..bending import bent, conceal, list_nothing
from ..conftest import Service, numbers

pytestmark = pytest.mark.slow  # a large family


def key_of(n: int, model: str = "acme/double") -> str:
    """The key of a row of numbers."""
    return digest(model, canonical({"n": n})).hex()


@pytest.fixture
def lossy(make_service: Callable[..., Service]) -> Service:
    """A service that acts on the second create and does not answer it."""
    return make_service(faults=[Fault(operation="*.create", calls={2}, cut=True, acted=True)])


def run(
    service: Service, journal: Path, count: int = 3, bend: Callable[..., None] = list_nothing, **options: Any
) -> list[Result]:
    """Run rows, one after the other, at a service whose lists show nothing."""
    with bent(service, bend) as client:
        return list(client.map("acme/double", numbers(count), journal=journal, concurrency=1, **options))


def unknown(service: Service, journal: Path) -> dict[str, Any]:
    """Run rows of which one is unknown then; give its entry."""
    assert [each.status for each in run(service, journal)].count("unknown") == 1
    (entry,) = journals.entries(journal, ["unknown"])
    return entry


def real_id(service: Service, journal: Path) -> str:
    """The id of the prediction that the journal does not know."""
    known = {each["prediction_id"] for each in journals.entries(journal)}
    with service.client() as client:
        (id,) = {each.id for each in client.predictions.list_all()} - known
    return id


# The whole story.


def test_a_row_that_is_given_its_prediction_is_not_created_again(lossy: Service, journal: Path) -> None:
    entry = unknown(lossy, journal)
    assert "replicate-kit journal settle" in entry["error"]
    assert "retry=('unknown',)" in entry["error"]
    id = real_id(lossy, journal)
    settled = journals.settle(journal, entry["key"], prediction_id=id)
    assert (settled["state"], settled["prediction_id"], settled["error"]) == ("created", id, None)
    results = run(lossy, journal, price=1.0)
    assert [(each.output, each.error) for each in results] == [(0, None), (2, None), (4, None)]
    assert [each.cached for each in results] == [True] * 3
    assert lossy.creates == 3
    assert [each.output for each in run(lossy, journal)] == [0, 2, 4]
    assert lossy.creates == 3


def test_a_row_that_has_none_is_created_once(service: Service, client: Client, journal: Path) -> None:
    open_journal(journal).close()
    now = time.time()
    intend(journal, "acme/double", {"n": 1}, now - 30, lasting=40.0)  # it came to nothing, which nobody knows
    client.predictions.create(
        model="acme/double", input={"n": 77}, wait=True
    )  # as it is shown, this may be it
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE items SET settled_at = ?", (time.time(),))
    results = run(service, journal, 2, conceal)
    assert [each.status for each in results] == ["succeeded", "unknown"]
    before = service.creates
    assert run(service, journal, 2, conceal)[1].status == "unknown"
    assert service.creates == before
    settled = journals.settle(journal, key_of(1), absent=True)
    assert (settled["state"], settled["prediction_id"], settled["error"]) == ("canceled", None, None)
    for _ in range(2):
        assert [each.output for each in run(service, journal, 2, conceal)] == [0, 2]
    assert service.creates == before + 1


@pytest.mark.parametrize("how", ["adopt", "absent"])
def test_a_create_that_a_killed_run_left_may_be_settled_at_once(
    service: Service, client: Client, journal: Path, how: str
) -> None:
    open_journal(journal).close()
    intend(journal, "acme/double", {"n": 1}, time.time())
    if how == "adopt":
        id = client.predictions.create(model="acme/double", input={"n": 1}, wait=True).id
        journals.settle(journal, key_of(1), prediction_id=id)
    else:
        journals.settle(journal, key_of(1), absent=True)
    (result,) = client.map("acme/double", numbers(1, 1), journal=journal)
    assert (result.output, result.cached) == (2, how == "adopt")
    assert service.creates == 1


def test_a_prediction_that_still_runs_is_waited_for(service: Service, client: Client, journal: Path) -> None:
    open_journal(journal).close()
    intend(journal, "acme/patient", {"n": 1}, time.time())
    id = client.predictions.create(model="acme/patient", input={"n": 1}).id
    journals.settle(journal, key_of(1, "acme/patient"), prediction_id=id)
    batch = client.map("acme/patient", numbers(1, 1), journal=journal)
    batch.start()
    while not batch.progress.in_flight:
        time.sleep(0.01)
    service.gate.set()
    assert [each.output for each in batch] == [1]
    assert service.creates == 1


def test_a_run_that_is_stopped_cancels_it_and_the_next_creates_it_again(
    service: Service, client: Client, journal: Path
) -> None:
    open_journal(journal).close()
    intend(journal, "acme/patient", {"n": 1}, time.time())
    id = client.predictions.create(model="acme/patient", input={"n": 1}).id
    journals.settle(journal, key_of(1, "acme/patient"), prediction_id=id)
    batch = client.map("acme/patient", numbers(1, 1), journal=journal)
    batch.start()
    while next(journals.entries(journal))["status"] == "adopted":
        time.sleep(0.01)
    time.sleep(0.1)
    batch.close()
    assert client.predictions.get(id).status == "canceled"
    service.gate.set()
    assert [each.output for each in client.map("acme/patient", numbers(1, 1), journal=journal)] == [1]
    assert service.creates == 2


def test_a_run_that_is_stopped_before_it_has_looked_leaves_that_to_the_next(
    service: Service, client: Client, journal: Path
) -> None:
    open_journal(journal).close()
    intend(journal, "acme/patient", {"n": 1}, time.time())
    id = client.predictions.create(model="acme/patient", input={"n": 9}).id  # another's
    journals.settle(journal, key_of(1, "acme/patient"), prediction_id=id)
    asked: list[str] = []

    def slow(request: httpx.Request) -> float:
        asked.append(request.url.path)
        return 0.4 if request.url.path.endswith(id) else 0.0

    with bent(service, delay=slow) as slowly:
        batch = slowly.map("acme/patient", numbers(1, 1), journal=journal)
        batch.start()
        while not any(each.endswith(id) for each in asked):
            time.sleep(0.01)
        batch.close()
    assert client.predictions.get(id).status != "canceled"
    (result,) = client.map("acme/patient", numbers(1, 1), journal=journal)
    assert "it has another input" in str(result.error)
    assert service.creates == 1


# A prediction that is not the row's.


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("input", "it has another input"),
        ("model", "it is of acme/picky, and not of acme/double"),
        ("missing", "the API does not know it"),
    ],
)
def test_a_prediction_that_is_not_its_own_leaves_the_row_unknown_and_to_be_settled(
    lossy: Service, journal: Path, which: str, said: str
) -> None:
    entry = unknown(lossy, journal)
    right = real_id(lossy, journal)
    with lossy.client() as client:
        wrong = {
            "input": lambda: client.predictions.create(model="acme/double", input={"n": 50}, wait=True).id,
            "model": lambda: client.predictions.create(model="acme/picky", input={"n": 1}, wait=True).id,
            "missing": lambda: "gm3qorzdhgbfurvjtvhg6dckhu",
        }[which]()
    created = lossy.creates
    journals.settle(journal, entry["key"], prediction_id=wrong)
    for _ in range(2):
        (result,) = [each for each in run(lossy, journal) if each.error]
        assert isinstance(result.error, UnknownPrediction)
        assert said in str(result.error)
        assert wrong in str(result.error)
        assert "journal settle" in str(result.error)
    (left,) = journals.entries(journal, ["unknown"])
    assert (left["prediction_id"], left["attempts"]) == (None, 0)
    journals.settle(journal, entry["key"], prediction_id=right)
    assert [each.output for each in run(lossy, journal)] == [0, 2, 4]
    assert lossy.creates == created


def test_a_prediction_that_is_taken_on_somebodys_word_is_not_compared(lossy: Service, journal: Path) -> None:
    entry = unknown(lossy, journal)
    with lossy.client() as client:
        other = client.predictions.create(model="acme/double", input={"n": 50}, wait=True).id
    journals.settle(journal, entry["key"], prediction_id=other, check=False)
    assert sorted(each.output for each in run(lossy, journal)) == [0, 4, 100]


def test_a_prediction_of_another_version_is_not_its_own(
    service: Service, client: Client, journal: Path
) -> None:
    (first,) = client.map("acme/community", numbers(1), journal=journal)

    @service.simulator.model("acme/community", official=False)
    def community(n: int, more: int = 1) -> int:
        return n + more

    other = client.predictions.create(
        version=client.models.get("acme/community").latest_version.id, input={"n": 0}, wait=True
    )
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE items SET state = 'unknown', status = 'unknown'")
    (entry,) = journals.entries(journal)
    journals.settle(journal, entry["key"], prediction_id=other.id)
    (result,) = client.map("acme/community", numbers(1), journal=journal)
    assert "it is of acme/community" in str(result.error)
    journals.settle(journal, entry["key"], prediction_id=first.prediction_id)
    (result,) = client.map("acme/community", numbers(1), journal=journal)
    assert (result.output, result.error, service.creates) == (0, None, 2)


def test_the_id_that_a_row_had_may_be_given_to_it_again(
    service: Service, client: Client, journal: Path
) -> None:
    (first,) = client.map("acme/double", numbers(1), journal=journal)
    with closing(sqlite3.connect(journal)) as db, db:  # as after a while in which the API did not know it
        db.execute("UPDATE items SET state = 'unknown', status = 'unknown', output = NULL, attempts = 1")
    (entry,) = journals.entries(journal)
    assert journals.settle(journal, entry["key"], prediction_id=first.prediction_id)["attempts"] == 1
    (result,) = client.map("acme/double", numbers(1), journal=journal)
    assert (result.output, result.cached, service.creates) == (0, True, 1)


def test_a_prediction_whose_data_is_gone_is_expired_and_not_paid_again(
    make_service: Callable[..., Service], journal: Path
) -> None:
    clock = Clock()
    service = make_service(clock=clock)
    open_journal(journal).close()
    with service.client() as client:
        id = client.predictions.create(model="acme/double", input={"n": 1}, wait=True).id
        intend(journal, "acme/double", {"n": 1}, time.time())
        clock.advance(2 * 3600)
        journals.settle(journal, key_of(1), prediction_id=id)
        (result,) = client.map("acme/double", numbers(1, 1), journal=journal)
    assert isinstance(result.error, OutputExpired)
    assert service.creates == 1


def test_a_wrong_id_can_be_put_right_before_the_next_run(lossy: Service, journal: Path) -> None:
    entry = unknown(lossy, journal)
    right = real_id(lossy, journal)
    journals.settle(journal, entry["key"], prediction_id="wrong")
    assert journals.settle(journal, entry["key"], prediction_id=right)["attempts"] == 1
    assert [each.output for each in run(lossy, journal)] == [0, 2, 4]
    assert lossy.creates == 3


def test_the_id_of_one_row_given_to_another_is_free_again_for_its_own(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls={2, 3}, cut=True, acted=True)])
    assert [each.status for each in run(service, journal)] == ["succeeded", "unknown", "unknown"]
    with service.client() as client:
        ids = {each.input["n"]: each.id for each in client.predictions.list_all() if each.input["n"]}
    journals.settle(journal, key_of(2), prediction_id=ids[1])
    with pytest.raises(JournalError, match=f"belongs to the row {key_of(2)}"):
        journals.settle(journal, key_of(1), prediction_id=ids[1])
    run(service, journal)
    for number, id in ids.items():
        journals.settle(journal, key_of(number), prediction_id=id)
    assert [each.output for each in run(service, journal)] == [0, 2, 4]
    assert service.creates == 3


# Equal rows.


def test_equal_rows_are_told_apart_by_their_sample(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls={2, 3}, cut=True, acted=True)])

    def sampled() -> list[Result]:
        with bent(service, list_nothing) as client:
            rows = [{"n": 4}] * 3
            return list(client.map("acme/double", rows, dedupe=False, journal=journal, concurrency=1))

    assert [each.status for each in sampled()].count("unknown") == 2
    first, second = journals.entries(journal, ["unknown"])
    assert first["key"] == second["key"]
    with pytest.raises(JournalError, match=r"the samples \d, \d\. Pass sample="):
        journals.settle(journal, first["key"], absent=True)
    with pytest.raises(JournalError, match="no sample 9"):
        journals.settle(journal, first["key"], sample=9, absent=True)
    known = {each["prediction_id"] for each in journals.entries(journal)}
    with service.client() as client:
        id, other = {each.id for each in client.predictions.list_all()} - known
    journals.settle(journal, first["key"], sample=first["sample"], prediction_id=id)
    with pytest.raises(JournalError, match="belongs to"):
        journals.settle(journal, first["key"], sample=second["sample"], prediction_id=id)
    journals.settle(journal, first["key"], sample=second["sample"], prediction_id=other)
    assert [each.output for each in sampled()] == [8] * 3
    assert service.creates == 3


# What cannot be settled.


@pytest.mark.parametrize(
    "id",
    [
        *(
            "",
            " ",
            "a b",
            "../account",
            "-x",
            "a/b",
            "https://replicate.com/p/gm3qorzdhgbfurvjtvhg6dckhu",
            "é",
        ),
        *("a\n", "a" * 200, 7, True, b"abc", ["abc"]),
    ],
    ids=repr,
)
def test_what_is_no_id_is_refused(lossy: Service, journal: Path, id: Any) -> None:
    entry = unknown(lossy, journal)
    with pytest.raises(ConfigError, match="is not the id of a prediction"):
        journals.settle(journal, entry["key"], prediction_id=id)
    assert list(journals.entries(journal, ["unknown"])) == [entry]


@pytest.mark.parametrize("key", ["", "g", "0" * 33, "%", "' OR 1", 7, None, b"ab"], ids=repr)
def test_what_is_no_key_is_refused(journal: Path, key: Any) -> None:
    open_journal(journal).close()
    with pytest.raises(ConfigError, match="is not a row's key"):
        journals.settle(journal, key, absent=True)


@pytest.mark.parametrize(
    "said",
    [{}, {"prediction_id": "abc", "absent": True}, {"absent": "yes"}, {"absent": 1}, {"absent": True, "sample": -1}],
    ids=repr,
)  # fmt: skip
def test_one_thing_must_be_said(journal: Path, said: Any) -> None:
    open_journal(journal).close()
    with pytest.raises(ConfigError):
        journals.settle(journal, "ab", **said)


def test_a_key_is_found_by_its_first_digits_if_they_are_no_others(lossy: Service, journal: Path) -> None:
    list(lossy.client().map("acme/picky", numbers(40, 500), journal=journal))
    with pytest.raises(JournalError, match=r"\d+ keys begin with '.': .*, …. Pass more digits"):
        journals.settle(journal, max("0123456789abcdef", key=lambda each: count(journal, each)), absent=True)
    with pytest.raises(JournalError, match="no row whose key begins with"):
        journals.settle(journal, "0" * 32, absent=True)
    with pytest.raises(JournalError, match="is in the state 'finished': there is nothing to settle"):
        journals.settle(journal, key_of(500, "acme/picky")[:30].upper(), absent=True)


def count(journal: Path, first: str) -> int:
    """How many keys begin with a digit."""
    return sum(each["key"].startswith(first) for each in journals.entries(journal))


@pytest.mark.parametrize("state", ["created", "finished", "saved", "failed", "canceled", "expired"])
def test_only_what_is_unknown_can_be_settled(lossy: Service, journal: Path, state: str) -> None:
    entry = unknown(lossy, journal)
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE items SET state = ? WHERE state = 'unknown'", (state,))
    for said in ({"absent": True}, {"prediction_id": "abc"}):
        with pytest.raises(JournalError, match=f"is in the state '{state}'"):
            journals.settle(journal, entry["key"], **said)  # type: ignore[arg-type]


def test_a_prediction_that_another_row_has_or_had_is_refused(lossy: Service, journal: Path) -> None:
    entry = unknown(lossy, journal)
    (taken, *_) = (each["prediction_id"] for each in journals.entries(journal, ["finished"]))
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute(
            "INSERT INTO attempts VALUES ('earlier', ?, 0, 'failed', NULL, 1.0, 1.0, 1.0)", (b"\1" * 16,)
        )
    for id in (taken, "earlier"):
        with pytest.raises(JournalError, match=f"{id} belongs to the row"):
            journals.settle(journal, entry["key"], prediction_id=id)
    assert list(journals.entries(journal, ["unknown"])) == [entry]


def test_nothing_is_settled_while_a_run_uses_the_journal(lossy: Service, journal: Path) -> None:
    entry = unknown(lossy, journal)
    with lossy.client() as client, client.map("acme/double", numbers(5), journal=journal) as batch:
        batch.start()
        with pytest.raises(JournalError, match="Stop it first"):
            journals.settle(journal, entry["key"], absent=True)
        list(batch)


def test_there_must_be_a_journal(journal: Path) -> None:
    with pytest.raises(JournalError, match="There is no journal"):
        journals.settle(journal, "ab", absent=True)


# What was spent.


def test_a_prediction_that_was_adopted_is_charged_to_the_journal_and_not_to_the_run(
    lossy: Service, journal: Path
) -> None:
    entry = unknown(lossy, journal)
    journals.settle(journal, entry["key"], prediction_id=real_id(lossy, journal))
    with bent(lossy, list_nothing) as client:
        batch = client.map(
            "acme/double", numbers(9), journal=journal, price=1.0, budget=Budget(money=5, per="journal")
        )
        results = list(batch)
    assert [each.status for each in results].count("succeeded") == lossy.creates == 5
    assert (batch.progress.cost, results[1].cost) == (2.0, 1.0)


def test_a_row_that_has_none_costs_the_journal_nothing(lossy: Service, journal: Path) -> None:
    entry = unknown(lossy, journal)
    journals.settle(journal, entry["key"], absent=True)
    results = run(lossy, journal, budget=Budget(predictions=3, per="journal"))
    assert [each.status for each in results] == ["succeeded"] * 3


def test_what_an_earlier_prediction_has_cost_stays_known(
    service: Service, client: Client, journal: Path
) -> None:
    list(client.map("acme/picky", numbers(1, 37), journal=journal, price=2.0))
    for said in ({"prediction_id": "abc"}, {"absent": True}):
        with closing(sqlite3.connect(journal)) as db, db:
            db.execute("UPDATE items SET before = 'failed', state = 'intent'")
        journals.settle(journal, key_of(37, "acme/picky"), **said)  # type: ignore[arg-type]
        assert journals.describe(journal).cost == 2.0
