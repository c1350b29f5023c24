"""Services that show inputs otherwise than they were sent, leave things out of lists, or list late.

A run is killed in these stories, as far as the journal can tell: one create was acted on and not answered, and another
was never sent. The first must be adopted or unknown, the second created: nothing is paid twice, nothing is left out.
"""

from __future__ import annotations

import struct
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest

from replicate_kit import Client, Result
from replicate_kit._unresolved.canonical import canonical, digest, fingerprint
from replicate_kit.batch._ledger.tables import open_journal
from replicate_kit.batch.journals import hash_inputs
from replicate_kit.errors import UnknownPrediction
from replicate_kit.schema import Field
from replicate_kit.simulator import Fault

from .bending import bent, predictions
from .conftest import Service

pytestmark = pytest.mark.slow  # a large family

Change = Callable[[dict[str, Any]], None]


def texts(change: Callable[[str], str]) -> Change:
    """Change the prompt, wherever it is shown."""

    def changed(prediction: dict[str, Any]) -> None:
        prediction["input"]["prompt"] = change(prediction["input"]["prompt"])

    return changed


def fields(**more: Any) -> Change:
    """Show more, or other values."""
    return lambda prediction: prediction["input"].update(more)


def single(prediction: dict[str, Any]) -> None:
    """Keep numbers in four bytes."""
    prediction["input"]["scale"] = struct.unpack("f", struct.pack("f", prediction["input"]["scale"]))[0]


def without(name: str) -> Change:
    """Leave an input out."""
    return lambda prediction: prediction["input"].pop(name, None)


def emptied(prediction: dict[str, Any]) -> None:
    """Show no input."""
    prediction["input"] = {}


def removed(prediction: dict[str, Any]) -> None:
    """Say that everything was removed."""
    prediction.update(input={}, output=None, logs="", data_removed=True)


# What is changed, and whether only lists do it.
MANNERS: dict[str, tuple[Change, bool]] = {
    "nothing": (lambda prediction: None, False),
    "secrets": (fields(key="[REDACTED]"), False),
    "defaults": (fields(by=3.0), False),
    "unnamed defaults": (fields(go_fast=True), False),
    "composed": (texts(lambda text: unicodedata.normalize("NFC", text)), False),
    "stripped": (texts(str.strip), False),
    "escaped": (texts(lambda text: text.replace("&", "&amp;")), False),
    "upper case": (texts(str.upper), False),
    "cut": (texts(lambda text: text[:40]), False),
    "cut in lists": (texts(lambda text: text[:40] + "…"), True),
    "hidden": (texts(lambda text: "…"), False),
    "hidden in lists": (texts(lambda text: "…"), True),
    "four bytes": (single, False),
    "left out": (without("prompt"), False),
    "left out of lists": (without("prompt"), True),
    "empty": (emptied, False),
    "empty in lists": (emptied, True),
    "removed in lists": (removed, True),
    "reversed": (
        lambda prediction: prediction.update(input=dict(reversed(prediction["input"].items()))),
        False,
    ),
    "another model": (lambda prediction: prediction.update(model="acme/renamed"), False),
    "outputs left out of lists": (lambda prediction: prediction.update(output=None), True),
}
TOLD = set(MANNERS) - {"hidden", "left out", "empty", "cut"}
"""Those that leave nothing unknown."""

UNSEEN = {"unnamed defaults", "composed", "stripped", "escaped", "upper case", "four bytes"}
"""Those that can only be told where the inputs of other rows are known."""


