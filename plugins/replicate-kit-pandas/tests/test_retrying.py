"""`retry=` with an earlier result: what failed runs again, the rest stays, and nothing is paid twice."""

from __future__ import annotations

import asyncio
import io
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import trio

from replicate_kit import Budget, Client, Progress
from replicate_kit.batch.accessors._earlier import AGAIN
from replicate_kit.errors import (
    BatchError,
    ConfigError,
    FileError,
    InputError,
    ModelError,
    OutputExpired,
    UnknownPrediction,
)
from replicate_kit.simulator import Clock, Fault, Simulator, sleep
from replicate_kit_pandas import RowsFailed, accessor_of


class Moods:
    """Models that fail for the texts in `bad`, and count what they were paid for."""

    def __init__(self, simulator: Simulator) -> None:
        self.bad: set[str] = set()
        self.paid: Counter[str] = Counter()
        self.gate = threading.Event()

        @simulator.model("acme/echo")
        def echo(text: str, times: int = 1) -> str:
            return self.take(text).upper() * times

        @simulator.model("acme/parts")
        def parts(text: str) -> dict[str, Any]:
            return {"text": self.take(text)}

        @simulator.model("acme/count")
        def count(text: str) -> int:
            return len(self.take(text))

        @simulator.model("acme/list")
        def listed(text: str) -> list[str]:
            return list(self.take(text))

        @simulator.model("acme/pictures")
        def pictures(text: str, count: int = 1) -> list[bytes]:
            return [self.take(text).encode()] * count

        @simulator.model("acme/patient")
        def patient(text: str) -> str:
            while not self.gate.is_set():
                sleep(0.01)
            return self.take(text)

    def take(self, text: str) -> str:
        self.paid[text] += 1
        if text in self.bad:
            raise ValueError(f"no {text} today")
        return text


@pytest.fixture
def moods(simulator: Simulator) -> Moods:
    return Moods(simulator)


@pytest.fixture
def texts() -> pd.Series[str]:
    return pd.Series(["a", "b", "c", None], index=["x", "y", "y", "z"], name="text")


def parquet(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(frame.to_parquet()))


def plain(series: Any) -> list[Any]:
    return [None if null else each for each, null in zip(series.tolist(), series.isna(), strict=True)]


def failing(
    data: Any, moods: Moods, client: Client, *bad: str, model: str = "acme/echo", **options: Any
) -> Any:
    """Run a model that fails for some texts, and give the error."""
    moods.bad.update(bad)
    with pytest.raises(RowsFailed) as caught:
        data.replicate.run(model, client=client, **options)
    moods.bad.clear()
    return caught.value


