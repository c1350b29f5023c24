"""DuckDB: relations as rows, and how often a function in SQL is called, as docs/duckdb.md says it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.errors import InputError
from replicate_kit.simulator import Simulator
from replicate_kit.tables import to_arrow

duckdb = pytest.importorskip("duckdb", reason="runs in tox's environment `neighbours`")
pyarrow = pytest.importorskip("pyarrow")

ROWS = 6000
DISTINCT = 3


@pytest.fixture
def con() -> Any:
    """A table of three vectors: its rows take three prompts in turn."""
    with duckdb.connect() as con:
        con.sql("SET threads = 4")
        con.sql(f"CREATE TABLE t AS SELECT i AS id, 'p' || (i % 3) AS prompt FROM range({ROWS}) t(i)")
        yield con


@pytest.fixture
def function(client: Client, con: Any) -> Callable[..., list[int]]:
    """Make the function `poem` of the page; give the list to which each call adds its number of rows."""

    def make(journal: Path | None, **options: Any) -> list[int]:
        calls: list[int] = []

        def poem(prompts: Any) -> Any:
            calls.append(len(prompts))
            rows = [{"prompt": each} for each in prompts.to_pylist()]
            with client.map("demo/poet", rows, progress=False, journal=journal) as batch:
                return pyarrow.array([result.output for result in batch], pyarrow.string())

        con.create_function("poem", poem, ["VARCHAR"], "VARCHAR", type="arrow", **options)
        return calls

    return make


def test_a_relation_is_a_table_of_rows(simulator: Simulator, client: Client, con: Any) -> None:
    asked = con.sql("SELECT id, prompt FROM t ORDER BY id LIMIT 4")
    assert client.plan("demo/poet", asked).to_pay == DISTINCT
    rows = asked.to_arrow_table()
    con.register("results", to_arrow(client.map("demo/poet", rows)))
    assert simulator.created == DISTINCT
    found = con.sql("SELECT id, status, output FROM rows POSITIONAL JOIN results").fetchall()
    assert [each[:2] for each in found] == [(number, "succeeded") for number in range(4)]
    assert found[0][2] == found[3][2] != found[1][2]


def test_a_null_that_the_model_needs_makes_its_row_invalid(
    simulator: Simulator, client: Client, con: Any
) -> None:
    asked = con.sql("SELECT NULL::VARCHAR AS prompt UNION ALL SELECT 'sea'")
    assert {result.status for result in client.map("demo/poet", asked)} == {"invalid", "succeeded"}
    assert simulator.created == 1


def test_a_connection_is_refused(simulator: Simulator, client: Client, con: Any) -> None:
    with pytest.raises(InputError, match="The rows are a DuckDBPyConnection"):
        client.map("demo/poet", con.execute("SELECT prompt FROM t"))
    assert simulator.created == 0


@pytest.mark.parametrize(
    ("query", "rows", "created"),
    [
        ("EXPLAIN SELECT poem('sea')", 0, 0),
        ("EXPLAIN SELECT poem(prompt) FROM t", 0, 0),
        ("DESCRIBE SELECT poem('sea')", 0, 0),
        ("CREATE VIEW v AS SELECT poem(prompt) FROM t", 0, 0),
        ("SELECT count(*) FROM (SELECT poem(prompt) FROM t)", 0, 0),
        ("SELECT poem(NULL)", 0, 0),
        ("SELECT poem(prompt) FROM t LIMIT 3", 3, 3),
        ("SELECT poem(prompt), poem(prompt) FROM t LIMIT 3", 6, 3),
        ("SELECT poem(prompt) FROM (SELECT * FROM t ORDER BY id LIMIT 3)", 3, 3),
        ("SELECT poem(prompt) FROM t ORDER BY id LIMIT 3", ROWS, 3),
        ("SELECT count(poem(prompt)) FROM t", ROWS, 3),
    ],
)
def test_what_a_query_pays_for_with_side_effects_and_a_journal(
    query: str,
    rows: int,
    created: int,
    simulator: Simulator,
    function: Callable[..., list[int]],
    con: Any,
    tmp_path: Path,
) -> None:
    calls = function(tmp_path / "journal.sqlite", side_effects=True)
    con.execute(query).fetchall()
    assert (sum(calls), simulator.created) == (rows, created)


def test_a_filter_asks_for_whole_vectors(
    function: Callable[..., list[int]], con: Any, tmp_path: Path
) -> None:
    calls = function(tmp_path / "journal.sqlite", side_effects=True)
    con.execute("SELECT id FROM t WHERE poem(prompt) IS NOT NULL LIMIT 1").fetchall()
    assert sum(calls) >= 2048


def test_without_side_effects_explain_pays(
    simulator: Simulator, function: Callable[..., list[int]], con: Any, tmp_path: Path
) -> None:
    function(tmp_path / "journal.sqlite")
    con.execute("EXPLAIN SELECT poem('sea')").fetchall()
    assert simulator.created == 1


def test_without_a_journal_each_call_pays(
    simulator: Simulator, function: Callable[..., list[int]], con: Any
) -> None:
    function(None, side_effects=True)
    con.execute("SELECT poem(prompt), poem(prompt) FROM t LIMIT 3").fetchall()
    assert simulator.created == 2 * DISTINCT


def test_threads_that_share_a_journal_pay_once(
    simulator: Simulator, function: Callable[..., list[int]], con: Any, tmp_path: Path
) -> None:
    con.sql(
        "CREATE TABLE large AS SELECT prompt FROM t, range(25)"
    )  # of several row groups, as threads divide them
    calls = function(tmp_path / "journal.sqlite", side_effects=True)
    con.execute("SELECT count(poem(prompt)) FROM large WHERE prompt < 'p2'").fetchall()
    assert simulator.created == 2
    assert len(calls) > 1
