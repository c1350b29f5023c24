from __future__ import annotations

import asyncio
import io
import signal
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
import trio
from PIL import Image

import replicate_kit
from replicate_kit import Client
from replicate_kit.batch import Plan, Progress
from replicate_kit.errors import BatchError, ConfigError, InputError, ModelError, NotFound, ReplicateError
from replicate_kit.simulator import Clock, Fault, Simulator, sleep
from replicate_kit_pandas import RowsFailed, accessor_of, col, template

from .conftest import publish

DETAILS = ["output", "status", "error", "prediction_id", "seconds", "cached", "cost"]


def outputs(series: Any) -> list[Any]:
    return [None if each is None or each is pd.NA or each != each else each for each in series.tolist()]


# A Series.


def test_series_gives_outputs_with_its_index(texts: pd.Series[str], client: Client) -> None:
    result = texts.replicate.run("acme/shout", {"times": 2}, client=client)
    expected = pd.Series(["A!!", "B!!", "C!!"], index=texts.index, name="output")
    pd.testing.assert_series_equal(result, expected)


@pytest.mark.parametrize(
    "dtype", [object, "str", "string", "string[pyarrow]", "category", pd.ArrowDtype], ids=str
)
def test_nulls_are_skipped_and_null(dtype: Any, client: Client, simulator: Simulator) -> None:
    if dtype is pd.ArrowDtype:
        dtype = pd.ArrowDtype(pyarrow.string())
    values: list[Any] = ["a", "b", None] if dtype != "str" else ["a", "b", float("nan")]
    series = pd.Series(values, dtype=object, name="text").astype(dtype)
    if dtype == "str":
        series = series.where([True, True, False])
    assert outputs(series.replicate.run("acme/shout", client=client)) == ["A!", "B!", None]
    assert simulator.created == 2


def test_duplicate_index_and_prompt_make_two_calls() -> None:
    proofs = pytest.importorskip("tests.batch.proofs", reason="is in the repository")
    assert proofs.frame_with_duplicates() == proofs.Figures(rows=4, calls=2, returned=3)


def test_index_of_several_levels_is_kept(client: Client) -> None:
    index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("b", 2)], names=["one", "two"])
    result = pd.Series(["x", "y", "z"], index=index, name="text").replicate.run("acme/shout", client=client)
    pd.testing.assert_index_equal(result.index, index)
    assert outputs(result) == ["X!", "Y!", "Z!"]


@pytest.mark.parametrize(
    "series", [pd.Series([], dtype=object), pd.Series([None, None])], ids=["empty", "nulls"]
)
def test_nothing_to_run_gives_nothing(series: pd.Series[Any], client: Client, simulator: Simulator) -> None:
    result = series.replicate.run("acme/shout", into="text", client=client)
    assert outputs(result) == [None] * len(series)
    details = series.replicate.run("acme/shout", into="text", client=client, details=True)
    assert details.columns.tolist() == DETAILS
    assert simulator.created == 0


def test_numbers_become_whole_where_the_model_wants_them(client: Client) -> None:
    result = pd.Series([1.0, None, 3.0], name="a").replicate.run("acme/sum", {"b": 0.5}, client=client)
    assert outputs(result) == [1.5, None, 3.5]


def test_series_stands_in_a_template(texts: pd.Series[str], client: Client) -> None:
    result = texts.replicate.run("acme/shout", {"text": template("{} and {text}")}, client=client)
    assert result.iloc[0] == "A AND A!"


def test_pieces_of_a_text_are_joined(client: Client) -> None:
    result = pd.Series(["a b c"]).replicate.run("acme/words", client=client)
    assert result.tolist() == ["abc"]


def test_only_required_input_is_filled(client: Client) -> None:
    assert pd.Series(["a"], name="caption").replicate.run("acme/shout", client=client).tolist() == ["A!"]


# A DataFrame.