FORMS: dict[str, Callable[[Any], Any]] = {
    "error": lambda error: error,
    "partial": lambda error: error.partial,
    "parquet": lambda error: parquet(error.partial),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("details", [False, True])
def test_failed_rows_alone_run_again(
    form: Callable[[Any], Any], details: bool, texts: pd.Series[str], moods: Moods, client: Client
) -> None:
    error = failing(texts, moods, client, "b", details=True, price=1.0)
    result: Any = texts.replicate.run("acme/echo", client=client, details=details, retry=form(error))
    pd.testing.assert_index_equal(result.index, texts.index)
    assert plain(result["output"] if details else result) == ["A", "B", "C", None]
    assert moods.paid == {"a": 1, "b": 2, "c": 1}
    if details:
        assert result["status"].tolist() == ["succeeded"] * 3 + ["null"]
        assert result["error"].isna().all()
        assert plain(result["cost"]) == [1.0, None, 1.0, None]
        assert result["prediction_id"].tolist()[0] == error.partial["prediction_id"].tolist()[0]
        pd.testing.assert_frame_equal(parquet(result), result)


@pytest.mark.parametrize("details", [False, True])
def test_an_error_of_a_run_without_details_is_enough(
    details: bool, texts: pd.Series[str], moods: Moods, client: Client
) -> None:
    error = failing(texts, moods, client, "b")
    assert error.statuses.tolist() == ["succeeded", "failed", "succeeded", "null"]
    pd.testing.assert_index_equal(error.statuses.index, texts.index)
    result: Any = texts.replicate.run("acme/echo", client=client, details=details, retry=error)
    assert plain(result["output"] if details else result) == ["A", "B", "C", None]
    assert moods.paid == {"a": 1, "b": 2, "c": 1}
    if details:
        assert result["prediction_id"].notna().tolist() == [False, True, False, False]
        assert result["status"].tolist() == ["succeeded"] * 3 + ["null"]
        parquet(result)


def test_what_fails_again_is_retried_again(texts: pd.Series[str], moods: Moods, client: Client) -> None:
    error = failing(texts, moods, client, "a", "b")
    error = failing(texts, moods, client, "b", retry=error)
    assert error.errors.index.tolist() == ["y"]
    assert isinstance(error.errors["y"], ModelError)
    assert plain(error.partial) == ["A", None, "C", None]
    assert plain(texts.replicate.run("acme/echo", client=client, retry=error)) == ["A", "B", "C", None]
    assert moods.paid == {"a": 2, "b": 3, "c": 1}
    whole = texts.replicate.run("acme/echo", client=client, details=True)
    before = moods.paid.total()
    again = texts.replicate.run("acme/echo", client=client, details=True, retry=whole)
    pd.testing.assert_frame_equal(again, whole)
    assert moods.paid.total() == before


def test_collected_errors_are_retried_in_all_ways_to_run(
    texts: pd.Series[str], moods: Moods, client: Client, simulator: Simulator
) -> None:
    moods.bad.update("bc")
    earlier = texts.replicate.run("acme/echo", client=client, details=True, errors="collect")
    moods.bad.clear()
    options: dict[str, Any] = {"client": client, "retry": earlier}
    created = simulator.created
    plan = texts.replicate.plan("acme/echo", details=True, **options)
    assert (plan.rows, plan.to_pay, simulator.created) == (2, 2, created)
    found = [
        (label, result.index, result.output) for label, result in texts.replicate.iter("acme/echo", **options)
    ]
    assert sorted(found) == [("y", 1, "B"), ("y", 2, "C")]

    async def run() -> Any:
        return await texts.replicate.async_run("acme/echo", **options)

    async def iterate() -> list[Any]:
        async with aclosing(texts.replicate.async_iter("acme/echo", **options)) as rows:
            return [result.index async for _, result in rows]

    assert plain(asyncio.run(run())) == plain(trio.run(run)) == ["A", "B", "C", None]
    assert sorted(asyncio.run(iterate())) == sorted(trio.run(iterate)) == [1, 2]
    assert moods.paid["a"] == 1


def test_rows_of_a_frame_with_levels_keep_their_labels(moods: Moods, client: Client) -> None:
    index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("b", 2)], names=["one", "two"])
    frame = pd.DataFrame({"text": ["p", "q", "r"], "times": [1, 2, 3]}, index=index)
    error = failing(frame, moods, client, "p", "r", details=True)
    seen = []
    result = frame.replicate.run(
        "acme/echo", client=client, retry=parquet(error.partial), on_plan=lambda plan: seen.append(plan.rows)
    )
    assert (result.tolist(), seen) == (["P", "QQ", "RRR"], [2])
    pd.testing.assert_index_equal(result.index, index)


def test_no_rows_are_retried_as_none(moods: Moods, client: Client) -> None:
    for data in (pd.Series([], dtype=object, name="text"), pd.DataFrame({"text": []})):
        earlier = data.replicate.run("acme/echo", client=client, details=True)
        again = data.replicate.run("acme/echo", client=client, details=True, retry=parquet(earlier))
        pd.testing.assert_frame_equal(again, earlier)
    assert not moods.paid


