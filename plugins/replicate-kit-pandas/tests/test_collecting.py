from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from replicate_kit.batch import Result
from replicate_kit.errors import ReplicateError
from replicate_kit.tables import Collector as _Collector
from replicate_kit.tables import Files, Lines
from replicate_kit_pandas.collecting import frame_of, series_of

INDEX = pd.Index(["x", "y", "x"])
TEXT = pd.Series(["a"]).dtype


class Collector(_Collector):
    """Gives what pandas makes of the lines."""

    def __init__(
        self, index: pd.Index[Any], positions: Iterable[int], *, details: bool, files: Files
    ) -> None:
        super().__init__(len(index), dict.fromkeys(positions, "unfinished"), details=details, files=files)
        self.labels, self.is_detailed = index, details

    def result(self) -> Any:
        lines: Lines = self.lines()
        index = self.labels if lines.rows is None else self.labels[lines.rows]
        return frame_of(lines, index) if self.is_detailed else series_of(lines.columns["output"], index)


def collected(*outputs: Any, files: Files = "auto", details: bool = False, urls: bool = True) -> Any:
    collector = Collector(INDEX[: len(outputs)], range(len(outputs)), details=details, files=files)
    for number, output in reversed(list(enumerate(outputs))):
        listed = tuple(output) if urls and isinstance(output, list) else ()
        collector.add(Result(number, {}, output, status="succeeded", files=listed))
    return collector.result()


def test_outputs_stand_where_their_rows_are() -> None:
    collector = Collector(INDEX, [0, 2], details=False, files="auto")
    collector.add(Result(2, {}, "b"))
    collector.add(Result(0, {}, "a"))
    expected = pd.Series(["a", None, "b"], index=INDEX, name="output", dtype=TEXT)
    pd.testing.assert_series_equal(collector.result(), expected)


def test_result_may_be_had_at_any_time() -> None:
    collector = Collector(INDEX, [0, 2], details=True, files="auto")
    collector.add(Result(2, {}, "b", status="succeeded"))
    assert collector.result()["status"].tolist() == ["unfinished", "null", "succeeded"]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["a", None], TEXT),
        ([None, None], TEXT),
        ([], TEXT),
        ([1, 2], "int64"),
        ([2**60 + 1, None], "Int64"),
        ([2**70, None], "object"),
        ([True, False], "bool"),
        ([True, None], "boolean"),
        ([0.5, None], "float64"),
        ([0.5, 2], "float64"),
        (["a", 1], "object"),
        ([["a"], None], "object"),
        ([{"a": 1}, "b"], "object"),
    ],
)
def test_dtype_changes_no_value(values: list[Any], dtype: Any) -> None:
    series = series_of(values, pd.RangeIndex(len(values)))
    assert series.dtype == dtype
    assert [each for each in series.tolist() if not (each is None or each is pd.NA or each != each)] == [
        each for each in values if each is not None
    ]


def test_one_file_each_gives_urls() -> None:
    assert collected(["u"], None, ["v"]).dropna().tolist() == ["u", "v"]


def test_several_files_in_any_row_give_lists() -> None:
    assert collected(["u"], ["v", "w"]).tolist() == [["u"], ["v", "w"]]


def test_no_files_are_null() -> None:
    assert collected(["u"], []).isna().tolist() == [False, True]
    assert collected(["u"], ["v", "w"], [], files="first").isna().tolist() == [False, False, True]


def test_lists_are_kept_by_choice() -> None:
    assert collected(["u"], ["v"], files="list").tolist() == [["u"], ["v"]]


def test_first_file_is_taken_by_choice() -> None:
    assert collected(["u"], ["v", "w"], files="first").tolist() == ["u", "v"]


def test_files_are_exploded_by_choice() -> None:
    series = collected(["u", "v"], None, ["w"], files="explode")
    assert series.index.tolist() == ["x", "x", "y", "x"]
    assert series.fillna("").tolist() == ["u", "v", "", "w"]


def test_details_are_exploded_along() -> None:
    frame = collected(["u", "v"], [], files="explode", details=True)
    assert frame.index.tolist() == ["x", "x", "y"]
    assert frame["status"].tolist() == ["succeeded"] * 3


def test_lists_of_anything_else_stay_lists() -> None:
    for files in ("auto", "first", "explode"):
        assert collected(["tag"], ["tig", "tag"], files=files, urls=False).tolist() == [
            ["tag"],
            ["tig", "tag"],
        ]


def test_errors_keep_their_rows() -> None:
    collector = Collector(INDEX, [0, 1, 2], details=True, files="auto")
    faults = [ReplicateError("one"), ReplicateError("two")]
    collector.add(Result(2, {}, error=faults[1], status="failed"))
    collector.add(Result(0, {}, error=faults[0], status="failed"))
    assert sorted(collector.errors.items()) == [(0, faults[0]), (2, faults[1])]
    assert collector.result()["error"].fillna("").tolist() == ["one", "", "two"]