def test_frame_maps_columns_templates_functions_and_constants(client: Client) -> None:
    frame = pd.DataFrame({"title": ["sea", "hill"], "year": [1842, 1830]}, index=["a", "b"])
    input = {"first": template("{title} ({year})"), "second": lambda row: row["title"][::-1]}
    result = frame.replicate.run("acme/pair", input=input, client=client)
    assert result.tolist() == [
        {"first": "sea (1842)", "second": "aes"},
        {"first": "hill (1830)", "second": "llih"},
    ]
    assert result.index.tolist() == ["a", "b"]


def test_constants_keep_their_braces(client: Client) -> None:
    frame = pd.DataFrame({"title": ["sea"]})
    input = {"first": '{"a": {}}', "second": template("{{title}} {title}")}
    result = frame.replicate.run("acme/pair", input=input, client=client)
    assert result.tolist() == [{"first": '{"a": {}}', "second": "{title} sea"}]


@pytest.mark.parametrize(
    ("input", "message"),
    [
        ("title", r"input= names what fills .*col\('title'\).* not 'title'"),
        (["title"], r"input= names what fills"),
        ({"first": pd.Series(["a"], name="title")}, r"'first' is filled with a Series.*col\('title'\)"),
        ({"first": [pd.Index(["a"])]}, r"'first' is filled with a Index.*col\('…'\)"),
        pytest.param(
            {"first": pd.col("title")} if hasattr(pd, "col") else {},
            r"an expression of pandas.*replicate_kit\.col\('…'\)",
            marks=pytest.mark.skipif(not hasattr(pd, "col"), reason="came with pandas 3"),
        ),
        (
            {"first": col("title"), "second": ["{title} by {x}"]},
            r"'second' would be '{title} by .*template\(",
        ),
        ({"first": "title"}, r"Nothing in input= .*{'first': col\('title'\)}.*dedupe=False"),
        ({}, r"Nothing in input= .*{'prompt': col\('…'\)}"),
    ],
)
def test_input_that_cannot_be_meant_is_refused(
    input: Any, message: str, client: Client, simulator: Simulator
) -> None:
    frame = pd.DataFrame({"title": ["sea", "hill"]})
    with pytest.raises(InputError, match=message) as caught:
        frame.replicate.run("acme/pair", input=input, client=client)
    assert "othing was created" in str(caught.value)
    assert simulator.created == 0


def test_the_same_input_may_be_sampled_for_each_row(client: Client, simulator: Simulator) -> None:
    frame = pd.DataFrame({"title": ["sea", "hill"]})
    frame.replicate.run("acme/pair", input={"first": "same"}, client=client, dedupe=False)
    assert simulator.created == 2


def test_what_is_no_text_is_refused_with_a_hint_where_the_model_wants_one(client: Client) -> None:
    with pytest.raises(InputError, match=r"Numbers become text in a template"):
        pd.Series([1842], name="text").replicate.run("acme/shout", client=client)
    with pytest.raises(InputError, match=r"Dicts become columns with pd\.DataFrame\("):
        pd.Series([{"text": "a"}]).replicate.run("acme/shout", client=client)


def test_frame_without_columns_runs_constants(client: Client, simulator: Simulator) -> None:
    result = pd.DataFrame(index=[1, 2]).replicate.run("acme/shout", input={"text": "a"}, client=client)
    assert result.tolist() == ["A!", "A!"]
    assert simulator.created == 1


def test_files_of_a_column_are_sent(client: Client, tmp_path: Path) -> None:
    (tmp_path / "three.bin").write_bytes(b"abc")
    image = Image.new("RGB", (2, 2))
    frame = pd.DataFrame({"image": [tmp_path / "three.bin", b"12345", image, "data:,1234567", None]})
    sizes = frame.replicate.run("acme/size", input={"image": col("image")}, client=client)
    assert outputs(sizes)[:2] + outputs(sizes)[3:] == [3, 5, 7, None]
    assert sizes.iloc[2] > 50


