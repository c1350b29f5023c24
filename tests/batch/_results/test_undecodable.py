"""Outputs that cannot be decoded: an error of their row, of no other, and free once that is mended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from replicate_kit import BatchError, Client, hookimpl
from replicate_kit.batch import Result
from replicate_kit.errors import (
    FileError,
    InputError,
    InvalidResponse,
    ModelError,
    PluginError,
    ReplicateError,
)
from replicate_kit.testing.suites import Drive

from ..bending import bent
from ..conftest import Service, numbers

pytestmark = pytest.mark.slow  # a large family


class Odd(Exception):
    """An error of somebody else's."""


class Decoder:
    """A plugin that cannot decode the outputs of some rows of acme/double."""

    def __init__(self, error: BaseException, *bad: int) -> None:
        self.error, self.bad = error, bad

    @hookimpl
    def replicate_decode_output(self, value: Any) -> Any:
        if value in [2 * each for each in self.bad]:
            raise self.error
        return None


ODD = [
    KeyError("boom"),
    Odd("boom"),
    RecursionError("boom"),
    MemoryError("boom"),
    SystemExit(3),
    StopIteration("boom"),
]
NAMES = [type(each).__name__ for each in ODD]


def checked(results: list[Result], *bad: int) -> list[Result]:
    """The results of rows that fail; all others are as they should be."""
    for each in results:
        if each.index not in bad:
            assert (each.output, each.error, each.status) == (2 * each.index, None, "succeeded")
    return [each for each in results if each.index in bad]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("error", ODD, ids=NAMES)
def test_a_row_that_a_plugin_cannot_decode_has_an_error_and_all_others_are_given(
    service: Service, journal: Path, error: BaseException, ordered: bool
) -> None:
    with service.client(plugins=[Decoder(error, 7)]) as client:
        batch = client.map("acme/double", numbers(50), journal=journal, ordered=ordered)
        results = list(batch)
    assert sorted(each.index for each in results) == list(range(50))
    (failed,) = checked(results, 7)
    assert isinstance(failed.error, PluginError)
    assert failed.error.hook == "replicate_decode_output"
    assert f"The plugin 'Decoder-{id(0):x}'"[:20] in str(failed.error)
    assert type(error).__name__ in str(failed.error)
    assert failed.error.__cause__ is error
    assert failed.error.prediction is not None
    assert failed.error.prediction.id == failed.prediction_id
    assert failed.error.prediction["output"] == 14
    assert (failed.output, failed.status, failed.files) == (None, "succeeded", ())
    assert (batch.progress.done, batch.progress.failed) == (50, 1)


@pytest.mark.parametrize(
    "error", [InputError("no"), FileError("no"), ReplicateError("no"), InvalidResponse("no")]
)
def test_an_error_of_ours_that_a_plugin_raises_for_several_rows_is_each_rows_own(
    service: Service, journal: Path, error: ReplicateError
) -> None:
    with service.client(plugins=[Decoder(error, 3, 7)]) as client:
        first, second = checked(list(client.map("acme/double", numbers(10), journal=journal)), 3, 7)
    for each in (first, second):
        assert type(each.error) is type(error)
        assert str(each.error) == "no"
        assert each.error is not None
        assert each.error.prediction is not None
        assert each.error.prediction.id == each.prediction_id
        assert "Raised by the plugin 'Decoder-" in each.error.__notes__[0]
        assert len(each.error.__notes__) == 2
    assert first.prediction_id != second.prediction_id


def test_once_the_plugin_is_mended_the_output_is_free(service: Service, journal: Path) -> None:
    bad = (0, 7, 49)
    with service.client(plugins=[Decoder(Odd("boom"), *bad)]) as client:
        assert len(checked(list(client.map("acme/double", numbers(50), journal=journal)), *bad)) == 3
        again = client.map("acme/double", numbers(50), journal=journal)  # not mended yet
        assert len(checked(list(again), *bad)) == 3
        assert (again.progress.done, again.progress.failed, again.progress.cached) == (50, 3, 50)
    assert service.creates == 50
    with service.client() as client:
        results = list(client.map("acme/double", numbers(50), journal=journal))
    assert checked(results) == []
    assert all(each.cached for each in results)
    assert service.creates == 50