@pytest.mark.parametrize("details", [False, True])
def test_a_result_replaces_what_was_kept(details: bool) -> None:
    collector = Collector(INDEX, [], details=details, files="auto")
    collector.keep(0, {"output": "old", "status": "unknown", "seconds": 2.0}, ReplicateError("old"))
    collector.keep(1, {"output": ["u"], "status": "succeeded"})
    assert collector.statuses == ["unknown", "succeeded", "null"]
    assert list(collector.errors) == [0]
    collector.add(Result(0, {}, ["v", "w"], status="succeeded", files=("v", "w")))
    result = collector.result()
    assert (result["output"] if details else result).tolist() == [["v", "w"], ["u"], None]
    assert collector.statuses == ["succeeded", "succeeded", "null"]
    assert not collector.errors
    assert not details or result["seconds"].isna().all()


def test_texts_that_were_kept_are_not_encoded_again() -> None:
    collector = Collector(INDEX, [], details=True, files="auto")
    collector.keep(0, {"output": '{"a": 1}', "status": "succeeded"})
    collector.keep(1, {"output": 5, "status": "succeeded"})
    collector.add(Result(2, {}, {"a": "é"}, status="succeeded"))
    assert collector.result()["output"].tolist() == ['{"a": 1}', "5", '{"a": "é"}']


def _rich(output: Any, error: ReplicateError | None = None) -> Any:
    collector = Collector(INDEX, [0, 1], details=True, files="auto")
    collector.add(Result(0, {}, output, None, "succeeded", "id1", 1.5, 0.25, True))
    collector.add(Result(1, {}, None, error, "failed", "id2"))
    return collector.result()


def test_details_have_flat_columns() -> None:
    frame = _rich("text", ReplicateError("broken"))
    assert frame.dtypes.astype(str).to_dict() == {
        "output": str(TEXT),
        "status": str(TEXT),
        "error": str(TEXT),
        "prediction_id": str(TEXT),
        "seconds": "float64",
        "cached": "bool",
        "cost": "float64",
    }
    assert frame.iloc[0].tolist()[1:2] + frame.iloc[0].tolist()[3:] == ["succeeded", "id1", 1.5, True, 0.25]


@pytest.mark.parametrize("output", ["text", 1, 0.5, True, None])
def test_details_survive_parquet(output: Any, tmp_path: Path) -> None:
    frame = _rich(output)
    frame.to_parquet(tmp_path / "table.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), frame)


def test_lists_of_files_survive_parquet() -> None:
    frame = collected(["u", "v"], None, ["w"], details=True)
    again = pd.read_parquet(io.BytesIO(frame.to_parquet()))
    assert [None if each is None else list(each) for each in again["output"]] == [["u", "v"], None, ["w"]]


@pytest.mark.parametrize(
    ("outputs", "texts"),
    [
        ([{"b": [1]}, None], ['{"b": [1]}', ""]),
        ([[1, "é"], ["a"]], ['[1, "é"]', '["a"]']),
        (["a", 1], ['"a"', "1"]),
        ([True, "a"], ["true", '"a"']),
        ([1, 2**64], ["1", "18446744073709551616"]),
    ],
)
def test_structures_are_json_in_details(outputs: list[Any], texts: list[str]) -> None:
    frame = collected(*outputs, details=True, urls=False)
    assert frame["output"].fillna("").tolist() == texts
    pd.read_parquet(io.BytesIO(frame.to_parquet()))
    assert collected(*outputs, urls=False).tolist() == outputs


HALF = "half of \ud83d"


@pytest.mark.parametrize(
    "outputs", [[HALF], [HALF, "whole"], [HALF, None], [[HALF]], [{HALF: [HALF]}], [HALF, 1], [["a"], [HALF]]]
)
@pytest.mark.parametrize("files", ["auto", "list", "first", "explode"])
def test_half_a_character_is_kept_in_outputs_and_escaped_in_details(
    outputs: list[Any], files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    assert collected(*outputs, urls=False, files=files).tolist() == outputs
    assert not caplog.messages
    frame = collected(*outputs, urls=False, files=files, details=True)
    again = pd.read_parquet(io.BytesIO(frame.to_parquet()))
    assert "half of \\ud83d" in str(again["output"].tolist()).replace("\\\\", "\\")
    frame.to_csv(io.StringIO())
    frame.to_csv().encode()
    assert "half of a surrogate pair" in caplog.text


@pytest.mark.parametrize("details", [False, True])
def test_half_a_character_in_an_error_or_an_id_keeps_no_results_back(details: bool) -> None:
    collector = Collector(INDEX, [0, 1], details=details, files="auto")
    collector.add(Result(0, {}, None, ReplicateError(HALF), HALF, HALF))
    collector.add(Result(1, {}, "whole", None, "succeeded", "id"))
    result = collector.result()
    assert (result["output"] if details else result).fillna("").tolist() == ["", "whole", ""]
    assert str(collector.errors[0]) == HALF
    if details:
        assert result["error"].tolist()[0] == "half of \\ud83d"
        pd.read_parquet(io.BytesIO(result.to_parquet()))
