"""A model over a DataFrame of Spark's: what is called when, and what comes out."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from replicate_kit import Client, col, template
from replicate_kit.errors import ConfigError, InputError
from replicate_kit.simulator import Simulator
from replicate_kit_spark import run

from . import sparks  # it skips where there is no Spark

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = sparks.IGNORED


@pytest.fixture
def animals(spark: SparkSession) -> DataFrame:
    rows = "(1L, 'a wombat'), (2L, null), (3L, 'a numbat'), (4L, 'a wombat')"
    return spark.sql(f"SELECT * FROM VALUES {rows} AS rows (id, prompt)")


def by_id(made: DataFrame) -> dict[int, Any]:
    """The rows that come of an action."""
    return {row["id"]: row for row in made.collect()}


def test_nothing_is_called_while_the_plan_is_built(
    animals: DataFrame, client: Client, simulator: Simulator, journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run(animals, "acme/quiet", client=client, journal=journal)
    assert made.schema.simpleString() == "struct<id:bigint,prompt:string,output:string>"
    made.filter("id > 1").select("output").explain(True)
    assert "replicate_kit_" in capsys.readouterr().out
    assert (simulator.created, len(simulator.requests)) == (0, 0)


def test_an_action_pays_for_each_distinct_row_and_the_next_one_for_nothing(
    animals: DataFrame, client: Client, simulator: Simulator, journal: str
) -> None:
    made = run(animals, "acme/quiet", client=client, journal=journal, details=True)
    first = by_id(made)
    assert {id: row["output"] for id, row in first.items()} == {
        **dict.fromkeys((1, 4), "A WOMBAT"),
        2: None,
        3: "A NUMBAT",
    }
    assert [first[id]["status"] for id in (1, 2, 3, 4)] == ["succeeded", "null", "succeeded", "succeeded"]
    assert simulator.created == 2
    again = by_id(made.filter("output is not null"))
    assert all(again[id]["prediction_id"] == first[id]["prediction_id"] for id in (1, 3, 4))
    assert all(row["cached"] for row in again.values())
    assert simulator.created == 2


def test_outputs_that_are_no_texts_are_json(animals: DataFrame, client: Client, journal: str) -> None:
    input = {"prompt": template("{prompt}!"), "mood": "wild"}
    rows = animals.transform(run, "acme/moods", input, client=client, journal=journal).collect()
    outputs = {row["id"]: row["output"] and json.loads(row["output"]) for row in rows}
    assert outputs[3] == {"prompt": "a numbat!", "mood": "wild"}


def test_columns_of_all_types_pass_through(spark: SparkSession, client: Client, journal: str) -> None:
    values = (
        "named_struct('x', 1, 'y', array('p', null)) a, map('k', 2.0D) b, timestamp'2026-11-30 01:02:03' c, 1.25BD d, "
        "X'00FF' e, timestamp_ntz'2026-11-30 01:02:03' f, date'2026-11-30' g, true h, float(1.5) i, 'sea' prompt"
    )
    frame = spark.sql(f"SELECT {values}")
    made = run(frame, "acme/quiet", client=client, journal=journal)
    assert made.drop("output").schema == frame.schema
    assert made.drop("output").collect() == frame.collect()


def test_files_are_saved_by_the_workers(
    animals: DataFrame, client: Client, journal: str, tmp_path: Path
) -> None:
    made = run(animals, "demo/painter", client=client, journal=journal, save_to=tmp_path / "{prompt}{ext}")
    names = {row["id"]: row["output"] and Path(row["output"]).name for row in made.collect()}
    assert names[2] is None
    assert names[3] == "a-numbat-0.png"
    # Two partitions have the wombat, in which it has another number; one of them saves it.
    assert names[1] == names[4] in ("a-wombat-0.png", "a-wombat-1.png")
    assert sorted(each.name for each in tmp_path.iterdir()) == [names[3], names[1]]


def test_each_file_has_a_row_of_its_own_where_that_is_asked(
    spark: SparkSession, client: Client, journal: str
) -> None:
    frame = spark.sql("SELECT 1 AS id, 'sea' AS prompt")
    input = {"prompt": col("prompt"), "num_outputs": 2}
    made = run(
        frame, "black-forest-labs/flux-schnell", input, client=client, journal=journal, files="explode"
    )
    rows = made.collect()
    assert [row["id"] for row in rows] == [1, 1]
    assert len({row["output"] for row in rows}) == 2


@pytest.mark.parametrize("errors", ["raise", "collect"])
def test_failed_rows_hold_nobody_up(
    spark: SparkSession, client: Client, simulator: Simulator, journal: str, errors: str
) -> None:
    frame = spark.sql(
        "SELECT * FROM VALUES ('a', 'calm'), ('b', 'angry'), ('c', 'calm') AS rows (prompt, mood)"
    )
    made = run(frame.coalesce(1), "acme/moods", client=client, journal=journal, errors=errors, details=True)
    if errors == "raise":
        with pytest.raises(Exception, match="1 of 3 rows of a partition failed"):
            made.collect()
    else:
        statuses = {row["prompt"]: row["status"] for row in made.collect()}
        assert statuses == {"a": "succeeded", "b": "failed", "c": "succeeded"}
    assert simulator.created == 3


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ConfigError, "An engine runs the share of a worker again that died"),
        ({"journal": "animals.sqlite"}, ConfigError, "is a file of one machine"),
        ({"budget": 1.0, "price": 0.1}, ConfigError, "per=.journal."),
        ({"jurnal": "postgresql://host/db"}, ConfigError, "does not know the option jurnal"),
        ({"input": {"prompt": col("promt")}}, InputError, "There is no column 'promt'"),
        ({"input": {"prompt": col("prompt"), "seed": Lock()}}, InputError, "cannot be sent to workers"),
    ],
    ids=["no journal", "a file", "a budget", "misspelt", "no such column", "a lock"],
)
def test_what_cannot_be_meant_is_refused_at_once(
    animals: DataFrame,
    client: Client,
    simulator: Simulator,
    journal: str,
    options: dict[str, Any],
    error: type,
    words: str,
) -> None:
    if "input" in options:
        options = {"journal": journal, **options}
    with pytest.raises(error, match=words):
        run(animals, "acme/quiet", client=client, **options)
    assert len(simulator.requests) == 0


def test_columns_that_the_result_has_too_are_refused(
    animals: DataFrame, client: Client, journal: str
) -> None:
    with pytest.raises(InputError, match=r"columns that the result has, too: output. Rename them first"):
        run(animals.withColumnRenamed("id", "Output"), "acme/quiet", client=client, journal=journal)


def test_a_dataframe_of_pandas_is_refused(client: Client, journal: str) -> None:
    with pytest.raises(ConfigError, match="Pass a DataFrame of Spark's"):
        run(pd.DataFrame({"prompt": ["sea"]}), "acme/quiet", client=client, journal=journal)  # type: ignore[arg-type]
