"""What plugins and functions of the caller's raise in a batch: named, of their row alone, and never in silence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import BatchError, Client, Reference, hookimpl
from replicate_kit.batch import Plan, Progress, Result
from replicate_kit.errors import FileError, InputError, MissingExtraError, PluginError, ReplicateError
from replicate_kit.storage import SaveTo
from replicate_kit.testing.suites import Drive

from .conftest import Service, numbers


class Odd(Exception):
    """An error of somebody else's."""


class Shelf:
    """A plugin that stores files, and fails at some."""

    def __init__(self, error: BaseException | None = None, hook: str = "", *, later: bool = False) -> None:
        self.error, self.hook, self.later = error, hook, later
        self.stored = 0

    def fails(self, hook: str, *, later: bool) -> None:
        if self.error is not None and self.hook == hook and self.later == later:
            raise self.error

    @hookimpl
    def replicate_check_target(self, target: Any) -> Any:
        self.fails("check", later=False)
        return self.check()

    async def check(self) -> None:
        self.fails("check", later=True)

    @hookimpl
    def replicate_store_output(self, file: Any, target: Any) -> Any:
        if str(file) != "data:," and "hill" in target.stem:
            self.fails("store", later=False)
        return self.put(target)

    async def put(self, target: Any) -> str:
        if "hill" in target.stem:
            self.fails("store", later=True)
        self.stored += 1
        return f"shelf:{target.stem}"

    @hookimpl
    def replicate_record_files(self, files: Any) -> Any:
        self.fails("record", later=False)
        return self.record()

    async def record(self) -> None:
        self.fails("record", later=True)


TEXTS = [{"text": text} for text in ("sea", "hill", "moor", "fen")]
ODD = [
    Odd("boom"),
    KeyError("boom"),
    RecursionError("boom"),
    SystemExit(3),
    MissingExtraError("x", "y"),
    OSError("boom"),
]
NAMES = [type(each).__name__ for each in ODD]


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("error", ODD, ids=NAMES)
def test_a_file_that_a_plugin_cannot_store_is_an_error_of_its_row_and_stored_the_next_time(
    service: Service, journal: Path, error: BaseException, later: bool
) -> None:
    with service.client(plugins=[Shelf(error, "store", later=later)]) as client:
        batch = client.map("acme/pictures", TEXTS, save_to="shelf:", journal=journal)
        results = list(batch)
    assert [each.error is None for each in results] == [True, False, True, True]
    failed = results[1].error
    assert failed is not None
    assert failed.prediction is not None
    assert failed.prediction.id == results[1].prediction_id
    assert "'Shelf-" in str(failed) or isinstance(failed, MissingExtraError)
    assert type(error).__name__ in str(failed) or isinstance(failed, MissingExtraError)
    if isinstance(failed, PluginError):
        assert failed.hook == "replicate_store_output"
    assert (batch.progress.done, batch.progress.failed) == (4, 1)
    with service.client(plugins=[Shelf()]) as client:
        again = list(client.map("acme/pictures", TEXTS, save_to="shelf:", journal=journal))
    assert all(each.error is None for each in again)
    assert service.creates == 4


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("error", ODD, ids=NAMES)
@pytest.mark.parametrize("errors", ["collect", "raise"])
def test_records_that_a_plugin_cannot_keep_are_told_and_lose_no_result(
    service: Service, journal: Path, error: BaseException, later: bool, errors: Any
) -> None:
    given: list[Result] = []
    place = SaveTo("shelf:", manifest=True)
    with service.client(plugins=[Shelf(error, "record", later=later)]) as client:
        batch = client.map("acme/pictures", TEXTS, save_to=place, journal=journal, errors=errors)
        with pytest.raises(BatchError) as caught:
            given.extend(batch)
    assert [each.error for each in given] == [None] * 4
    assert [each.output for each in caught.value.results] == [each.output for each in given]
    cause = caught.value.__cause__
    assert "'Shelf-" in str(cause) or "'Shelf-" in str(getattr(cause, "__notes__", ""))
    assert batch.progress.failed == 0