def test_rows_that_were_corrected_run(moods: Moods, client: Client) -> None:
    frame = pd.DataFrame({"text": ["a", None, "c", None], "times": [1, 1, "many", 1]})
    earlier = frame.replicate.run("acme/echo", client=client, details=True, errors="collect")
    assert earlier["status"].tolist() == ["succeeded", "null", "invalid", "null"]
    frame.loc[1, "text"] = "b"
    with pytest.raises(InputError, match=r"(?s)1 of 2 rows.*row 2:.*input.times"):
        frame.replicate.run("acme/echo", client=client, retry=earlier)
    frame.loc[2, "times"] = 2
    result = frame.replicate.run("acme/echo", client=client, details=True, retry=earlier)
    assert result["status"].tolist() == ["succeeded", "succeeded", "succeeded", "null"]
    assert plain(result["output"]) == ["A", "B", "CC", None]
    assert moods.paid == {"a": 1, "b": 1, "c": 1}


def test_rows_beyond_the_limit_keep_what_they_had(
    texts: pd.Series[str], moods: Moods, client: Client
) -> None:
    error = failing(texts, moods, client, "a", "b", details=True)
    moods.bad.add("b")
    result = texts.replicate.run("acme/echo", client=client, details=True, retry=error, limit=1)
    assert result["status"].tolist() == ["succeeded", "failed", "succeeded", "null"]
    assert "no b today" in result["error"].tolist()[1]
    assert moods.paid == {"a": 2, "b": 1, "c": 1}
    moods.bad.clear()
    first = texts.replicate.run("acme/echo", client=client, details=True, limit=1)
    rest = texts.replicate.run("acme/echo", client=client, details=True, retry=first)
    assert plain(rest["output"]) == ["A", "B", "C", None]
    assert moods.paid == {"a": 3, "b": 2, "c": 2}


def test_what_a_budget_left_out_and_what_did_not_finish_runs(moods: Moods, client: Client) -> None:
    series = pd.Series(["a", "b", "c"], name="text")
    with pytest.raises(RowsFailed) as caught:
        series.replicate.run("acme/echo", client=client, budget=Budget(predictions=1), concurrency=1)
    assert Counter(caught.value.statuses) == {"succeeded": 1, "skipped": 2}
    assert series.replicate.run("acme/echo", client=client, retry=caught.value).tolist() == ["A", "B", "C"]
    assert moods.paid == {"a": 1, "b": 1, "c": 1}


def test_a_run_that_was_ended_goes_on(simulator: Simulator) -> None:
    moods, series = Moods(simulator), pd.Series(["a", None, "b", "c"], name="text")
    down = Fault(operation="*.create", calls=set(range(2, 1000)), refuse=True)
    with Simulator(faults=[down]) as failing, Client(backend=failing) as client:
        broken = Moods(failing)
        with pytest.raises(BatchError) as caught:
            series.replicate.run("acme/echo", client=client, patience=0.2, concurrency=1)
    assert caught.value.statuses.tolist() == ["succeeded", "null", "unfinished", "unfinished"]  # type: ignore[attr-defined]
    limit = TimeoutError()
    limit.__cause__ = caught.value  # as asyncio.timeout and its like make it
    with Client(backend=simulator) as client:
        assert plain(series.replicate.run("acme/echo", client=client, retry=limit)) == ["A", None, "B", "C"]
    assert broken.paid + moods.paid == {"a": 1, "b": 1, "c": 1}


def test_what_was_in_flight_is_taken_up_with_the_journal(
    moods: Moods, client: Client, tmp_path: Path
) -> None:
    series = pd.Series(["a", "b"], name="text")
    options: dict[str, Any] = {"client": client, "journal": tmp_path / "journal.sqlite"}

    def stop(progress: Progress) -> None:
        if progress.in_flight == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough") as caught:
        series.replicate.run("acme/patient", progress=stop, on_interrupt="detach", **options)
    assert caught.value.statuses.tolist() == ["unfinished"] * 2  # type: ignore[attr-defined]
    moods.gate.set()
    assert series.replicate.run("acme/patient", retry=caught.value, **options).tolist() == ["a", "b"]
    assert moods.paid == {"a": 1, "b": 1}