def test_texts_are_paths_only_where_that_is_said(
    client: Client, simulator: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "three.bin").write_bytes(b"abc")
    frame = pd.DataFrame({"image": [str(tmp_path / "three.bin")]})
    with pytest.raises(InputError, match=r"(?s)not match format 'uri'.*path=True"):
        frame.replicate.run("acme/size", input={"image": col("image")}, client=client)
    assert simulator.created == 0
    sizes = frame.replicate.run("acme/size", input={"image": col("image", path=True)}, client=client)
    assert sizes.tolist() == [3]


def test_frame_fills_the_inputs_that_have_the_names_of_its_columns(client: Client) -> None:
    frame = pd.DataFrame({"text": ["a", "b", None], "times": [2, None, 1], "other": [1, 2, 3]})
    assert outputs(frame.replicate.run("acme/shout", client=client)) == ["A!!", "B!", None]


def test_each_distinct_file_is_uploaded_once(client: Client, simulator: Simulator) -> None:
    large = bytes(300_000)
    frame = pd.DataFrame({"image": [large, large, large + b"1"]})
    sizes = frame.replicate.run("acme/size", input={"image": col("image")}, client=client, dedupe=False)
    assert sizes.tolist() == [300_000, 300_000, 300_001]
    assert simulator.calls["files.create"] == 2


# What is returned.


def test_details_tell_of_each_row(client: Client) -> None:
    series = pd.Series(["a", None, "bad"], index=["x", "y", "z"], name="text")
    frame = series.replicate.run("acme/shout", client=client, details=True, errors="collect", price=0.5)
    assert frame.columns.tolist() == DETAILS
    assert frame["status"].tolist() == ["succeeded", "null", "failed"]
    assert outputs(frame["output"]) == ["A!", None, None]
    assert "cannot be shouted" in frame.loc["z", "error"]
    assert frame["prediction_id"].notna().tolist() == [True, False, True]
    assert frame["cost"].iloc[0] == 0.5
    again = pd.read_parquet(io.BytesIO(frame.to_parquet()))
    pd.testing.assert_frame_equal(again, frame)


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 100, np.int64(1), None])
def test_the_first_rows_alone_may_be_tried(client: Client, simulator: Simulator, limit: Any) -> None:
    texts = pd.Series(["a", None, "b", "c"], index=["x", "y", "x", "z"], name="text")
    frame = texts.replicate.run("acme/shout", client=client, limit=limit, details=True)
    looked_at = min(4, 4 if limit is None else limit)
    tried = texts[:looked_at].notna().sum()
    assert simulator.created == tried
    assert frame.index.tolist() == texts.index.tolist()
    assert frame["output"].dropna().tolist() == ["A!", "B!", "C!"][:tried]
    statuses = ["succeeded", "null", "succeeded", "succeeded"][:looked_at] + ["skipped"] * (4 - looked_at)
    assert frame["status"].tolist() == statuses
    assert len(texts.replicate.run("acme/shout", client=client, limit=limit)) == 4
    assert texts.replicate.plan("acme/shout", client=client, limit=limit).rows == tried
    assert len(list(texts.replicate.iter("acme/shout", client=client, limit=limit))) == tried


def test_functions_see_no_row_beyond_the_limit(client: Client) -> None:
    seen: list[Any] = []
    frame = pd.DataFrame({"title": ["a", "b", "c"]})
    function = lambda row: seen.append(row["title"]) or row["title"]  # noqa: E731
    assert frame.replicate.run("acme/shout", {"text": function}, client=client, limit=1).tolist()[0] == "A!"
    assert seen == ["a"]


@pytest.mark.parametrize("limit", [-1, 1.5, True, "2", float("nan")])
def test_a_limit_that_is_no_count_is_refused(texts: pd.Series[str], client: Client, limit: Any) -> None:
    with pytest.raises(ReplicateError, match="limit"):
        texts.replicate.run("acme/shout", client=client, limit=limit)


def test_urls_are_plain_strings(client: Client) -> None:
    result = pd.Series(["a", "b"], name="content").replicate.run("acme/files", client=client)
    assert [type(each) for each in result] == [str, str]
    assert result.str.startswith("https://files.replicate.test/").all()


