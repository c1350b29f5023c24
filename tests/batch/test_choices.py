"""What is paid is a choice: no look, word or change of a file makes it for you."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import BatchError, Budget, Client
from replicate_kit.batch import Result, journals
from replicate_kit.batch._engine.limits import Bucket
from replicate_kit.errors import JournalError
from replicate_kit.simulator import Fault

from .bending import bent, list_nothing
from .conftest import Service, numbers


def test_a_plan_with_a_newer_version_does_not_make_it_the_one_that_counts(
    service: Service, client: Client, journal: Path
) -> None:
    list(client.map("acme/community", numbers(3), journal=journal))

    @service.simulator.model("acme/community", official=False)
    def community(n: int, more: int = 1) -> int:
        return n + more

    def refuse(plan: object) -> None:
        raise RuntimeError("too dear")

    with service.client() as later:
        assert later.plan("acme/community", numbers(3), journal=journal, refresh_version=True).to_pay == 3
        with pytest.raises(RuntimeError, match="too dear"):
            later.map(
                "acme/community", numbers(3), journal=journal, refresh_version=True, on_plan=refuse
            ).start()
        assert [each.output for each in later.map("acme/community", numbers(3), journal=journal)] == [0, 1, 2]
    assert service.creates == 3


def test_a_models_own_please_try_again_is_not_tried_again(service: Service, client: Client) -> None:
    @service.simulator.model("acme/prim")
    def prim(n: int) -> int:
        raise ValueError("NSFW content detected. Please try again with a different prompt.")

    list(client.map("acme/prim", numbers(1)))
    assert service.creates == 1


def test_a_file_that_was_changed_after_the_plan_is_not_sent_for_the_old_one(
    service: Service, client: Client, tmp_path: Path
) -> None:
    @service.simulator.model("acme/size")
    def size(image: Path) -> int:
        return len(image.read_bytes())

    file = tmp_path / "picture"
    file.write_bytes(b"abc")

    def change(plan: object) -> None:
        file.write_bytes(b"abcdef")

    (result,) = client.map("acme/size", [{"image": file}], on_plan=change)
    assert result.status == "rejected"
    assert "was changed" in str(result.error)
    assert service.creates == 0


def test_a_row_of_unknown_fate_keeps_its_part_of_the_budget_and_holds_nobody_up(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(faults=[Fault(operation="*.create", calls={1}, cut=True, acted=True)])

    done: list[Result] = []
    with bent(service, list_nothing) as client:
        batch = client.map("acme/double", numbers(3), budget=Budget(predictions=2))
        taking = threading.Thread(target=lambda: done.extend(batch), daemon=True)
        taking.start()
        taking.join(30)
    assert sorted(each.status for each in done) == ["skipped", "succeeded", "unknown"]


def test_failures_that_the_journal_remembers_are_raised_as_well(
    service: Service, client: Client, journal: Path
) -> None:
    list(client.map("acme/picky", numbers(3, 36), journal=journal))
    with pytest.raises(BatchError, match="no 37"):
        list(client.map("acme/picky", numbers(9, 36), journal=journal, errors="raise"))
    assert service.creates == 3


def test_results_that_wait_to_be_taken_are_not_pruned_away(
    service: Service, client: Client, journal: Path
) -> None:
    with client.map("acme/double", numbers(5), journal=journal) as batch:
        while batch.progress.done < 5:
            time.sleep(0.01)
        with pytest.raises(JournalError, match="Stop it first"):
            journals.prune(journal)
        assert [each.output for each in batch] == [0, 2, 4, 6, 8]
    assert journals.prune(journal) == 5


def test_refusals_without_end_leave_a_rate_to_come_back_from() -> None:
    now = [0.0]
    bucket = Bucket(10.0, 10.0, lambda: now[0])

    def take() -> Any:
        while wait := bucket.ready_in():
            now[0] += wait + 1e-6
        return bucket.take()

    for _ in range(300):
        take()
        bucket.refused(2.0)
    began = now[0]
    for _ in range(1000):
        bucket.told({}, take())
    assert now[0] - began < 600
    assert bucket.rate == pytest.approx(10.0)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_file_that_the_api_does_not_take_is_its_rows_error_and_creates_nothing(
    service: Service, client: Client, tmp_path: Path, status: int
) -> None:
    refused = weigh(service, client, tmp_path, Fault(operation="files.create", times=1, status=status))
    assert [(each.status, each.error is None) for each in refused] == [
        ("rejected", False),
        ("succeeded", True),
    ]
    assert service.creates == 1
    again = weigh(service, client, tmp_path)
    assert [each.output for each in again] == [400_000, 400_001]
    assert service.creates == 2


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429, "retry_after": 0}, {"cut": True}], ids=str
)
def test_an_upload_that_fails_for_a_while_is_tried_again(
    service: Service, client: Client, tmp_path: Path, fault: dict[str, Any]
) -> None:
    with service.client(retries=0) as client:
        results = weigh(service, client, tmp_path, Fault(operation="files.create", times=2, **fault))
    assert [each.output for each in results] == [400_000, 400_001]
    assert service.creates == 2


def weigh(service: Service, client: Client, folder: Path, *faults: Fault) -> list[Result]:
    """Run a model over two files that are too large to be sent within the input."""

    @service.simulator.model("acme/weigh")
    def weigh(file: Path) -> int:
        return len(file.read_bytes())

    for number in range(2):
        (folder / str(number)).write_bytes(b"x" * (400_000 + number))
    for each in faults:
        service.simulator.faults.add(each)
    inputs = [{"file": folder / str(number)} for number in range(2)]
    return list(client.map("acme/weigh", inputs, journal=folder / "weigh.sqlite", concurrency=1))


def test_a_failure_that_could_not_be_tried_again_is_not_paid_for_without_being_asked(
    service: Service, client: Client, journal: Path, tmp_path: Path
) -> None:
    def stems(index: int, input: Any) -> str:
        raise ValueError("no name")

    row = numbers(1, 37)
    list(client.map("acme/picky", row, journal=journal))
    options: Any = {"retry": ("failed",), "save_to": tmp_path / "out", "stems": stems}
    (refused,) = client.map("acme/picky", row, journal=journal, **options)
    assert "no name" in str(refused.error)
    (again,) = client.map("acme/picky", row, journal=journal)
    assert again.error is not None
    assert service.creates == 1