# With a journal.


def test_with_a_journal_failed_rows_are_paid_again_and_no_other(
    texts: pd.Series[str], moods: Moods, client: Client, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.sqlite"
    error = failing(texts, moods, client, "b", journal=journal)
    assert failing(texts, moods, client, "b", journal=journal).statuses.tolist()[1] == "failed"
    assert moods.paid["b"] == 1
    result = texts.replicate.run("acme/echo", client=client, journal=journal, retry=error)
    assert plain(result) == ["A", "B", "C", None]
    assert texts.replicate.plan("acme/echo", client=client, journal=journal).to_pay == 0
    assert moods.paid == {"a": 1, "b": 2, "c": 1}


def test_rows_that_share_no_prediction_are_left_to_the_journal(
    moods: Moods, client: Client, tmp_path: Path
) -> None:
    series = pd.Series(["a", "a"], name="text")
    options: dict[str, Any] = {"client": client, "dedupe": False, "journal": tmp_path / "journal.sqlite"}
    earlier = series.replicate.run("acme/echo", details=True, **options)
    with pytest.raises(ConfigError, match=r"retry=\('failed', 'expired'\).*Nothing was created"):
        series.replicate.run("acme/echo", retry=earlier, **options)
    assert series.replicate.run("acme/echo", retry=("failed", "expired"), **options).tolist() == ["A", "A"]
    assert moods.paid == {"a": 2}
    del options["journal"]
    earlier["status"] = ["succeeded", "failed"]
    assert series.replicate.run("acme/echo", retry=earlier, **options).tolist() == ["A", "A"]
    assert moods.paid == {"a": 3}


@pytest.mark.parametrize("details", [False, True])
def test_what_could_not_be_stored_is_stored_from_the_journal_alone(
    details: bool, moods: Moods, client: Client, tmp_path: Path
) -> None:
    series = pd.Series(["a", "b"], index=["x", "y"], name="text")
    folder, journal = tmp_path / "out", tmp_path / "journal.sqlite"
    options: dict[str, Any] = {
        "client": client,
        "save_to": str(folder),
        "stems": lambda row, input: f"row-{row}",
    }
    folder.mkdir()
    (folder / "row-1.bin").mkdir()  # no file can be written there

    with pytest.raises(RowsFailed) as caught:
        series.replicate.run("acme/pictures", details=details, journal=journal, **options)
    error = caught.value
    assert error.statuses.tolist() == ["succeeded", "succeeded"]
    assert isinstance(error.errors["y"], FileError)
    (folder / "row-1.bin").rmdir()
    for elsewhere in ({}, {"journal": tmp_path / "other.sqlite"}):
        with pytest.raises(RowsFailed) as kept:
            series.replicate.run("acme/pictures", details=details, retry=error, **options, **elsewhere)
        assert kept.value.errors["y"] is error.errors["y"]
        if details:
            with pytest.raises(RowsFailed, match=r"row 'y': ReplicateError: File 0 of"):
                series.replicate.run("acme/pictures", retry=parquet(error.partial), **options, **elsewhere)
    result = series.replicate.run("acme/pictures", retry=error, journal=journal, **options)
    assert [Path(each).read_text() for each in result] == ["a", "b"]
    assert [Path(each).name for each in result] == ["row-0.bin", "row-1.bin"]
    assert moods.paid == {"a": 1, "b": 1}


@pytest.mark.parametrize("details", [False, True])
def test_an_output_that_cannot_be_read_is_not_paid_again(
    details: bool, client: Client, simulator: Simulator, tmp_path: Path
) -> None:
    @simulator.model("acme/deep")
    def deep(text: str) -> Any:
        found: Any = text
        for _ in range(900):
            found = [found]
        return found

    series = pd.Series(["a", "b"], index=["x", "y"], name="text")
    for journal in (None, tmp_path / "journal.sqlite"):
        before = simulator.created
        with pytest.raises(RowsFailed) as caught:
            series.replicate.run("acme/deep", client=client, details=details, journal=journal)
        with pytest.raises(
            RowsFailed
        ) as first:  # rows beyond the limit keep their errors, and are not raised
            series.replicate.run("acme/deep", client=client, retry=caught.value, journal=journal, limit=1)
        with pytest.raises(RowsFailed) as both:
            series.replicate.run("acme/deep", client=client, retry=first.value, journal=journal)
        assert caught.value.statuses.tolist() == both.value.statuses.tolist() == ["succeeded"] * 2
        assert first.value.errors.index.tolist() == ["x"]
        assert both.value.errors.index.tolist() == ["x", "y"]
        assert simulator.created == before + 2


def test_what_has_expired_is_paid_again(tmp_path: Path) -> None:
    clock, series = Clock(), pd.Series(["a", "b"], name="text")
    options: dict[str, Any] = {"save_to": str(tmp_path / "out"), "journal": tmp_path / "journal.sqlite"}
    with Simulator(clock=clock) as simulator, Client(backend=simulator) as client:
        moods = Moods(simulator)
        first = series.replicate.run("acme/pictures", client=client, **options)
        clock.advance(2 * 3600)
        Path(first[1]).unlink()
        with pytest.raises(RowsFailed) as caught:
            series.replicate.run("acme/pictures", client=client, **options)
        assert isinstance(caught.value.errors[1], OutputExpired)
        again = series.replicate.run("acme/pictures", client=client, retry=caught.value, **options)
        assert [Path(each).read_text() for each in again] == ["a", "b"]
        assert moods.paid == {"a": 1, "b": 2}


def test_files_of_rows_that_stay_are_not_overwritten(moods: Moods, client: Client, tmp_path: Path) -> None:
    series = pd.Series([None, "a", "b"], name="text")
    options: dict[str, Any] = {"client": client, "save_to": f"{tmp_path}/out/{{row:03}}{{ext}}"}
    error = failing(series, moods, client, "b", model="acme/pictures", save_to=options["save_to"])
    result = series.replicate.run("acme/pictures", retry=error, **options)
    assert [Path(each).name for each in result.dropna()] == ["001.bin", "002.bin"]
    assert [Path(each).read_text() for each in result.dropna()] == ["a", "b"]


# Rows that are unknown.


@pytest.fixture
def unknown(texts: pd.Series[str], monkeypatch: pytest.MonkeyPatch) -> RowsFailed:
    """An error of a run with a row of which it is unknown what became of it."""
    monkeypatch.setattr("replicate_kit.resources._jobs.lifecycle.APPEARS_WITHIN", 0.1)  # seconds
    lost = Fault(operation="predictions.get", status=404)
    with Simulator(faults=[lost]) as simulator, Client(backend=simulator, poll_interval=0.05) as client:
        moods = Moods(simulator)
        with pytest.raises(RowsFailed) as caught:
            texts[:2].replicate.run("acme/patient", client=client, details=True, limit=1)
        moods.gate.set()
    assert caught.value.statuses.tolist() == ["unknown", "skipped"]
    return caught.value


def test_unknown_rows_are_not_paid_again(
    texts: pd.Series[str], unknown: RowsFailed, moods: Moods, client: Client, tmp_path: Path
) -> None:
    error = unknown
    assert isinstance(error.partial, pd.DataFrame)
    for given in (error, error.partial, parquet(error.partial)):
        for journal in (None, tmp_path / "journal.sqlite"):
            with pytest.raises(RowsFailed, match=r"row 'x': UnknownPrediction: ") as caught:
                texts[:2].replicate.run("acme/echo", client=client, retry=given, journal=journal)
            assert plain(caught.value.partial) == [None, "B"]
            assert caught.value.statuses.tolist() == ["unknown", "succeeded"]
            assert isinstance(caught.value.errors["x"], UnknownPrediction)
            assert str(caught.value.errors["x"]) == str(error.errors["x"])
    assert caught.value.errors["x"] is not error.errors["x"]
    collected = texts[:2].replicate.run(
        "acme/echo", client=client, retry=caught.value, details=True, errors="collect"
    )
    assert collected["error"].tolist()[0] == str(error.errors["x"])
    assert set(moods.paid) == {"b"}


def test_an_unknown_row_without_a_text_says_what_it_is(client: Client, moods: Moods) -> None:
    earlier = pd.DataFrame({"output": [None], "status": ["unknown"]})
    with pytest.raises(RowsFailed, match="may have been paid for"):
        pd.Series(["a"], name="text").replicate.run("acme/echo", client=client, retry=earlier)
    assert not moods.paid


# Outputs of all kinds.


@pytest.mark.parametrize(
    ("model", "outputs", "texts"),
    [
        ("acme/echo", ["AA", "BB"], ["AA", "BB"]),
        ("acme/count", [2, 2], [2, 2]),
        ("acme/list", [["a", "a"], ["b", "b"]], [["a", "a"], ["b", "b"]]),
        ("acme/parts", [{"text": "aa"}, {"text": "bb"}], ['{"text": "aa"}', '{"text": "bb"}']),
    ],
)
def test_outputs_stand_beside_those_that_were_kept(
    model: str, outputs: list[Any], texts: list[Any], moods: Moods, client: Client
) -> None:
    series = pd.Series(["aa", "bb"], name="text")
    error = failing(series, moods, client, "bb", model=model)
    assert series.replicate.run(model, client=client, retry=error).tolist() == outputs
    detailed = failing(series, moods, client, "bb", model=model, details=True).partial
    for earlier in (error, detailed, parquet(detailed)):
        frame = series.replicate.run(model, client=client, retry=earlier, details=True)
        assert frame["output"].tolist() == texts
        parquet(frame)
    mixed = series.replicate.run(model, client=client, retry=parquet(detailed))
    assert mixed.tolist() == [texts[0], outputs[1]]  # what was kept stands as it stood


@pytest.mark.parametrize(
    ("files", "kept", "new", "lengths"),
    [
        ("auto", 1, 1, [None, None]),
        ("auto", 1, 2, [1, 2]),
        ("auto", 2, 1, [2, 1]),
        ("list", 1, 1, [1, 1]),
        ("first", 2, 2, [None, None]),
    ],
)
@pytest.mark.parametrize("details", [False, True])
def test_files_are_arranged_like_those_that_were_kept(
    files: Any, kept: int, new: int, lengths: list[int | None], details: bool, moods: Moods, client: Client
) -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "count": [kept, new]})
    error = failing(frame, moods, client, "b", model="acme/pictures", details=True)
    earlier = parquet(error.partial)
    result: Any = frame.replicate.run(
        "acme/pictures", client=client, retry=earlier, details=details, files=files
    )
    outputs = (result["output"] if details else result).tolist()
    assert [len(each) if isinstance(each, list) else None for each in outputs] == lengths
    exploded = frame.replicate.run("acme/pictures", client=client, retry=earlier, files="explode")
    assert exploded.index.tolist() == [0] * kept + [1] * new
    assert all(each.startswith("https://") for each in exploded)