def test_several_files_are_arranged_by_choice(client: Client) -> None:
    series = pd.Series(["a", "b"], index=["x", "y"], name="content")
    lists = series.replicate.run("acme/files", {"count": 2}, client=client)
    assert [len(each) for each in lists] == [2, 2]
    first = series.replicate.run("acme/files", {"count": 2}, client=client, files="first")
    assert all(isinstance(each, str) for each in first)
    exploded = series.replicate.run("acme/files", {"count": 2}, client=client, files="explode")
    assert exploded.index.tolist() == ["x", "x", "y", "y"]


def test_files_are_saved(client: Client, tmp_path: Path) -> None:
    series = pd.Series(["a", None, "b"], name="content")
    result = series.replicate.run("acme/files", client=client, save_to=str(tmp_path / "out"))
    assert [Path(each).read_text() for each in result.dropna()] == ["a", "b"]


def test_saved_files_are_named_by_position_in_the_table(client: Client, tmp_path: Path) -> None:
    series = pd.Series([None, "a"], name="content")
    result = series.replicate.run(
        "acme/files",
        client=client,
        save_to=str(tmp_path),
        stems=lambda position, input: f"row-{position}-{input['content']}",
    )
    assert Path(result.iloc[1]).stem == "row-1-a"


def test_the_number_in_a_template_is_the_position_in_the_table(client: Client, tmp_path: Path) -> None:
    series = pd.Series([None, "a", "b"], name="content")
    result = series.replicate.run("acme/files", client=client, save_to=f"{tmp_path}/{{row:02}}-{{content}}")
    assert [Path(each).stem for each in result.dropna()] == ["01-a", "02-b"]


def test_saved_files_that_were_deleted_are_noticed(tmp_path: Path) -> None:
    clock = Clock()
    series = pd.Series(["a", None, "b"], index=["x", "y", "z"], name="content")
    options: dict[str, Any] = {"save_to": str(tmp_path / "out"), "journal": str(tmp_path / "j.sqlite")}
    with Simulator(clock=clock) as simulator, Client(backend=simulator) as client:
        publish(simulator)
        first = series.replicate.run("acme/files", client=client, **options)
        Path(first["x"]).unlink()
        plan = series.replicate.plan("acme/files", client=client, **options)
        assert (plan.gone, plan.cached, plan.to_pay) == (1, 1, 0)
        again = series.replicate.run("acme/files", client=client, **options)
        assert (outputs(again), Path(first["x"]).read_text()) == (outputs(first), "a")
        clock.advance(2 * 3600)
        Path(first["x"]).unlink()
        with pytest.raises(RowsFailed, match=r"row 'x': OutputExpired: The stored file .*out.* is not there"):
            series.replicate.run("acme/files", client=client, **options)
        late = series.replicate.run("acme/files", client=client, errors="collect", details=True, **options)
        assert outputs(late["output"]) == [None, None, first["z"]]
        assert late["status"]["x"] == "expired"
        assert simulator.created == 2


# What goes wrong.


def test_failed_rows_are_raised_after_all_others_are_done(client: Client, simulator: Simulator) -> None:
    series = pd.Series(["bad"] + [str(number) for number in range(20)], name="text").rename(index=str)
    with pytest.raises(
        RowsFailed, match=r"(?s)1 of 21 rows failed.*row '0': ModelError: .*errors='collect'"
    ) as caught:
        series.replicate.run("acme/shout", client=client)
    assert outputs(caught.value.partial)[1:] == [f"{number}!" for number in range(20)]
    assert isinstance(caught.value.errors["0"], ModelError)
    assert caught.value.errors["0"].prediction.id
    assert simulator.created == 21


def test_failed_rows_are_null_where_errors_are_collected(client: Client) -> None:
    series = pd.Series(["bad", "a"], name="text")
    result = series.replicate.run("acme/shout", client=client, errors="collect")
    assert outputs(result) == [None, "A!"]


def test_error_has_details_where_they_were_asked_for(client: Client) -> None:
    with pytest.raises(RowsFailed) as caught:
        pd.Series(["bad", "a"], name="text").replicate.run("acme/shout", client=client, details=True)
    assert caught.value.partial["status"].tolist() == ["failed", "succeeded"]


