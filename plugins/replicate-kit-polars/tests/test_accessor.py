"""Series and DataFrames of polars: what is sent for their rows, and what comes back."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal, assert_series_equal

from replicate_kit import Client
from replicate_kit.batch import Plan
from replicate_kit.errors import BatchError, ConfigError, InputError, ReplicateError
from replicate_kit.simulator import Fault, Simulator
from replicate_kit_polars import RowsFailed, accessor_of, col, series_of, template

DETAILS = ["output", "status", "error", "prediction_id", "seconds", "cached", "cost"]


# What is sent.


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["a", "b"])], ids=str)
def test_series_gives_outputs_in_its_order(dtype: Any, client: Client, simulator: Simulator) -> None:
    texts = pl.Series("text", ["a", None, "b", "a"], dtype=dtype)
    result = texts.replicate.run("acme/shout", {"times": 2}, client=client)
    assert_series_equal(result, pl.Series("output", ["A!!", None, "B!!", "A!!"]))
    assert simulator.created == 2


def test_frame_maps_columns_templates_functions_and_constants(client: Client) -> None:
    frame = pl.DataFrame({"title": ["sea", "hill"], "year": [1842, None], "day": [date(2020, 1, 2)] * 2})
    input = {"text": template("{title} ({year}, {day})"), "times": lambda row: len(row["title"]), "mark": "?"}
    assert frame.replicate.run("acme/shout", input, client=client).to_list() == [
        "SEA (1842, 2020-01-02)???",
        None,
    ]


def test_frame_fills_the_inputs_that_have_the_names_of_its_columns(client: Client) -> None:
    frame = pl.DataFrame({"text": ["a", "b", None], "times": [2, None, 1], "other": [1, 2, 3]})
    assert frame.replicate.run("acme/shout", client=client).to_list() == ["A!!", "B!", None]


@pytest.mark.parametrize("rows", [[], [None, None]], ids=["empty", "nulls"])
def test_nothing_to_run_gives_nothing(rows: list[None], client: Client, simulator: Simulator) -> None:
    for texts in (pl.Series("text", rows), pl.Series("text", rows, dtype=pl.String)):
        assert_series_equal(
            texts.replicate.run("acme/shout", client=client), pl.Series("output", rows, dtype=pl.String)
        )
        details = texts.replicate.run("acme/shout", client=client, details=True)
        assert (details.columns, details.height) == (DETAILS, len(rows))
    assert pl.DataFrame().replicate.run("acme/shout", {"text": "a"}, client=client).len() == 0
    assert simulator.created == 0


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (
            lambda client: pl.Series("text", [1842]).replicate.run("acme/shout", client=client),
            "Numbers become text",
        ),
        (
            lambda client: pl.Series([{"text": "a"}]).replicate.run("acme/shout", client=client),
            r"series\.struct\.unnest\(\)",
        ),
        (
            lambda client: pl.DataFrame({"n": ["1"]}).replicate.run(
                "acme/shout", {"text": "a", "times": col("n")}, client=client
            ),
            r"cast\(pl\.Int64\)",
        ),
        (
            lambda client: pl.DataFrame({"a": [1]}).replicate.run("acme/shout", client=client),
            "No column has the name",
        ),
        (
            lambda client: pl.DataFrame({"text": ["a"]}).replicate.run("acme/shout", txt=1, client=client),
            "txt",
        ),
        (
            lambda client: pl.DataFrame({"text": ["a"]}).replicate.run(
                "acme/shout", {"text": pl.col("text")}, client=client
            ),
            r"an expression of polars.*replicate_kit\.col\('…'\)",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run: Any, message: str, client: Client, simulator: Simulator
) -> None:
    with pytest.raises(ReplicateError, match=message) as caught:
        run(client)
    assert "othing was created" in str(caught.value)
    assert simulator.created == 0


def test_awkward_columns_are_the_same_rows_in_an_expression(client: Client, simulator: Simulator) -> None:
    awkward = pytest.importorskip("tests.tables.test_awkward_columns", reason="is in the repository")
    for name, column in awkward.COLUMNS.items():
        frame = awkward.of_polars(column, "the title")
        input = {"text": lambda row: repr(row["the title"])[:100]}
        made = frame.replicate.run("acme/shout", input, client=client)
        assert made.len() == len(column.values), name
        created = simulator.created
        options: dict[str, Any] = {"client": client}
        lazily = frame.lazy().replicate.run("acme/shout", input, **options).collect()
        streamed = frame.select(pl.struct(pl.all()).replicate.run("acme/shout", input, **options))
        assert lazily["output"].to_list() == streamed["output"].to_list() == made.to_list(), name
        assert simulator.created <= created + 2 * len(column.values)


# What comes back.

OUTPUTS: dict[str, tuple[list[Any], Any]] = {
    "texts": (["a", None], pl.String),
    "nothing": ([None, None], pl.String),
    "truths": ([True, None], pl.Boolean),
    "whole numbers": ([1, None, -(2**63)], pl.Int64),
    "large whole numbers": ([1, 2**64 - 1], pl.UInt64),
    "larger ones": ([1, 2**64], pl.Object),
    "numbers": ([1, 0.5], pl.Float64),
    "numbers that no float holds": ([2**60 + 1, 0.5], pl.Object),
    "lists": ([["a"], None, []], pl.List(pl.String)),
    "lists of nothing": ([[], None], pl.List(pl.Null)),
    "lists of lists": ([[[1]], [[], [2.5]]], pl.List(pl.List(pl.Float64))),
    "structures": ([{"a": 1, "b": ["x"]}, None], pl.Struct({"a": pl.Int64, "b": pl.List(pl.String)})),
    "structures in lists": ([[{"a": 1}], []], pl.List(pl.Struct({"a": pl.Int64}))),
    "values of several kinds": ([1, "a"], pl.Object),
    "several kinds within": ([{"a": 1}, {"a": "x"}], pl.Object),
    "truths and numbers": ([True, 1], pl.Object),
    "half a character": (["\ud83d"], pl.Object),
    "of a plugin": ([{1, 2}], pl.Object),
}


@pytest.mark.parametrize(("values", "dtype"), OUTPUTS.values(), ids=OUTPUTS)
def test_outputs_have_the_dtype_that_holds_them_as_they_are(values: list[Any], dtype: Any) -> None:
    made = series_of(values)
    assert (made.name, made.dtype) == ("output", dtype)
    assert made.to_list() == values
    assert [type(each) for each in made if each is not None] or dtype == pl.String


def test_a_field_that_a_structure_lacks_is_null() -> None:
    made = series_of([{"a": 1}, {"b": "x"}, None])
    assert made.dtype == pl.Struct({"a": pl.Int64, "b": pl.String})
    assert made.to_list() == [{"a": 1, "b": None}, {"a": None, "b": "x"}, None]


def test_details_tell_of_each_row_and_go_through_parquet(client: Client, tmp_path: Path) -> None:
    texts = pl.Series("text", ["a", None, "bad"])
    frame = texts.replicate.run("acme/shout", client=client, details=True, errors="collect", price=0.5)
    assert frame["status"].to_list() == ["succeeded", "null", "failed"]
    dtypes = [pl.String, pl.String, pl.String, pl.String, pl.Float64, pl.Boolean, pl.Float64]
    assert frame.schema == dict(zip(DETAILS, dtypes, strict=True))
    frame.write_parquet(tmp_path / "result.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "result.parquet"), frame)
    mixed = pl.Series("text", ['{"a": 1}', "[1]", '"x"']).replicate.run(
        "acme/any", client=client, details=True
    )
    assert mixed["output"].to_list() == ['{"a": 1}', "[1]", '"x"']


def test_the_first_rows_alone_may_be_tried(texts: pl.Series, client: Client, simulator: Simulator) -> None:
    frame = texts.replicate.run("acme/shout", client=client, limit=2, details=True)
    assert frame["status"].to_list() == ["succeeded", "null", "skipped", "skipped"]
    assert simulator.created == 1


def test_several_files_are_arranged_by_choice(client: Client, tmp_path: Path) -> None:
    contents = pl.Series("content", ["a", None, "b"])
    run = contents.replicate.run
    lists = run("acme/files", {"count": 2}, client=client)
    assert (lists.dtype, lists.list.len().to_list()) == (pl.List(pl.String), [2, None, 2])
    assert run("acme/files", {"count": 2}, client=client, files="first").dtype == pl.String
    assert run("acme/files", {"count": 2}, client=client, files="explode").len() == 5
    saved = run("acme/files", client=client, save_to=str(tmp_path / "out"))
    assert [Path(each).read_text() for each in saved.drop_nulls()] == ["a", "b"]


# Rows that fail.


def test_failed_rows_are_raised_with_the_rest(client: Client, simulator: Simulator) -> None:
    frame = pl.DataFrame({"text": ["a", "bad", "b"]})
    with pytest.raises(RowsFailed, match=r"1 of 3 rows failed:\n- row 1: ModelError: this text") as caught:
        frame.replicate.run("acme/shout", client=client)
    error = caught.value
    assert error.partial.to_list() == ["A!", None, "B!"]
    assert list(error.errors) == [1]
    assert error.statuses.to_list() == ["succeeded", "failed", "succeeded"]
    corrected = frame.with_columns(text=pl.col("text").replace("bad", "good"))
    again = corrected.replicate.run("acme/shout", client=client, retry=error)
    assert again.to_list() == ["A!", "GOOD!", "B!"]
    assert simulator.created == 4


def test_an_earlier_result_is_retried(client: Client, simulator: Simulator, tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": ["a", None, "bad"]})
    frame.replicate.run("acme/shout", client=client, details=True, errors="collect").write_parquet(
        tmp_path / "r"
    )
    again = frame.with_columns(text=pl.col("text").fill_null("new").replace("bad", "good"))
    result = again.replicate.run(
        "acme/shout", client=client, details=True, retry=pl.read_parquet(tmp_path / "r")
    )
    assert result["output"].to_list() == ["A!", "NEW!", "GOOD!"]
    assert simulator.created == 4


@pytest.mark.parametrize(
    ("retry", "message"),
    [
        (
            pl.DataFrame({"output": ["a"], "status": ["succeeded"]}),
            r"has 1 rows, and the data 2\. .*very rows",
        ),
        (
            pl.DataFrame({"output": list("abc"), "status": ["failed"] * 3}),
            r"has 3 rows, and the data 2\. .*very rows.*files='explode'",
        ),
        (pl.DataFrame({"output": ["a", "b"]}), "no columns 'status'"),
        (pl.DataFrame({"output": ["a", "b"], "status": ["failed", None]}), "no status in row 1"),
        (pl.DataFrame({"output": ["a", "b"], "status": ["failed", "odd"]}), "'odd' in row 1"),
        (pl.Series(["a", "b"]), "is a Series"),
        (ValueError("x"), "without a result"),
        (pl.LazyFrame(), "retry= is a LazyFrame. .* a polars DataFrame"),
    ],
)
def test_what_is_no_earlier_result_is_refused(
    retry: Any, message: str, client: Client, simulator: Simulator
) -> None:
    with pytest.raises((InputError, ConfigError), match=message):
        pl.Series("text", ["a", "b"]).replicate.run("acme/shout", client=client, retry=retry)
    assert simulator.created == 0


def test_an_error_of_another_library_is_refused(client: Client) -> None:
    error = BatchError("x")
    vars(error).update(partial=[1], statuses=["failed"], _errors_of_rows={})
    with pytest.raises(InputError, match="none of polars"):
        pl.Series("text", ["a"]).replicate.run("acme/shout", client=client, retry=error)


def test_what_ends_a_run_carries_what_was_done(client: Client, simulator: Simulator) -> None:
    simulator.faults.add(Fault(operation="*.create", calls=set(range(2, 1000)), status=401))
    with pytest.raises(ReplicateError) as caught:
        pl.Series("text", ["a", "b", "c"]).replicate.run("acme/shout", client=client, concurrency=1)
    assert caught.value.partial.to_list() == ["A!", None, None]  # type: ignore[attr-defined]


# The other methods.


def test_rows_come_as_they_finish(texts: pl.Series, client: Client) -> None:
    rows = dict(texts.replicate.iter("acme/shout", client=client))
    assert {row: result.output for row, result in rows.items()} == {0: "A!", 2: "B!", 3: "A!"}


def test_a_plan_creates_nothing(texts: pl.Series, client: Client, simulator: Simulator) -> None:
    plan = texts.replicate.plan("acme/shout", client=client)
    assert isinstance(plan, Plan)
    assert (plan.rows, plan.distinct, simulator.created) == (3, 2, 0)


def test_all_of_it_for_await(texts: pl.Series, client: Client) -> None:
    async def together() -> None:
        accessor = accessor_of(texts)
        assert (await accessor.async_run("acme/shout", client=client)).to_list() == ["A!", None, "B!", "A!"]
        assert (await accessor.async_plan("acme/shout", client=client)).distinct == 2
        rows = [row async for row, _ in accessor.async_iter("acme/shout", client=client, ordered=True)]
        assert rows == [0, 2, 3]

    asyncio.run(together())


@pytest.mark.parametrize(
    ("data", "first"),
    [
        (pl.Series("a", [1]), "<replicate over a Series of 1 row, with the name a>"),
        (pl.Series([1, 2]), "<replicate over a Series of 2 rows, with no name>"),
        (pl.DataFrame({"a": [], "b\n": []}), r"<replicate over a DataFrame of 0 rows: a, b\n>"),
        (pl.LazyFrame({"a": []}), "<replicate over a LazyFrame: .run(model) adds"),
        (pl.col("a"), "<replicate over an expression: .run(model) gives"),
    ],
)
def test_a_namespace_says_what_it_offers(data: Any, first: str) -> None:
    assert repr(data.replicate).startswith(first)


def test_pictures_are_shown_and_texts_are_no_markup(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    frame = pl.DataFrame(
        {"p": [str(tmp_path / "a.png"), None], "<b>": ["<i>\nx", "y" * 500], "l": [["b.png"], []]}
    )
    page = frame.replicate.show("p", "l", rows=1)._repr_html_()
    assert page.count('<img src="data:image/png;base64,') == 1
    assert "&lt;b&gt;" in page
    assert "&lt;i&gt;\nx" in page
    assert "… and 1 more rows" in page
    assert repr(frame.replicate.show("p")) == repr(frame)
    assert "<img" in frame["p"].replicate.show()._repr_html_()
    with pytest.raises(InputError, match="There is no column 'q'"):
        frame.replicate.show(["q"])


def test_a_tuple_names_no_columns_to_show() -> None:
    frame = pl.DataFrame({"image": ["a.png"], "mask": ["b.png"]})
    with pytest.raises(InputError, match=r"a tuple is the name of one column.* show\('image', 'mask'\)"):
        frame.replicate.show(("image", "mask"))
    with pytest.raises(InputError, match="There is no column"):
        frame.replicate.show(("image", "other"))