def test_a_journal_that_nobody_named_is_kept_for_what_could_not_be_decoded(service: Service) -> None:
    with service.client(plugins=[Decoder(Odd("boom"), 7)]) as client:
        batch = client.map("acme/double", numbers(10))
        checked(list(batch), 7)
    assert batch.journal is not None
    assert Path(batch.journal).exists()
    with service.client() as client:
        assert checked(list(client.map("acme/double", numbers(10), journal=batch.journal))) == []
    assert service.creates == 10


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("bad", [(0,), (3, 7), tuple(range(20))], ids=["first", "two", "all"])
def test_with_errors_raise_the_run_stops_and_the_error_carries_what_there_is(
    service: Service, journal: Path, ordered: bool, bad: tuple[int, ...]
) -> None:
    with service.client(plugins=[Decoder(Odd("boom"), *bad)]) as client:
        batch = client.map(
            "acme/double", numbers(20), journal=journal, errors="raise", ordered=ordered, concurrency=2
        )
        given: list[Result] = []
        with pytest.raises(BatchError, match="'Decoder-") as caught:
            given.extend(batch)  # which keeps what came before it raised
    error, results = caught.value, caught.value.results
    assert isinstance(error.__cause__, PluginError)
    assert error.prediction is not None
    assert {each.index for each in given} <= {each.index for each in results}
    checked(results, *bad)
    progress = batch.progress
    assert progress.done == len(results)
    assert progress.failed == sum(each.error is not None for each in results) > 0
    assert f"{len(results)} of 20 rows done" in str(error)
    before = service.creates
    with service.client() as client:
        assert checked(list(client.map("acme/double", numbers(20), journal=journal, errors="raise"))) == []
    assert service.creates <= 20 + 2  # what was in flight was canceled
    assert before < 20 or bad != (0,)


@pytest.mark.parametrize("ordered", [True, False])
def test_with_errors_raise_a_cached_row_that_cannot_be_decoded_stops_before_anything_is_paid(
    service: Service, journal: Path, ordered: bool
) -> None:
    with service.client() as client:
        list(client.map("acme/double", numbers(600), journal=journal))
    with service.client(plugins=[Decoder(Odd("boom"), 555)]) as client:
        batch = client.map("acme/double", numbers(700), journal=journal, errors="raise", ordered=ordered)
        with pytest.raises(BatchError, match="'Decoder-") as caught:
            list(batch)
    assert service.creates == 600
    assert len(caught.value.results) == 600
    assert batch.progress.failed == 1


def test_copies_of_a_row_that_cannot_be_decoded_are_counted_each(service: Service, journal: Path) -> None:
    rows = [{"n": 7}, {"n": 1}, {"n": 7}, {"n": 7}]
    with service.client(plugins=[Decoder(Odd("boom"), 7)]) as client:
        batch = client.map("acme/double", rows, journal=journal)
        results = list(batch)
    assert [each.error is None for each in results] == [False, True, False, False]
    assert batch.progress.failed == 3


def test_what_is_known_of_the_prediction_is_told_to_who_decodes(service: Service) -> None:
    seen: list[Any] = []

    class Plugin:
        @hookimpl
        def replicate_decode_output(self, value: Any, prediction: Any) -> Any:
            seen.append((prediction.model, bool(prediction.id), prediction.status, prediction.input))
            return value + 1

    with service.client(plugins=[Plugin()]) as client:
        (result,) = client.map("acme/double", numbers(1))
    assert result.output == 1
    assert seen == [("acme/double", True, "succeeded", {"n": 0})]


def test_async_map_is_alike(service: Service, journal: Path, drive: Drive) -> None:
    async def taken(client: Client) -> list[Result]:
        return [each async for each in client.async_map("acme/double", numbers(50), journal=journal)]

    with service.client(plugins=[Decoder(Odd("boom"), 7)]) as client:
        assert len(checked(drive(taken(client)), 7)) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize("errors", ["collect", "raise"])