def test_many_failed_rows_are_not_all_listed() -> None:
    errors = pd.Series([InputError(f"no {number}") for number in range(9)], dtype=object)
    error = RowsFailed(pd.Series(dtype=object), errors, 10)
    assert "no 4" in str(error)
    assert "no 5" not in str(error)
    assert "and 4 more" in str(error)


def test_invalid_row_is_raised_before_anything_is_created(client: Client, simulator: Simulator) -> None:
    frame = pd.DataFrame({"text": [None, "a", "b"], "n": [1, 2, "many"]}, index=["x", "y", "z"])
    input = {"text": col("text"), "times": col("n")}
    with pytest.raises(
        InputError, match=r"(?s)1 of 2 rows.*nothing was created.*row 'z':.*input.times.*errors='collect'"
    ):
        frame.replicate.run("acme/shout", input=input, client=client)
    assert simulator.created == 0
    details = frame.replicate.run("acme/shout", input=input, client=client, errors="collect", details=True)
    assert details["status"].tolist() == ["null", "succeeded", "invalid"]
    assert details.loc["z", "error"].startswith("Row 'z' cannot be sent")


def test_many_invalid_rows_are_not_all_listed_and_numbers_in_texts_are_hinted_at(client: Client) -> None:
    frame = pd.DataFrame({"text": "a", "times": [str(number) for number in range(9)]})
    with pytest.raises(
        InputError, match=r"(?s)9 of 9 rows.*row 4:.*and 4 more\nNumbers.*pd\.to_numeric"
    ) as caught:
        frame.replicate.run("acme/shout", client=client)
    assert "row 5:" not in str(caught.value)
    frame["times"] = pd.to_numeric(frame["times"])
    assert frame.replicate.plan("acme/shout", client=client).invalid == 0


def test_numbers_of_rows_are_written_plainly(client: Client) -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "times": [1, "many"]}, index=[3, 4])
    with pytest.raises(InputError, match=r"row 4:\n"):
        frame.replicate.run("acme/shout", client=client)


def test_unknown_option_is_refused_with_a_hint(texts: pd.Series[str], client: Client) -> None:
    with pytest.raises(
        ConfigError, match=r"option seed.*input=\{'seed': 42\}.*The options are: .*concurrency"
    ):
        texts.replicate.run("acme/shout", seed=42, client=client)
    with pytest.raises(ConfigError, match=r"use plan\(…\) instead of dry_run="):
        texts.replicate.run("acme/shout", dry_run=True, client=client)
    with pytest.raises(ConfigError, match=r"Did you mean 'save_to'\?"):
        texts.replicate.run("acme/shout", saveto="x", client=client)


@pytest.mark.parametrize("options", [{"files": "some"}, {"errors": "ignore"}])
def test_unknown_choice_is_refused(options: Any, texts: pd.Series[str], client: Client) -> None:
    with pytest.raises(ConfigError, match="must be one of"):
        texts.replicate.run("acme/shout", client=client, **options)


def test_unknown_input_is_refused(texts: pd.Series[str], client: Client, simulator: Simulator) -> None:
    with pytest.raises(InputError, match=r"no input 'tims'.*Did you mean 'times'"):
        texts.replicate.run("acme/shout", {"tims": 2}, client=client)
    assert simulator.created == 0
    with pytest.raises(InputError, match=r"no input 'txt'.*Did you mean 'text'"):
        texts.replicate.run("acme/shout", into="txt", client=client)


def test_into_is_refused_on_a_frame(client: Client) -> None:
    with pytest.raises(InputError, match=r"into='text' is for a Series.*col\('…'\)"):
        pd.DataFrame({"text": ["a"]}).replicate.run("acme/shout", into="text", client=client)


def test_model_that_does_not_exist_is_reported(texts: pd.Series[str], client: Client) -> None:
    with pytest.raises(NotFound):
        texts.replicate.run("acme/nothing", client=client)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("details", [False, True])
