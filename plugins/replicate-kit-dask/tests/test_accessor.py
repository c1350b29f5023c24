"""The accessor: lazy, of types that are known before anything runs, and refusing what cannot be meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Lock
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pytest

from replicate_kit import Client, col
from replicate_kit.errors import BatchError, ConfigError, InputError
from replicate_kit.simulator import Simulator

LOCK = Lock()
PROMPTS = ["a", "b", None, "a", "c", "d"]


def prompts(values: list[Any] = PROMPTS, npartitions: int = 3) -> Any:
    return dd.from_pandas(pd.Series(values, name="prompt"), npartitions=npartitions)


@pytest.mark.parametrize(
    "order", ["import replicate_kit, dask.dataframe", "import dask.dataframe, replicate_kit"]
)
def test_the_accessor_is_there_whichever_is_imported_first(order: str) -> None:
    code = f"{order}; dask.dataframe.Series.replicate; dask.dataframe.DataFrame.replicate"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("details", [False, True])
def test_nothing_is_called_before_something_is_computed(
    simulator: Simulator, options: dict[str, Any], details: bool
) -> None:
    result = prompts().replicate.run("acme/shout", details=details, **options)
    described = repr(result), result._meta, result.npartitions, result.divisions
    types = result.dtypes if details else result.dtype
    assert described
    assert types is not None
    assert result._meta.head().empty
    assert (simulator.created, list(simulator.requests)) == (0, [])


@pytest.mark.parametrize("details", [False, True])
@pytest.mark.parametrize("files", ["auto", "explode"])
def test_each_partition_has_the_types_that_were_promised(
    options: dict[str, Any], details: bool, files: Any
) -> None:
    data = prompts([None, None, "a", None])  # a partition of nulls alone, and of some
    result = data.replicate.run("acme/shout", details=details, files=files, **options)
    parts = [each.compute(scheduler="threads") for each in result.partitions]
    for part in [*parts, result._meta]:
        assert type(part) is type(result._meta)
        promised = result._meta.to_frame() if not details else result._meta
        pd.testing.assert_series_equal((part if details else part.to_frame()).dtypes, promised.dtypes)


def test_the_index_is_kept_and_a_null_is_null(options: dict[str, Any]) -> None:
    data = pd.Series(PROMPTS, index=[10, 20, 30, 40, 50, 60], name="prompt")
    result = (
        dd.from_pandas(data, npartitions=2)
        .replicate.run("acme/shout", **options)
        .compute(scheduler="threads")
    )
    assert result.name == "output"
    assert result.index.tolist() == data.index.tolist()
    assert result.isna().tolist() == data.isna().tolist()
    assert result.dropna().tolist() == ["A!", "B!", "A!", "C!", "D!"]


def test_columns_fill_inputs(simulator: Simulator, options: dict[str, Any]) -> None:
    table = dd.from_pandas(pd.DataFrame({"title": ["a", "b"], "n": [1, 2]}), npartitions=2)
    input = {"prompt": col("title"), "times": lambda row: row["n"] + 1}
    table["shouted"] = table.replicate.run("acme/shout", input, **options)
    assert table.compute(scheduler="threads")["shouted"].tolist() == ["A!!", "B!!!"]


def test_exploded_files_have_the_labels_of_their_rows(options: dict[str, Any]) -> None:
    table = dd.from_pandas(pd.DataFrame({"n": [2, 1, 2]}, index=["x", "y", "z"]), npartitions=2)
    result = table.replicate.run(
        "demo/painter", {"prompt": "sea", "num_outputs": col("n")}, files="explode", details=True, **options
    )
    assert result.compute(scheduler="threads").index.tolist() == ["x", "x", "y", "z", "z"]


def test_computing_twice_pays_once(simulator: Simulator, options: dict[str, Any]) -> None:
    result = prompts().replicate.run("acme/shout", **options)
    first, second = result.compute(scheduler="threads"), result.compute(scheduler="threads")
    pd.testing.assert_series_equal(first, second)
    assert simulator.created == 4


def test_failed_rows_fail_their_partition_or_are_null(simulator: Simulator, options: dict[str, Any]) -> None:
    data = prompts(["a", "bad"], npartitions=1)
    with pytest.raises(BatchError, match="1 of 2 rows of a partition failed"):
        data.replicate.run("acme/shout", **options).compute(scheduler="threads")
    result = data.replicate.run("acme/shout", errors="collect", details=True, **options)
    assert result.compute(scheduler="threads")["status"].tolist() == ["succeeded", "failed"]
    assert simulator.created == 2


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"journal": None}, ConfigError, "journal= is missing"),
        ({"journal": "a.sqlite"}, ConfigError, "a file of one machine"),
        ({"limit": 3}, ConfigError, "head"),
        ({"progress": print}, ConfigError, "on the driver"),
        ({"seed": 3}, ConfigError, "input={'seed': 3}"),
        ({"input": {"prompt": col("titel")}}, InputError, "titel"),
        (
            {"input": {"prompt": col("title"), "at": lambda row, lock=LOCK: 7}},
            InputError,
            "within the function",
        ),
    ],
)
def test_mistakes_are_said_while_the_graph_is_built(
    simulator: Simulator, options: dict[str, Any], changed: dict[str, Any], error: type[Exception], said: str
) -> None:
    table = dd.from_pandas(pd.DataFrame({"title": ["a"]}), npartitions=1)
    with pytest.raises(error, match=said.replace("{", r"\{").replace("}", r"\}")):
        table.replicate.run("acme/shout", **{**options, **changed})
    assert list(simulator.requests) == []


def test_the_mock_needs_no_network(journal: str) -> None:
    result = prompts().replicate.run("demo/poet", client=Client(backend="mock", timeout=3.0), journal=journal)
    assert result.compute(scheduler="threads").isna().sum() == 1


def test_files_are_saved(tmp_path: Path, options: dict[str, Any]) -> None:
    result = prompts(["a", "b"]).replicate.run("demo/painter", save_to=tmp_path / "pictures", **options)
    paths = result.compute(scheduler="threads").tolist()
    assert all(os.path.dirname(each) == str(tmp_path / "pictures") and os.path.exists(each) for each in paths)