def test_what_stops_a_program_or_a_task_is_not_swallowed(
    service: Service, journal: Path, error: type[BaseException], errors: Any
) -> None:
    with service.client(plugins=[Decoder(error(), 7)]) as client, pytest.raises(error):
        list(client.map("acme/double", numbers(50), journal=journal, errors=errors))
    with service.client() as client:
        assert checked(list(client.map("acme/double", numbers(50), journal=journal))) == []
    assert service.creates <= 100


def test_a_delivery_that_fails_is_the_failure_of_the_run(
    service: Service, client: Client, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from replicate_kit.batch._results.delivery import Delivery

    async def broken(self: Delivery) -> list[Result]:
        raise Odd("a bug")

    monkeypatch.setattr(Delivery, "_chunk", broken)
    with pytest.raises(BatchError, match="Odd: a bug") as caught:
        list(client.map("acme/double", numbers(5), journal=journal))
    assert isinstance(caught.value.__cause__, Odd)


def test_inputs_that_have_become_shorter_lose_no_result(
    service: Service, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    rows = numbers(10)
    with client.map("acme/double", rows) as batch:
        rows.clear()
        results = list(batch)
    assert [each.output for each in results] == [2 * n for n in range(10)]
    assert [each.input for each in results] == numbers(10)
    assert "the inputs (a list) raised IndexError" in caplog.text
    assert caplog.text.count("the inputs") == 1


# Nested deep.


def nested(depth: int, kind: str = "list") -> str:
    """JSON as deep as that."""
    return '{"a":' * depth + "1" + "}" * depth if kind == "dict" else "[" * depth + "]" * depth


def showing(service: Service, output: str) -> Client:
    """A client whose service gives this JSON as the output for n=7, wherever it shows that."""

    def bend(request: httpx.Request, body: Any) -> httpx.Response:
        for each in body.get("results", [body]):
            if each.get("output") == 14:
                each["output"] = "instead"
        text = json.dumps(body).replace('"instead"', output)
        return httpx.Response(200, content=text.encode(), request=request)

    return bent(service, bend)


def deep(service: Service, depth: int, kind: str = "list") -> Client:
    """The same with an output as deep as that."""
    return showing(service, nested(depth, kind))


@pytest.mark.parametrize("kind", ["list", "dict"])
@pytest.mark.parametrize("depth", [100, 600, 699])
def test_outputs_that_python_can_read_are_given_however_deep(
    service: Service, journal: Path, depth: int, kind: str
) -> None:
    with deep(service, depth, kind) as client:
        results = list(client.map("acme/double", numbers(10), journal=journal))
        (found,) = checked(results, 7)
        assert found.error is None
        assert json.dumps(found.output, separators=(",", ":")) == nested(depth, kind)
        again = list(client.map("acme/double", numbers(10), journal=journal))
        assert again[7].output == found.output
    assert service.creates == 10


@pytest.mark.parametrize(
    ("count", "depth", "kind"),
    [
        *((10, depth, "list") for depth in (701, 900, 950, 985, 1500, 100_000)),
        (10, 701, "dict"),
        (10, 100_000, "dict"),
        (1, 100_000, "list"),
        (50, 100_000, "list"),
    ],
)
def test_deeper_ones_are_an_error_of_their_row(
    service: Service, journal: Path, count: int, depth: int, kind: str
) -> None:
    rows = numbers(count, 7 if count == 1 else 0)
    with deep(service, depth, kind) as client:
        batch = client.map("acme/double", rows, journal=journal)
        results = list(batch)
        (found,) = results if count == 1 else checked(results, 7)
        assert isinstance(found.error, InvalidResponse)
        assert "nested more than 700 levels" in str(found.error)
        assert str(found.prediction_id) in str(found.error)
        assert found.error.prediction is not None
        assert (batch.progress.done, batch.progress.failed) == (count, 1)
        again = list(client.map("acme/double", rows, journal=journal))
        assert sum(each.error is not None for each in again) == 1
    assert service.creates == count


def test_a_deep_output_stops_a_run_that_raises(service: Service, journal: Path) -> None:
    with deep(service, 100_000) as client, pytest.raises(BatchError, match="nested more than 700") as caught:
        list(client.map("acme/double", numbers(20), journal=journal, errors="raise"))
    assert isinstance(caught.value.__cause__, InvalidResponse)


# Python 3.13 reads more levels than those before it, which read about 1000.
@pytest.mark.parametrize("depth", [20_000, 100_000])
def test_everything_else_that_reads_a_deep_body_says_so_cleanly(service: Service, depth: int) -> None:
    with deep(service, depth) as client:
        created = client.predictions.create("acme/double", {"n": 7})
        with service.client() as other:
            other.predictions.get(created.id).wait()
        calls: list[Callable[[], Any]] = [
            lambda: client.predictions.get(created.id),
            lambda: list(client.predictions.list()),
            lambda: created.wait(),
        ]
        for call in calls:
            with pytest.raises(InvalidResponse, match="nested too deep for Python"):
                call()
        with pytest.raises(ReplicateError, match=r"which is about [a-z0-9]+, is nested too deep") as caught:
            client.run("acme/double", {"n": 7})
        assert isinstance(
            caught.value if caught.value.prediction else caught.value.__cause__, InvalidResponse
        )


@pytest.mark.parametrize("depth", [201, 470, 500, 600, 900, 5000])
@pytest.mark.parametrize("model", ["acme/double", "acme/nested"])
def test_a_row_that_is_nested_too_deep_is_an_invalid_one(service: Service, depth: int, model: str) -> None:
    @service.simulator.model("acme/nested")
    def nested_model(n: list) -> int:  # type: ignore[type-arg]
        return 1

    row: Any = {}
    for _ in range(depth):
        row = [row]
    with service.client() as client:
        results = list(client.map(model, [{"n": row}, {"n": 1 if model == "acme/double" else [1]}]))
    assert [each.status for each in results] == ["invalid", "succeeded"]
    assert "nested more than 200 levels" in str(results[0].error)


def test_a_row_that_contains_itself_is_an_invalid_one(service: Service, client: Client) -> None:
    row: dict[str, Any] = {"n": []}
    row["n"] += [row["n"], row["n"]]
    results = list(client.map("acme/double", [row, {"n": 1}]))
    assert [each.status for each in results] == ["invalid", "succeeded"]


def test_a_number_of_thousands_of_digits_is_given_as_a_text(service: Service, journal: Path) -> None:
    with showing(service, "9" * 5000) as client:
        (found,) = checked(list(client.map("acme/double", numbers(20), journal=journal)), 7)
    assert found.output == "9" * 5000


# Errors that were written down come back, whatever they take to be made.


def test_every_kind_of_error_can_be_written_down_and_made_again(service: Service, client: Client) -> None:
    from replicate_kit import errors
    from replicate_kit._formats.references import Reference
    from replicate_kit.batch._results.results import Known, Results, error_json
    from replicate_kit.resources._running.running import Runnable

    results = Results(
        cast("Any", None), cast("Any", None), Runnable(Reference.parse("acme/double")), client.session
    )
    kinds = [getattr(errors, name) for name in errors.__all__]
    for kind in kinds:
        error = kind.__new__(kind, "said")
        error.args = ("said",)
        if issubclass(kind, errors.APIError):
            error = kind("said", status=418, body={"a": 1})
        elif issubclass(kind, errors.PluginError):
            error = kind("said", plugin="odd", hook="replicate_store_output")
        made = results._error(json.loads(json.dumps(error_json(error))), Known("abc", "succeeded"))
        assert type(made) is kind
        assert str(made) == "said"
        assert made.prediction is not None
        assert made.prediction.id == "abc"

    class Mine(FileError):
        """A plugin's own."""

    assert error_json(Mine("x"))["kind"] == "FileError"
    assert error_json(KeyError("x")) == {"kind": "ReplicateError", "message": "KeyError: 'x'"}
    assert type(results._error({"kind": "ModelError", "message": "x"}, Known(None, None))) is ModelError