def test_interrupted_run_keeps_what_was_done(details: bool, client: Client, simulator: Simulator) -> None:
    @simulator.model("acme/hanging")
    def hanging(text: str) -> str:
        if text == "hang":
            sleep(60)
        return text

    glances = []

    def press_ctrl_c(progress: Progress) -> None:
        glances.append(progress.done)
        if glances.count(1) == 2:  # by the second look, the first row was handed out for certain
            signal.raise_signal(signal.SIGINT)

    series = pd.Series([None, "a", "hang"], name="text")
    with pytest.raises(KeyboardInterrupt) as caught:
        series.replicate.run("acme/hanging", client=client, details=details, progress=press_ctrl_c)
    partial = caught.value.partial  # type: ignore[attr-defined]
    assert outputs(partial["output"] if details else partial) == [None, "a", None]
    assert not details or partial["status"].tolist() == ["null", "succeeded", "unfinished"]
    assert simulator.calls["predictions.cancel"] == 1


def test_refused_run_has_nothing_to_keep(client: Client, simulator: Simulator) -> None:
    series = pd.Series([None, "a", "b"], name="text")
    with pytest.raises(InputError, match="nothing was created") as caught:
        series.replicate.run("acme/shout", {"times": "many"}, client=client)
    assert not hasattr(caught.value, "partial")
    assert simulator.created == 0


def test_run_against_a_service_that_goes_down_keeps_what_was_done() -> None:
    down = Fault(operation="*.create", calls=set(range(3, 1000)), refuse=True)
    with Simulator(faults=[down]) as simulator, Client(backend=simulator) as client:
        publish(simulator)
        series = pd.Series([None, *map(str, range(6))], name="text")
        with pytest.raises(BatchError) as caught:
            series.replicate.run("acme/shout", client=client, patience=0.2, concurrency=2)
    done = [each for each in outputs(caught.value.partial) if each]  # type: ignore[attr-defined]
    assert done == ["0!", "1!"]


def test_input_is_sent_as_it_is_where_that_is_wanted(client: Client) -> None:
    series = pd.Series(["a"], name="text")
    with pytest.raises(RowsFailed, match="times: Invalid type"):
        series.replicate.run("acme/shout", {"times": "two"}, client=client, check_input=False)


def test_plan_may_be_looked_at_before_anything_is_spent(
    texts: pd.Series[str], client: Client, simulator: Simulator
) -> None:
    def refuse(plan: Plan) -> None:
        raise ValueError(f"{plan.to_pay} are too many")

    with pytest.raises(ValueError, match="3 are too many"):
        texts.replicate.run("acme/shout", client=client, on_plan=refuse)
    assert simulator.created == 0


# Other ways to run.


def test_async_run_gives_the_same(texts: pd.Series[str], client: Client) -> None:
    async def main() -> Any:
        return await texts.replicate.async_run("acme/shout", {"times": 2}, client=client)

    expected = texts.replicate.run("acme/shout", {"times": 2}, client=client)
    pd.testing.assert_series_equal(asyncio.run(main()), expected)
    pd.testing.assert_series_equal(asyncio.run(main()), expected)
    pd.testing.assert_series_equal(trio.run(main), expected)


def test_blocking_run_works_inside_a_running_loop(texts: pd.Series[str], client: Client) -> None:
    async def main() -> Any:
        return texts.replicate.run("acme/shout", client=client)

    assert asyncio.run(main()).tolist() == ["A!", "B!", "C!"]


def test_async_run_raises_failed_rows_with_the_rest(client: Client) -> None:
    async def main() -> None:
        await pd.Series(["a", "bad"], name="text").replicate.async_run("acme/shout", client=client)

    with pytest.raises(RowsFailed) as caught:
        asyncio.run(main())
    assert outputs(caught.value.partial) == ["A!", None]