def test_a_failure_and_records_that_cannot_be_kept_are_both_told(
    service: Service, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Both(Shelf):
        @hookimpl
        def replicate_decode_output(self, value: Any, prediction: Any) -> None:
            if prediction.input.get("text") == "never":
                raise Odd("no")

    rows = [{"text": "sea"}, {"text": 7}]
    caplog.set_level(logging.INFO, "replicate_kit")
    place = SaveTo("shelf:", manifest=True)
    with (
        service.client(plugins=[Both(Odd("no list"), "record")]) as client,
        pytest.raises(BatchError) as caught,
    ):
        list(client.map("acme/pictures", rows, save_to=place, journal=journal))
    assert "no list" in str(caught.value)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("error", ODD, ids=NAMES)
def test_a_target_that_cannot_be_checked_costs_nothing(
    service: Service, journal: Path, error: BaseException, later: bool
) -> None:
    kind = type(error) if isinstance(error, MissingExtraError | OSError) else PluginError
    with (
        service.client(plugins=[Shelf(error, "check", later=later)]) as client,
        pytest.raises(kind) as caught,
    ):
        list(client.map("acme/pictures", TEXTS, save_to="shelf:", journal=journal))
    assert "'Shelf-" in f"{caught.value}{getattr(caught.value, '__notes__', '')}"
    assert service.creates == 0


class Strange:
    """A value that only a plugin can encode."""


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("error", [Odd("boom"), KeyError("boom"), InputError("boom")])
def test_a_value_that_a_plugin_cannot_encode_is_a_problem_of_its_row(
    service: Service, error: Exception, later: bool
) -> None:
    class Encoder:
        @hookimpl
        def replicate_encode_input(self, value: Any) -> Any:
            if not isinstance(value, Strange):
                return None
            if later:
                return self.encode()
            raise error

        async def encode(self) -> Any:
            raise error

    rows = [*numbers(3), {"n": Strange()}]
    with service.client(plugins=[Encoder()]) as client:
        batch = client.map("acme/double", rows)
        results = list(batch)
        with pytest.raises(InputError, match="boom"):
            list(client.map("acme/double", rows, errors="raise"))
    assert [each.status for each in results] == ["succeeded"] * 3 + ["invalid"]
    assert "boom" in str(results[3].error)
    assert ("'Encoder-" in str(results[3].error)) == (not isinstance(error, InputError))
    assert batch.progress.failed == 1
    assert service.creates == 3


@pytest.mark.parametrize("error", [Odd("boom"), KeyError("boom"), OSError("boom"), FileError("boom")])
def test_a_file_that_a_plugin_cannot_fetch_for_a_row_is_that_rows_error(
    service: Service, error: Exception
) -> None:
    @service.simulator.model("acme/size")
    def size(image: Path) -> int:
        return 1

    class Fetcher:
        @hookimpl
        def replicate_encode_input(self, value: Any) -> Any:
            if "bad" in value:
                raise error
            return "data:,x"

    rows = [{"image": f"vault://{name}"} for name in ("good", "bad", "fine")]
    with service.client(plugins=[Fetcher()]) as client:
        batch = client.map("acme/size", rows)
        results = list(batch)
    assert [each.status for each in results] == ["succeeded", "rejected", "succeeded"]
    assert "boom" in str(results[1].error)
    assert batch.progress.failed == 1
    assert service.creates == 2


def test_a_reference_that_a_plugin_cannot_read_costs_nothing(service: Service) -> None:
    class Parser:
        @hookimpl
        def replicate_parse_reference(self, ref: str) -> Reference:
            raise Odd("boom")

    with (
        service.client(plugins=[Parser()]) as client,
        pytest.raises(PluginError, match=r"'Parser-.*Odd: boom"),
    ):
        list(client.map("acme/double", numbers(3)))
    assert service.creates == 0


@pytest.mark.parametrize("where", ["decoded", "stored"])
def test_what_the_journal_cannot_hold_is_an_error_of_its_row(
    service: Service, journal: Path, where: str
) -> None:
    class Odder(Shelf):
        @hookimpl
        def replicate_decode_output(self, value: Any, prediction: Any) -> Any:
            return [object()] if where == "decoded" and prediction.id == bad else None

        async def put(self, target: Any) -> Any:
            return (
                object() if where == "stored" and target.prediction_id == bad else await super().put(target)
            )

    bad = ""
    with service.client() as client:
        bad = str(list(client.map("acme/pictures", TEXTS, journal=journal))[1].prediction_id)
    with service.client(plugins=[Odder()]) as client:
        results = list(client.map("acme/pictures", TEXTS, save_to="shelf:", journal=journal))
    assert [each.error is None for each in results] == [True, False, True, True]
    assert isinstance(results[1].error, PluginError)
    with service.client(plugins=[Shelf()]) as client:
        again = client.map("acme/pictures", TEXTS, save_to="shelf:", journal=journal)
        assert all(each.error is None for each in again)
    assert service.creates == 4


def test_an_observer_that_fails_costs_nobody_a_result(service: Service) -> None:
    class Observer:
        @hookimpl
        def replicate_prediction_changed(self, prediction: Any) -> None:
            raise Odd("boom")

    with service.client(plugins=[Observer()]) as client:
        assert [each.output for each in client.map("acme/double", numbers(5))] == [0, 2, 4, 6, 8]
        assert client.run("acme/double", {"n": 4}) == 8


# Functions and objects of the caller's.


@pytest.mark.parametrize("error", [Odd("boom"), KeyError("boom"), RecursionError("boom"), FileError("boom")])
def test_stems_that_fail_for_a_row_are_that_rows_error(
    service: Service, journal: Path, error: Exception
) -> None:
    def stems(index: int, input: Mapping[str, Any]) -> str:
        if index == 1:
            raise error
        return f"row-{index}"

    def named(index: int, input: Mapping[str, Any]) -> str:
        return f"row-{index}"

    with service.client(plugins=[Shelf()]) as client:
        batch = client.map("acme/pictures", TEXTS, save_to="shelf:", stems=stems, journal=journal)
        results = list(batch)
        assert [each.error is None for each in results] == [True, False, True, True]
        failed = results[1].error
        assert isinstance(failed, FileError)
        assert f"stems=, called with 1 and the input, raised {type(error).__name__}: " in str(failed)
        assert (batch.progress.failed, service.creates) == (1, 3)  # it is known before the row is paid for
        with pytest.raises(BatchError, match="stems=") as caught:
            list(
                client.map(
                    "acme/pictures", TEXTS, save_to="shelf:", stems=stems, journal=journal, errors="raise"
                )
            )
        assert len(caught.value.results) == 4
        again = list(client.map("acme/pictures", TEXTS, save_to="shelf:", stems=named, journal=journal))
    assert [each.output for each in again] == [[f"shelf:row-{index}"] for index in range(4)]
    assert service.creates == 4


@pytest.mark.parametrize("error", [Odd("boom"), ValueError("boom")])
@pytest.mark.parametrize("count", [0, 3, 499, 500, 1200])
def test_inputs_that_fail_on_their_way_cost_nothing_and_say_where(
    service: Service, client: Client, error: Exception, count: int
) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield from numbers(count)
        raise error

    for call in (lambda: list(client.map("acme/double", rows())), lambda: client.plan("acme/double", rows())):
        with pytest.raises(type(error), match="boom") as caught:
            call()
        notes = "\n".join(caught.value.__notes__)
        assert "the inputs (a generator)" in notes
        assert f"{count} row{'' if count == 1 else 's'} came before that. Nothing was created." in notes
    assert service.creates == 0


class Unreadable(Mapping[str, Any]):
    """A row whose values cannot be read."""

    def __getitem__(self, key: str) -> Any:
        raise Odd("boom")

    def __iter__(self) -> Iterator[str]:
        return iter(["n"])

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        raise Odd("not even that")


class Unwalkable:
    """A value that fails as it is looked at."""

    dtype = "odd"

    def tolist(self) -> Any:
        raise Odd("boom")

    def __repr__(self) -> str:
        raise Odd("not even that")


@pytest.mark.parametrize(
    "row", [Unreadable(), {"n": Unwalkable()}, {"n": [Unwalkable()]}], ids=["row", "value", "in"]
)
def test_a_row_whose_own_objects_fail_is_an_invalid_one(service: Service, client: Client, row: Any) -> None:
    results = list(client.map("acme/double", [*numbers(3), row]))
    assert [each.status for each in results] == ["succeeded"] * 3 + ["invalid"]
    assert "the row cannot be read: Odd: boom" in str(results[3].error)


@pytest.mark.parametrize(
    "row", [{"n\ud800": Unwalkable()}, {"n\ud800": object()}, {"n": object(), "\ud800": 1}]
)
def test_a_fault_that_quotes_half_a_character_is_written_down(
    service: Service, client: Client, row: Any
) -> None:
    results = list(client.map("acme/double", [row, {"n": 1}]))
    assert [each.status for each in results] == ["invalid", "succeeded"]


def test_on_plan_is_named_by_what_it_raises(service: Service, client: Client) -> None:
    def refuse(plan: Plan) -> None:
        raise Odd("too much")

    with pytest.raises(Odd, match="too much") as caught:
        list(client.map("acme/double", numbers(3), on_plan=refuse))
    assert caught.value.__notes__ == ["Raised by on_plan=, before anything was created."]
    assert service.creates == 0


def test_progress_is_named_by_what_it_raises_and_what_was_taken_is_still_given(
    service: Service, client: Client, journal: Path
) -> None:
    def fail(progress: Progress) -> None:
        if progress.done:
            raise Odd("no more ink")

    batch = client.map("acme/double", numbers(5), progress=fail, journal=journal)
    with pytest.raises(Odd, match="no more ink") as caught:
        list(batch)
    assert "Raised by progress=." in caught.value.__notes__
    assert all(each.error is None for each in batch)  # what the run had handed over
    assert len(list(client.map("acme/double", numbers(5), journal=journal))) == 5


def test_a_store_that_cancels_the_task_that_waits_for_it_stops_the_run_with_an_error(
    service: Service, journal: Path
) -> None:
    with (
        service.client(plugins=[Shelf(asyncio.CancelledError(), "store", later=True)]) as client,
        pytest.raises(BatchError, match="canceled from within") as caught,
    ):
        list(client.map("acme/pictures", TEXTS, save_to="shelf:", journal=journal))
    assert all(each.index != 1 for each in caught.value.results)
    with service.client(plugins=[Shelf()]) as client:
        assert all(
            each.error is None
            for each in client.map("acme/pictures", TEXTS, save_to="shelf:", journal=journal)
        )
    assert service.creates == 4


def test_a_run_that_fails_while_it_is_left_says_so(
    service: Service, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = SaveTo("shelf:", manifest=True)
    with service.client(plugins=[Shelf(Odd("no list"), "record")]) as client:
        with client.map("acme/pictures", TEXTS, save_to=place, journal=journal) as batch:
            next(batch)
        assert "The run failed while it was being stopped" in caplog.text
        assert "Odd: no list" in caplog.text


def test_async_map_treats_them_alike(service: Service, journal: Path, drive: Drive) -> None:
    async def taken(client: Client) -> list[Result]:
        batch = client.async_map("acme/pictures", TEXTS, save_to="shelf:", journal=journal)
        return [each async for each in batch]

    with service.client(plugins=[Shelf(Odd("boom"), "store")]) as client:
        results = drive(taken(client))
    assert [each.error is None for each in results] == [True, False, True, True]
    assert isinstance(results[1].error, ReplicateError)
