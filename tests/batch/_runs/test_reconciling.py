"""A journal is compared with the API's list: what runs have left open is adopted, and nothing is created."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.batch import journals
from replicate_kit.batch._ledger.tables import open_journal
from replicate_kit.batch._runs.reconciling import Reconciled, Reconciling
from replicate_kit.errors import JournalError
from replicate_kit.simulator import Fault
from tests.waiting import until

from .._engine.test_reconciler import intend
from .._money.test_spending import left
from ..bending import bent, conceal
from ..conftest import Service, numbers


def reconciled(client: Client, journal: Path, *, dry: bool = False, **options: Any) -> Reconciled:
    limits = {"since": options.pop("since", None), "limit": options.pop("limit", 1000)}
    return asyncio.run(Reconciling(client, journal, **options).run(dry=dry, **limits))


def states(journal: Path) -> dict[str, int]:
    return dict(journals.describe(journal).states)


def content(journal: Path) -> list[dict[str, Any]]:
    return list(journals.entries(journal))


@pytest.mark.parametrize("dry", [True, False])
def test_what_has_ended_since_is_adopted(service: Service, client: Client, journal: Path, dry: bool) -> None:
    with left(service, client, journal, 3):
        service.gate.set()
        for entry in journals.entries(journal):
            client.predictions.get(entry["prediction_id"]).wait()
        before = content(journal)
        found = reconciled(client, journal, dry=dry, price=0.5)
    assert [(each.before, each.now) for each in found.changed] == [("created", "finished")] * 3
    assert (found.left, found.lacking, found.differs, service.creates) == ([], [], False, 3)
    if dry:
        assert content(journal) == before
    else:
        assert states(journal) == {"finished": 3}
        assert [each["cost"] for each in journals.entries(journal)] == [0.5] * 3
        results = list(client.map("acme/patient", numbers(3), journal=journal))
        assert [each.cached for each in results] == [True] * 3
        assert service.creates == 3


def test_what_still_runs_is_left_and_not_waited_for(service: Service, client: Client, journal: Path) -> None:
    with left(service, client, journal, 2):
        found = reconciled(client, journal)
        assert [(each.before, each.now) for each in found.left] == [("created", "created")] * 2
        assert (found.changed, found.differs) == ([], True)
        service.gate.set()


@pytest.mark.parametrize("acted", [True, False])
def test_an_intent_gets_its_prediction_or_came_to_nothing(
    service: Service, client: Client, journal: Path, acted: bool
) -> None:
    open_journal(journal).close()
    sent = time.time() - (0 if acted else 60)
    if acted:
        client.predictions.create(model="acme/double", input={"n": 3}, wait=True)
    intend(journal, "acme/double", {"n": 3}, sent)
    created = service.creates
    (changed,) = reconciled(client, journal).changed
    assert (changed.before, changed.now) == ("intent", "finished" if acted else None)
    assert service.creates == created


def test_an_unknown_row_gets_its_prediction_once_the_list_shows_it(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls={1}, cut=True, acted=True)])
    with bent(service, conceal) as client:
        list(client.map("acme/double", numbers(1), journal=journal, label="nightly"))
        assert states(journal) == {"unknown": 1}
        found = reconciled(client, journal)
        assert [(each.before, each.now) for each in found.left] == [("unknown", "unknown")]
    with service.client() as client:
        found = reconciled(client, journal, price=0.5)
        assert [(each.before, each.now) for each in found.changed] == [("unknown", "finished")]
        assert service.creates == 1
        (costs,) = journals.costs(journal, by="label")
        assert (costs.group, costs.predictions, costs.cost) == ({"label": "nightly"}, 1, 0.5)


def test_what_the_journal_lacks_is_named(service: Service, client: Client, journal: Path) -> None:
    list(client.map("acme/double", numbers(2), journal=journal))
    same = client.predictions.create(model="acme/double", input={"n": 1}, wait=True)
    client.predictions.create(model="acme/double", input={"n": 7}, wait=True)
    client.predictions.create(model="acme/picky", input={"n": 1}, wait=True)
    found = reconciled(client, journal)
    assert [each.prediction_id for each in found.lacking] == [same.id]
    assert (found.listed, found.differs, states(journal)) == (5, True, {"finished": 2})
    part = reconciled(client, journal, limit=2)
    assert (part.listed, part.cut, found.cut) == (2, True, False)
    assert reconciled(client, journal, since=time.time() + 3600).lacking == []


def test_an_interrupted_prediction_is_not_created_again(
    service: Service, client: Client, journal: Path
) -> None:
    with left(service, client, journal, 1):
        (entry,) = journals.entries(journal)
        client.predictions.cancel(entry["prediction_id"])
        service.gate.set()
        client.predictions.get(entry["prediction_id"]).wait()
        (changed,) = reconciled(client, journal).changed
    assert changed.now in ("failed", "canceled")
    assert service.creates == 1


def test_rows_without_inputs_are_left_to_the_run_with_their_table(
    service: Service, client: Client, journal: Path
) -> None:
    with left(service, client, journal, 1):
        journals.hash_inputs(journal)
        (row,) = reconciled(client, journal).left
        assert "run map again with its table" in str(row.remark)
        service.gate.set()


def test_a_journal_that_a_run_uses_is_left_alone(service: Service, client: Client, journal: Path) -> None:
    batch = client.map("acme/patient", numbers(1), journal=journal)
    batch.start()
    with pytest.raises(JournalError, match="A run uses the journal"):
        reconciled(client, journal)
    service.gate.set()
    list(batch)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("open", [True, False])
@pytest.mark.parametrize("dry", [True, False])
def test_another_service_is_refused_and_changes_nothing(
    make_service: Callable[..., Service], journal: Path, count: int, open: bool, dry: bool
) -> None:
    service, other = make_service(), make_service()
    with service.client() as client, other.client() as wrong:
        if open:
            with left(service, client, journal, count):
                service.gate.set()
        else:
            list(client.map("acme/double", numbers(count), journal=journal))
        before = content(journal)
        with pytest.raises(JournalError, match=r"does not know the predictions.*Nothing was changed"):
            reconciled(wrong, journal, dry=dry)
        assert content(journal) == before
        assert not reconciled(client, journal).differs


@pytest.mark.usefixtures("found_at_once")
def test_one_prediction_that_the_service_knows_is_enough(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service, other = make_service(), make_service()
    with service.client() as client, other.client() as second:
        with left(service, client, journal, 2):
            list(second.map("acme/double", numbers(1), journal=journal))
            found = reconciled(second, journal)
        assert [(each.before, each.now) for each in found.changed] == [("created", "unknown")] * 2
        service.gate.set()
        changed = reconciled(client, journal, price=0.5).changed
        assert [(each.before, each.now) for each in changed] == [("unknown", "finished")] * 2
        assert states(journal) == {"finished": 3}
        assert (service.creates, other.creates) == (2, 1)


@pytest.mark.usefixtures("found_at_once")
@pytest.mark.parametrize("label", [None, "nightly"])
def test_unknown_rows_with_ids_are_settled_by_those(
    make_service: Callable[..., Service], journal: Path, label: str | None
) -> None:
    service, other = make_service(), make_service()
    with service.client() as client, other.client() as wrong:
        with left(service, client, journal, 2, label=label):
            ids = {each["prediction_id"] for each in content(journal)}
            list(wrong.map("acme/patient", numbers(2), journal=journal))
            assert states(journal) == {"unknown": 2}
            found = reconciled(client, journal)
            assert [(each.before, each.now) for each in found.changed] == [("unknown", "created")] * 2
            service.gate.set()
        until(lambda: {each["status"] for each in service.simulator.recent(2)} == {"succeeded"})
        assert {each.prediction_id for each in reconciled(client, journal).changed} <= ids
        (costs,) = journals.costs(journal, by="label")
        assert (costs.group, costs.predictions) == ({"label": label}, 2)
        assert (service.creates, states(journal)) == (2, {"finished": 2})


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 1000])
def test_a_list_that_was_cut_is_no_agreement(
    service: Service, client: Client, journal: Path, limit: int
) -> None:
    client.predictions.create(model="acme/double", input={"n": 1}, wait=True)
    since = time.time()
    list(client.map("acme/double", numbers(3), journal=journal))
    found = reconciled(client, journal, limit=limit, since=since)
    assert (found.lacking, found.missing, found.listed) == ([], [], min(limit, 3))
    assert found.cut is found.differs is (limit < 3)


def test_predictions_of_another_service_are_missing(
    make_service: Callable[..., Service], journal: Path
) -> None:
    service, other = make_service(), make_service()
    with service.client() as client, other.client() as second:
        list(second.map("acme/double", numbers(2), journal=journal))
        there = {each["prediction_id"] for each in content(journal)}
        list(client.map("acme/double", numbers(4), journal=journal))
        found = reconciled(client, journal)
        assert {each.prediction_id for each in found.missing} == there
        assert (found.changed, found.left, found.lacking, found.differs) == ([], [], [], True)
        assert reconciled(client, journal, since=time.time() + 3600).missing == []
        assert reconciled(client, journal, limit=1).cut


def test_what_the_list_does_not_show_yet_is_not_missing(service: Service, journal: Path) -> None:
    with service.client() as client:
        list(client.map("acme/double", numbers(2), journal=journal))

    def list_nothing(request: object, body: Any) -> None:
        if "results" in body:
            body["results"] = []

    with bent(service, list_nothing) as client:
        found = reconciled(client, journal)
        assert (found.listed, found.differs) == (0, False)


def test_later_samples_alone_are_rows_too(service: Service, client: Client, journal: Path) -> None:
    list(client.map("acme/double", [{"n": 1}] * 2, journal=journal, dedupe=False))
    with closing(open_journal(journal)) as connection:
        which = "FROM items WHERE sample = 0"
        (id,) = connection.execute(f"SELECT prediction_id {which}").fetchone()
        connection.execute(f"DELETE {which}")
    assert [each.prediction_id for each in reconciled(client, journal).lacking] == [id]


def hide(*paths: str, code: int = 404) -> Callable[[httpx.Request, Any], Any]:
    """Refuse requests whose path ends like this."""

    def bend(request: httpx.Request, body: Any) -> httpx.Response | None:
        if request.url.path.endswith(paths):
            return httpx.Response(code, json={"detail": "Refused."}, request=request)
        return None

    return bend


@pytest.mark.parametrize("unknown", [True, False])
@pytest.mark.parametrize("dry", [True, False])
def test_a_model_that_is_gone_holds_no_other_one_up(
    service: Service, client: Client, journal: Path, unknown: bool, dry: bool
) -> None:
    with left(service, client, journal, 1):
        service.gate.set()
    client.predictions.create(model="acme/double", input={"n": 3}, wait=True)
    intend(journal, "acme/double", {"n": 3}, time.time())
    intend(journal, "acme/gone", {"n": 3}, time.time())
    if unknown:
        with closing(open_journal(journal)) as connection:
            connection.execute("UPDATE items SET state = 'unknown' WHERE model = 'acme/gone'")
    found = reconciled(client, journal, dry=dry)
    assert sorted(each.model for each in found.changed) == ["acme/double", "acme/patient"]
    (row,) = found.left
    assert (row.model, "acme/gone cannot be run" in str(row.remark)) == ("acme/gone", True)
    assert (found.error, found.listed) == (None, 2)


@pytest.mark.parametrize("code", [401, 400])
def test_what_was_changed_before_an_error_is_told(
    service: Service, client: Client, journal: Path, code: int
) -> None:
    with left(service, client, journal, 1):
        service.gate.set()
    with bent(service, hide("/v1/predictions", code=code)) as client:
        found = reconciled(client, journal)
    assert [each.now for each in found.changed] == ["finished"]
    assert "Refused" in str(found.error)


def test_rows_of_another_account_are_left(make_service: Callable[..., Service], journal: Path) -> None:
    service, other = make_service(), make_service()
    one, two = service.client(api_token="r8_one"), other.client(api_token="r8_two")
    with one, two, left(service, one, journal, 2):
        list(two.map("acme/double", numbers(1), journal=journal))
        before = content(journal)
        found = reconciled(two, journal)
        assert content(journal) == before
        service.gate.set()
    assert (found.changed, found.error, len(found.left)) == ([], None, 2)
    (remark,) = {each.remark for each in found.left}
    assert "a token of that account" in str(remark)
    assert "retry" not in str(remark)


@pytest.mark.parametrize("price", [{"price": 0.5}, {"price_per_second": 2.0}])
@pytest.mark.parametrize("dry", [True, False])
def test_a_price_fills_in_what_ended_without_a_cost(
    service: Service, client: Client, journal: Path, price: dict[str, float], dry: bool
) -> None:
    list(client.map("acme/picky", numbers(1), journal=journal, price=7.0))
    service.gate.set()
    list(client.map("acme/patient", numbers(2), journal=journal))
    before = content(journal)
    found = reconciled(client, journal, dry=dry, **price)
    assert (found.priced, found.unpriced, found.changed) == (2, 0, [])
    costs = [each["cost"] for each in content(journal)]
    if dry:
        assert content(journal) == before
    else:
        each = [price.get("price") or 2.0 * row["seconds"] for row in before[1:]]
        assert costs == pytest.approx([7.0, *each])
        assert reconciled(client, journal, **price).priced == 0


def test_rows_that_end_without_a_cost_among_others_are_warned_of(
    service: Service, client: Client, journal: Path
) -> None:
    with left(service, client, journal, 2):
        assert reconciled(client, journal, price=0.5).priced == 0
        list(client.map("acme/picky", numbers(1), journal=journal, price=7.0))
        service.gate.set()
    found = reconciled(client, journal)
    assert (len(found.changed), found.unpriced) == (2, 2)
    found = reconciled(client, journal, price=0.5)
    assert (found.priced, found.unpriced) == (2, 0)


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("linked", [True, False])
def test_a_dry_run_leaves_every_byte_of_a_journal_of_an_older_version(
    service: Service, client: Client, journal: Path, log: bool, linked: bool
) -> None:
    folder = journal.with_name("journals")
    folder.mkdir()
    real = folder / "old.sqlite"
    with left(service, client, real, 2):
        service.gate.set()
    with closing(sqlite3.connect(real, isolation_level=None)) as connection:
        for table in ("accounts", "redacted", "labels", "creators", "senders", "identity", "shared"):
            connection.execute(f"DROP TABLE {table}")
        if not log:
            connection.execute("PRAGMA journal_mode = DELETE")
        kept = {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    (folder / "old.sqlite-shm").unlink(missing_ok=True)
    real.chmod(0o644)
    if linked:
        journal.symlink_to(real)

    def files() -> dict[str, Any]:
        found = [each for each in folder.iterdir() if each.is_file()]
        return {each.name: (each.read_bytes(), each.stat().st_mode) for each in found}

    before = files()
    found = reconciled(client, journal if linked else real, dry=True)
    assert [(each.before, each.now) for each in found.changed] == [("created", "finished")] * 2
    assert files() == before
    assert ("old.sqlite-wal" in before) is log


@pytest.mark.parametrize("content", [b"no journal", b"SQLite format 3\0" + bytes(200)])
def test_a_dry_run_names_the_file_that_is_no_journal(client: Client, journal: Path, content: bytes) -> None:
    journal.write_bytes(content)
    with pytest.raises(JournalError, match=re.escape(str(journal))):
        reconciled(client, journal, dry=True)
    assert journal.read_bytes() == content