def test_threads_may_run_at_once(client: Client) -> None:
    barrier = threading.Barrier(4)

    def work(number: int) -> list[str]:
        barrier.wait()
        series = pd.Series([f"{number}-{row}" for row in range(5)], name="text")
        return list(series.replicate.run("acme/shout", client=client))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    assert found == [[f"{number}-{row}!" for row in range(5)] for number in range(4)]


def test_iter_gives_labels_and_positions(client: Client) -> None:
    series = pd.Series(["a", None, "bad"], index=["x", "x", "z"], name="text")
    found = {
        (label, result.index): result for label, result in series.replicate.iter("acme/shout", client=client)
    }
    assert set(found) == {("x", 0), ("z", 2)}
    assert found["x", 0].output == "A!"
    assert isinstance(found["z", 2].error, ModelError)


def test_iter_keeps_to_the_order_by_choice(client: Client) -> None:
    series = pd.Series([str(number) for number in range(20)], name="text")
    found = [label for label, _ in series.replicate.iter("acme/shout", client=client, ordered=True)]
    assert found == list(range(20))


def test_iter_may_be_left_early(texts: pd.Series[str], client: Client) -> None:
    rows = texts.replicate.iter("acme/shout", client=client)
    next(rows)
    rows.close()
    assert not [thread for thread in threading.enumerate() if "batch" in thread.name]


def test_async_iter_gives_the_same(texts: pd.Series[str], client: Client) -> None:
    async def main() -> list[Any]:
        async with aclosing(texts.replicate.async_iter("acme/shout", client=client)) as rows:
            return [label async for label, _ in rows]

    assert sorted(asyncio.run(main())) == sorted(trio.run(main)) == ["x", "y", "z"]


def test_plan_creates_nothing(client: Client, simulator: Simulator) -> None:
    series = pd.Series(["same", "same", None, "other"], name="text")
    plan = series.replicate.plan("acme/shout", client=client, price=2)
    assert (plan.rows, plan.distinct, plan.to_pay, plan.cost) == (3, 2, 2, 4)
    assert asyncio.run(series.replicate.async_plan("acme/shout", client=client)).to_pay == 2
    assert simulator.created == 0


def test_plan_takes_what_run_takes_and_counts_rows_as_in_the_table(client: Client) -> None:
    series = pd.Series([None, "a", 7], name="text", dtype=object)
    plan = series.replicate.plan("acme/shout", client=client, files="first", errors="collect", details=True)
    assert (plan.rows, plan.invalid, plan.problems[0].row) == (2, 1, 2)
    with pytest.raises(ConfigError, match="plan does not know the option seed"):
        series.replicate.plan("acme/shout", client=client, seed=1)