def manner(name: str) -> Callable[[httpx.Request, Any], None]:
    """Change what a service shows."""
    change, only_lists = MANNERS[name]

    def bend(request: httpx.Request, body: Any) -> None:
        if "results" in body or not only_lists:
            for each in body.get("results", [body]):
                if isinstance(each.get("input"), dict):
                    change(each)

    return bend


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows with all that may be shown otherwise."""
    prompt = " a cafe\u0301 & a wombat, by the sea, in the rain, at night, number {0} "
    return [
        {"prompt": prompt.format(number), "scale": 0.1 + number, "key": "hunter2"}
        for number in range(start, start + count)
    ]


@pytest.fixture
def service(service: Service) -> Service:
    """A service with a model that takes a secret."""

    @service.simulator.model("acme/paid", workers=64)
    def paid(
        prompt: str, key: Annotated[str, Field(format="password")], scale: float = 1.0, by: int = 3
    ) -> str:
        return f"out: {prompt}"

    return service


def leave(journal: Path, client: Client, input: dict[str, Any], *, acted: bool) -> None:
    """Leave behind what a killed run leaves between its intent and the answer."""
    open_journal(journal).close()
    before = time.time() - 1.0
    if acted:
        client.predictions.create(model="acme/paid", input=input)
    leave_intent(journal, input, since=time.time() - before)


def leave_intent(journal: Path, input: dict[str, Any], since: float) -> None:
    """Write down a create that was begun so many seconds ago, and never answered."""
    text = canonical(input)
    connection = open_journal(journal)
    connection.execute(
        "INSERT INTO items (key, sample, state, run, model, input, fingerprint, sent_at, settled_at) "
        "VALUES (?, 0, 'intent', 'dead', 'acme/paid', ?, ?, ?, ?)",
        (digest("acme/paid", text), text, fingerprint(input), time.time() - since, time.time() + 0.5),
    )
    connection.close()


def check(results: list[Result], name: str) -> None:
    """See that all is well, but for a first row of which it cannot be told what became of it."""
    first, *others = results
    assert [each.output for each in others] == [f"out: {row['prompt']}" for row in rows(3, 1)]
    if first.error is None:
        assert first.output == f"out: {rows(1)[0]['prompt']}"
    else:
        assert isinstance(first.error, UnknownPrediction)
        assert name not in TOLD


@pytest.mark.parametrize("name", MANNERS)
def test_a_create_that_was_acted_on_is_never_paid_again(name: str, service: Service, journal: Path) -> None:
    with bent(service, manner(name)) as client:
        leave(journal, client, rows(1)[0], acted=True)
        results = list(client.map("acme/paid", rows(4), journal=journal))
    assert service.creates == 4
    assert all(
        each.output == f"out: {row['prompt']}"
        for each, row in zip(results, rows(4), strict=True)
        if each.error is None
    )
    assert all(each.error is None for each in results[1:])
    assert (results[0].error is None) or isinstance(results[0].error, UnknownPrediction)
    assert (results[0].error is None) or name not in TOLD


@pytest.mark.parametrize("name", MANNERS)
@pytest.mark.parametrize("again", [0, 2, 4])
def test_a_create_that_was_acted_on_is_never_paid_again_by_a_journal_that_keeps_no_inputs(
    name: str, again: int, service: Service, journal: Path
) -> None:
    with bent(service, manner(name)) as client:
        list(client.map("acme/paid", rows(3, 1), journal=journal, journal_inputs="hash"))
        leave(journal, client, rows(1)[0], acted=True)
        hash_inputs(journal)  # the run that was killed wrote none, either
        results = list(
            client.map("acme/paid", [*rows(1), *rows(again, 1)], journal=journal, journal_inputs="hash")
        )
    assert service.creates == 4 + (again > 3)
    assert results[0].error is None or isinstance(results[0].error, UnknownPrediction)
    # Without any row that is known, it cannot be seen what the server does to them.
    assert (results[0].error is None) or name not in TOLD or (not again and name in UNSEEN)
    assert all(each.error is None for each in results[1:])


@pytest.mark.parametrize("name", MANNERS)
def test_a_create_that_was_never_sent_is_created_though_others_use_the_model(
    name: str, service: Service, journal: Path
) -> None:
    with bent(service, manner(name)) as client:
        leave(journal, client, rows(1)[0], acted=False)
        for number in range(3):  # another program's
            input = {"prompt": f" foxes, 1{number} & more ", "scale": 2.5, "key": "swordfish"}
            client.predictions.create(model="acme/paid", input=input)
        results = list(client.map("acme/paid", rows(4), journal=journal))
    check(results, name)
    assert service.creates == 3 + 3 + (results[0].error is None)


def test_a_model_that_is_shown_by_another_name_before_any_is_known_leaves_a_row_unknown(
    service: Service,
) -> None:
    service.simulator.faults.add(Fault(operation="*.create", calls={1}, cut=True, acted=True))
    with bent(service, manner("another model")) as client:
        (result,) = client.map("acme/paid", rows(1))
    assert isinstance(result.error, UnknownPrediction)
    assert service.creates == 1


@pytest.mark.parametrize("only_lists", [True, False])
def test_a_text_that_is_cut_to_another_rows_is_not_taken_for_that_row(
    service: Service, journal: Path, only_lists: bool
) -> None:
    service.simulator.faults.add(Fault(operation="*.create", probability=0.4, cut=True, acted=True))

    def cut(request: httpx.Request, body: Any) -> None:
        if "results" in body or not only_lists:
            for each in predictions(body):
                each["input"]["prompt"] = each["input"]["prompt"][:5]

    inputs = [{"prompt": f"row-{number}", "key": "hunter2"} for number in range(40)]
    with bent(service, cut) as client:
        results = list(client.map("acme/paid", inputs, journal=journal))
    assert service.creates == 40
    assert [each.output for each in results if each.error is None] == [
        f"out: row-{each.index}" for each in results if each.error is None
    ]
    assert all(each.error is None for each in results) or not only_lists


@pytest.mark.parametrize("timeout", [0.3, 1.0])
@pytest.mark.parametrize("behind", [1.0, 2.0])
def test_a_list_that_is_behind_proves_no_absence_however_short_our_own_timeout_is(
    service: Service, settling: Callable[[float], None], timeout: float, behind: float
) -> None:
    settling(behind + 2.0)
    service.simulator.faults.add(Fault(operation="*.create", calls={2}, cut=True, acted=True))
    with bent(service, lagging(behind), timeout=timeout) as client:
        results = list(client.map("acme/paid", rows(3), concurrency=1))
    assert [each.error for each in results] == [None] * 3
    assert service.creates == 3


def lagging(seconds: float) -> Callable[[httpx.Request, Any], None]:
    """A list that shows predictions late."""
    born: dict[str, float] = {}

    def bend(request: httpx.Request, body: Any) -> None:
        for each in body.get("results", []):
            born.setdefault(each["id"], time.monotonic())
        if "results" in body:
            body["results"] = [
                each for each in body["results"] if time.monotonic() - born[each["id"]] >= seconds
            ]

    return bend


def hiding(known: Callable[[dict[str, Any]], bool]) -> Callable[[httpx.Request, Any], None]:
    """A list that leaves out some predictions for good."""

    def bend(request: httpx.Request, body: Any) -> None:
        if "results" in body:
            body["results"] = [each for each in body["results"] if not known(each)]

    return bend


def test_a_list_that_leaves_out_what_is_known_to_exist_proves_no_absence(
    service: Service, settling: Callable[[float], None], journal: Path
) -> None:
    settling(0.5)
    service.simulator.faults.add(Fault(operation="*.create", calls={2}, cut=True, acted=True))
    with bent(service, hiding(lambda each: True), timeout=0.2) as client:
        first, second, third = client.map("acme/paid", rows(3), journal=journal, concurrency=3)
    assert (first.error, third.error) == (None, None)
    assert isinstance(second.error, UnknownPrediction)
    assert service.creates == 3


def test_a_list_that_shows_all_that_is_known_proves_absence(
    service: Service, settling: Callable[[float], None], journal: Path
) -> None:
    settling(0.5)
    service.simulator.faults.add(Fault(operation="*.create", calls={2}, cut=True))
    with bent(service, timeout=0.2) as client:
        results = list(client.map("acme/paid", rows(3), journal=journal))
    assert [each.error for each in results] == [None] * 3
    assert service.creates == 3


def test_a_token_of_another_account_proves_no_absence(
    service: Service, settling: Callable[[float], None], journal: Path
) -> None:
    settling(0.5)
    with service.client() as client:
        list(client.map("acme/paid", rows(2), journal=journal))
        leave_intent(journal, rows(1, 2)[0], since=2.0)

    def nothing(request: httpx.Request, body: Any) -> httpx.Response | None:
        if "results" in body:
            body["results"] = []
        elif request.method == "GET":
            return httpx.Response(404, json={"detail": "not found"}, request=request)
        return None

    with bent(service, nothing, timeout=0.2) as client:
        *_, last = client.map("acme/paid", rows(3), journal=journal)
    assert isinstance(last.error, UnknownPrediction)
    assert service.creates == 2