@pytest.mark.parametrize("details", [False, True])
def test_files_are_arranged_where_nothing_runs_again(details: bool, moods: Moods, client: Client) -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "count": [2, 1]})
    earlier = frame.replicate.run("acme/pictures", client=client, details=True)

    def again(files: Any) -> list[Any]:
        result: Any = frame.replicate.run(
            "acme/pictures", client=client, retry=earlier, details=details, files=files
        )
        return list(result["output"] if details else result)

    lists = again("list")
    assert [len(each) for each in lists] == [2, 1]
    assert again("auto") == lists
    assert again("first") == [lists[0][0], lists[1][0]]
    assert again("explode") == [*lists[0], *lists[1]]
    assert moods.paid == {"a": 1, "b": 1}


def test_tables_of_others_are_refused_without_their_content(
    texts: pd.Series[str], moods: Moods, client: Client
) -> None:
    for retry in ({"output": ["SECRET"]}, 5, np.array(["SECRET"])):
        with pytest.raises(ConfigError, match=f"retry= is a {type(retry).__name__}") as caught:
            texts.replicate.run("acme/echo", client=client, retry=retry)
        assert "SECRET" not in str(caught.value)
    assert not moods.paid


# What is refused.


def refused(data: Any, retry: Any, client: Client, match: str, **options: Any) -> None:
    for method in ("run", "plan", "iter"):
        with pytest.raises(InputError, match=match) as caught:
            getattr(accessor_of(data), method)("acme/echo", client=client, retry=retry, **options)
        assert str(caught.value).endswith("Nothing was created.")