def test_journal_makes_the_second_run_free(
    texts: pd.Series[str], client: Client, simulator: Simulator, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.sqlite"
    first = texts.replicate.run("acme/shout", client=client, journal=journal)
    again = texts.replicate.run("acme/shout", client=client, journal=journal, details=True)
    assert again["output"].tolist() == first.tolist()
    assert again["cached"].all()
    assert simulator.created == 3


def test_default_client_is_used_where_none_is_given(
    texts: pd.Series[str], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicate_kit, "default_client", client, raising=False)
    assert texts.replicate.run("acme/shout").tolist() == ["A!", "B!", "C!"]


def test_accessor_is_the_typed_one(texts: pd.Series[str], client: Client) -> None:
    assert type(accessor_of(texts)) is type(texts.replicate)
    assert type(accessor_of(texts.to_frame())) is type(texts.to_frame().replicate)
    assert accessor_of(texts).run("acme/shout", client=client).tolist() == ["A!", "B!", "C!"]


# What it says of itself.


def test_accessor_of_a_dataframe_says_what_it_offers() -> None:
    frame = pd.DataFrame({"title": ["Sea", "Hills", "Dunes"], "artist": ["Turner", None, "Klee"]})
    first, *offers = repr(frame.replicate).splitlines()
    assert first == "<replicate over a DataFrame of 3 rows: title, artist>"
    assert offers[0].startswith('  .run(model, input={"prompt": col("title")})  ')
    assert [each.strip().partition("(")[0] for each in offers] == [
        ".run",
        ".plan",
        ".iter",
        ".async_run",
        ".show",
    ]


def test_accessor_of_a_series_says_what_names_the_input(texts: pd.Series[str]) -> None:
    first, run, *_ = repr(texts.replicate).splitlines()
    assert first == "<replicate over a Series of 3 rows, with the name text>"
    assert '.run(model, into="prompt")' in run
    assert "into= names the input" in run
    assert repr(pd.Series(["a"]).replicate).startswith("<replicate over a Series of 1 row, with no name>\n")


class Unprintable:
    def __repr__(self) -> str:
        raise ValueError("this cannot be shown")


@pytest.mark.parametrize(
    ("name", "shown", "written"),
    [
        ("it's", "it's", '"it\'s"'),
        ('5" x 7"', '5" x 7"', "'5\" x 7\"'"),
        ("größer", "größer", '"größer"'),
        ("two\nlines\x1b[31m", r"two\nlines\x1b[31m", r"'two\nlines\x1b[31m'"),
        ("half \ud83d", r"half \ud83d", r"'half \ud83d'"),
        ("x" * 1000, "x" * 39 + "…", "…"),
        (7, "7", "7"),
        (None, "None", "None"),
        (pd.NA, "<NA>", "<NA>"),
        (("a", "b"), "('a', 'b')", "('a', 'b')"),
        (Unprintable(), "Unprintable object", "…"),
    ],
    ids=[
        "apostrophe",
        "quotes",
        "umlaut",
        "lines",
        "half",
        "long",
        "number",
        "None",
        "null",
        "tuple",
        "unprintable",
    ],
)
def test_any_name_is_shown_in_one_line(name: Any, shown: str, written: str) -> None:
    frame = pd.DataFrame([[1]], columns=pd.Index([name], dtype=object, tupleize_cols=False))
    said = repr(frame.replicate)
    assert said.splitlines()[0] == f"<replicate over a DataFrame of 1 row: {shown}>"
    assert f"col({written})" in said
    said.encode()
    if name is not None:
        assert repr(pd.Series([1], name=name).replicate).splitlines()[0].endswith(f"with the name {shown}>")


@pytest.mark.parametrize(
    ("frame", "listed"),
    [
        (pd.DataFrame(), "0 rows: no columns"),
        (pd.DataFrame(index=[1, 2]), "2 rows: no columns"),
        (pd.DataFrame({"a": []}), "0 rows: a"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "1 row: a, a"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", 1)])), "1 row: ('a', 1)"),
        (pd.DataFrame([range(500)]), "1 row: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … (500 in all)"),
    ],
    ids=["empty", "no columns", "no rows", "duplicates", "levels", "many"],
)
def test_any_table_is_described_in_a_few_lines(frame: pd.DataFrame, listed: str) -> None:
    first, *offers = repr(frame.replicate).splitlines()
    assert first == f"<replicate over a DataFrame of {listed}>"
    assert len(offers) == 5


@pytest.mark.parametrize("method", ["run", "iter", "plan", "async_run", "async_plan"])
@pytest.mark.parametrize(
    ("model", "texts", "options"),
    [
        ("acme/shoot", ["a"], {}),
        ("no model", ["a"], {}),
        ("acme/shout", ["a"], {"prompt": "{title}"}),
        ("acme/shout", ["a"], {"into": "nothing"}),
        ("acme/shout", [7], {}),
        ("acme/shout", ["bad"], {}),
    ],
)
def test_a_mistake_shows_at_most_two_lines_of_ours(
    client: Client, method: str, model: str, texts: list[Any], options: dict[str, Any]
) -> None:
    call = getattr(pd.Series(texts, name="text").replicate, method)
    try:
        given = call(model, client=client, **options)
        if method.startswith("async_"):
            asyncio.run(given)
        elif method == "iter":
            list(given)
    except ReplicateError as error:
        frames = traceback.extract_tb(error.__traceback__)
        assert (
            sum("replicate_kit" in frame.filename and "tests" not in frame.filename for frame in frames) <= 2
        )