def test_other_things_are_refused_before_anything_is_created(
    texts: pd.Series[str], moods: Moods, client: Client
) -> None:
    whole = texts.replicate.run("acme/echo", client=client, details=True)
    refused(texts, whole["output"], client, r"is a Series.*retry=error.*details=True")
    refused(texts, whole[["output"]], client, r"with no columns 'status', where.*details=True")
    refused(texts, whole[["status", "output", "output"]], client, r"with 2 columns 'output', where")
    refused(texts, whole.iloc[:2], client, r"has 2 rows, and the data 4\. Pass the result of these very rows")
    refused(texts, whole.iloc[::-1], client, r"label 'z' in its row 0.*'x'")
    refused(texts, whole.assign(status="done"), client, r"status 'done' in row 'x'.*succeeded")
    refused(texts, whole.assign(status=None), client, r"no status in row 'x'.*fillna\('null'\)")
    refused(texts, ValueError("no"), client, r"is a ValueError without a result")
    with pytest.raises(ConfigError):
        texts.replicate.run("acme/echo", client=client, retry="done")
    assert moods.paid == {"a": 1, "b": 1, "c": 1}


def test_files_in_rows_of_their_own_are_refused(moods: Moods, client: Client) -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "count": [2, 1]}, index=["x", "y"])
    error = failing(frame, moods, client, "b", model="acme/pictures", files="explode", details=True)
    assert error.statuses.tolist() == ["succeeded", "failed"]
    for earlier in (error, error.partial):
        refused(frame, earlier, client, r"has 3 rows, and the data 2.*files='explode'.*files='list'")


def test_labels_may_have_other_types_after_they_were_in_a_file(moods: Moods, client: Client) -> None:
    series = pd.Series(["a", "b"], index=pd.Index([1, np.nan], dtype=object), name="text")
    error = failing(series, moods, client, "b", details=True)
    earlier = error.partial.set_axis(pd.Index([1.0, None], dtype="Float64"))
    assert series.replicate.run("acme/echo", client=client, retry=earlier).tolist() == ["A", "B"]


def test_every_status_is_kept_or_runs(moods: Moods, client: Client) -> None:
    statuses = sorted(AGAIN)
    series = pd.Series(statuses, name="text")
    earlier = pd.DataFrame({"output": None, "status": statuses})
    result = series.replicate.run("acme/echo", client=client, retry=earlier)
    assert result.tolist() == [each.upper() for each in statuses]


def test_texts_still_name_states_of_the_journal(
    texts: pd.Series[str], moods: Moods, client: Client, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"client": client, "journal": tmp_path / "journal.sqlite"}
    failing(texts, moods, client, "b", journal=options["journal"])
    assert plain(texts.replicate.run("acme/echo", retry="failed", **options)) == ["A", "B", "C", None]
