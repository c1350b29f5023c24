"""Expressions and LazyFrames: nothing is called before polars evaluates them, and no row is paid twice by one."""

from __future__ import annotations

import gc
import pickle
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from replicate_kit import Client, col, template
from replicate_kit.batch import Budget, journals
from replicate_kit.errors import BatchError, InputError, JournalError, NotFound, ReplicateError
from replicate_kit.simulator import Simulator
from replicate_kit_polars import accessor_of

Query = Callable[[pl.LazyFrame, pl.Expr], pl.LazyFrame]

FRAME = pl.DataFrame({"text": ["a", "b", None, "a", "c", "b"], "n": [1, 2, 3, 4, 5, 6]})
DISTINCT = 3


ENGINES: dict[str, Callable[[pl.LazyFrame], pl.DataFrame]] = {
    "without optimizations": lambda lf: lf.collect(optimizations=pl.QueryOptFlags.none()),
    "in memory": lambda lf: lf.collect(engine="in-memory"),
    "streaming": lambda lf: lf.collect(engine="streaming"),
}
engines = pytest.mark.parametrize("collect", ENGINES.values(), ids=ENGINES)

QUERIES: dict[str, Query] = {
    "once": lambda lf, e: lf.with_columns(x=e),
    "twice": lambda lf, e: lf.with_columns(x=e, y=e),
    "twice in a selection": lambda lf, e: lf.select(x=e, y=e + "?"),
    "one after the other": lambda lf, e: lf.with_columns(x=e).with_columns(y=e),
    "and what is made of it": lambda lf, e: lf.with_columns(x=e, y=e.str.len_chars()),
    "in a structure": lambda lf, e: lf.select(pl.struct(x=e, y=e)),
    "filtered by it": lambda lf, e: lf.with_columns(x=e).filter(e != "A!"),
    "filtered by the column": lambda lf, e: lf.with_columns(x=e).filter(pl.col("x") != "A!"),
    "sorted by it": lambda lf, e: lf.with_columns(x=e).sort(e),
    "the first after sorting": lambda lf, e: lf.with_columns(x=e).sort("n").head(3),
    "grouped by it": lambda lf, e: lf.group_by(e.alias("x")).agg(pl.len()),
    "within groups": lambda lf, e: lf.group_by("n").agg(e.first().alias("x")),
    "over groups": lambda lf, e: lf.with_columns(x=e, y=pl.len().over(e)),
    "on both branches": lambda lf, e: lf.with_columns(x=pl.when(pl.col("n") > 2).then(e).otherwise(e)),
    "on one branch": lambda lf, e: lf.with_columns(x=pl.when(pl.col("n") > 2).then(e)),
    "joined with itself": lambda lf, e: lf.with_columns(x=e).join(lf.with_columns(y=e), on="n"),
    "below itself": lambda lf, e: pl.concat([lf.with_columns(x=e), lf.with_columns(x=e)]),
    "distinct": lambda lf, e: lf.with_columns(x=e).unique(),
    "cached": lambda lf, e: pl.concat([lf.with_columns(x=e).cache()] * 2),
    "in order of appearance": lambda lf, e: lf.with_columns(x=e.reverse(), y=e),
}
"""Shapes of queries that have an expression once or more often."""


@engines
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_an_expression_pays_once_for_each_row(
    query: Query, collect: Callable[[pl.LazyFrame], pl.DataFrame], client: Client, simulator: Simulator
) -> None:
    shout = pl.col("text").replicate.run("acme/shout", client=client)
    made = query(FRAME.lazy(), shout)
    assert made.collect_schema().len()
    assert made.explain()
    assert simulator.created == 0
    first = collect(made)
    assert simulator.created == DISTINCT
    assert first.height
    collect(made)
    assert simulator.created == DISTINCT


def test_an_eager_frame_pays_once_for_each_row(client: Client, simulator: Simulator) -> None:
    shout = pl.col("text").replicate.run("acme/shout", client=client)
    made = FRAME.with_columns(x=shout, y=shout).select("x", "y", z=shout)
    assert made["x"].to_list() == ["A!", "B!", None, "A!", "C!", "B!"]
    assert made["x"].equals(made["y"])
    assert made["x"].equals(made["z"])
    assert simulator.created == DISTINCT


@engines
def test_parts_on_several_threads_share_what_they_pay_for(
    collect: Callable[[pl.LazyFrame], pl.DataFrame], client: Client, simulator: Simulator
) -> None:
    lf = pl.LazyFrame({"text": [f"{n % 7}" for n in range(2000)]})
    shout = pl.col("text").replicate.run("acme/shout", client=client)
    made = collect(lf.with_columns(x=shout, y=shout))
    assert made["y"].to_list() == [f"{n % 7}!" for n in range(2000)]
    assert simulator.created == 7


SOME: dict[str, tuple[Query, int]] = {
    "the first": (lambda lf, e: lf.with_columns(x=e).head(3), 3),
    "a slice": (lambda lf, e: lf.with_columns(x=e).slice(4, 2), 2),
    "filtered by another column": (lambda lf, e: lf.with_columns(x=e).filter(pl.col("n") < 5), 5),
    "filtered before": (lambda lf, e: lf.filter(pl.col("n") < 5).with_columns(x=e), 5),
    "sorted and cut before": (lambda lf, e: lf.sort("n").head(3).with_columns(x=e), 3),
    "without the column": (lambda lf, e: lf.with_columns(x=e).select("n"), 0),
    "of no rows": (lambda lf, e: lf.head(0).with_columns(x=e), 0),
}
"""Queries that need some of the rows alone, and how many."""


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
@pytest.mark.parametrize(("query", "count"), SOME.values(), ids=SOME)
def test_rows_that_a_query_does_not_need_are_not_paid_for(
    query: Query, count: int, engine: Any, client: Client, simulator: Simulator
) -> None:
    lf = pl.LazyFrame({"text": [str(n) for n in range(500)], "n": range(500)})
    shout = pl.col("text").replicate.run("acme/shout", client=client)
    query(lf, shout).collect(engine=engine)
    assert simulator.created == count


@pytest.mark.parametrize("details", [False, True])
def test_looking_at_a_query_calls_nothing(details: bool, client: Client, simulator: Simulator) -> None:
    made = FRAME.lazy().replicate.run("acme/shout", client=client, details=details)
    shout = pl.struct("text").replicate.run("acme/shout", client=client, details=details)
    query = made.with_columns(shout.alias("other")).select(pl.all().name.suffix("_"))
    for look in (query.explain, query.collect_schema, query.__repr__, query.lazy, shout.meta.root_names):
        look()
    query.explain(optimized=False)
    assert sum(simulator.calls.values()) == 0
    with pytest.warns(UserWarning, match="journal="):  # both pay
        assert query.collect().schema == query.collect_schema()


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_a_lazy_frame_has_the_result_beside_its_columns(
    engine: Any, client: Client, simulator: Simulator
) -> None:
    made = FRAME.lazy().replicate.run("acme/shout", {"text": template("{text}{n}")}, client=client)
    assert made.collect_schema() == {**FRAME.schema, "output": pl.String}
    assert made.head(3).collect(engine=engine)["output"].to_list() == ["A1!", "B2!", None]
    assert simulator.created == 2
    assert made.collect(engine=engine)["output"].to_list() == ["A1!", "B2!", None, "A4!", "C5!", "B6!"]
    assert simulator.created == 5


READ: dict[str, tuple[Any, list[str]]] = {
    "a column": ({"text": col("text")}, ["text"]),
    "a template": ({"text": template("{text} {text} {n}")}, ["text", "n"]),
    "columns within": ({"text": "a", "marks": [{"is": [col("text")]}, template("{^n$}")]}, ["text", "^n$"]),
    "an odd name": ({"text": template("{^n$}")}, ["^n$"]),
    "a wildcard": ({"text": template("{*}")}, ["*"]),
    "a function": ({"text": lambda row: row["text"]}, ["text", "n", "other", "^n$", "*"]),
    "a function within": ({"text": col("text"), "m": [lambda row: 1]}, ["text", "n", "other", "^n$", "*"]),
    "nothing": (None, ["text", "n", "other", "^n$", "*"]),
}
"""Inputs of a table, and the columns of it that they may need."""


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
@pytest.mark.parametrize(("input", "columns"), READ.values(), ids=READ)
def test_only_the_columns_that_the_input_needs_are_read(
    input: dict[str, Any] | None, columns: list[str], engine: Any, client: Client, tmp_path: Path
) -> None:
    frame = pl.DataFrame({"text": ["a", "b"], "n": "x", "other": "y", "^n$": ["c", "d"], "*": "*"})
    frame.write_parquet(tmp_path / "texts.parquet")
    scan = pl.scan_parquet(tmp_path / "texts.parquet")
    made = scan.replicate.run("acme/shout", input, client=client, check_input=False)
    only = made.select("output")
    project = f"PROJECT {len(columns)}/5 COLUMNS" if len(columns) < 5 else r"PROJECT (5|\*)/5 COLUMNS"
    assert re.search(project, only.explain())
    output = only.head(1).collect(engine=engine)["output"]
    assert output.to_list() == made.head(1).collect(engine=engine)["output"].to_list()
    assert made.collect_schema().names() == [*frame.columns, "output"]


def test_details_are_columns_and_fields(client: Client) -> None:
    lf = pl.LazyFrame({"text": ["a", None, "bad"]})
    made = lf.replicate.run("acme/shout", client=client, details=True, errors="collect", price=0.5).collect()
    assert made.columns == ["text", "output", "status", "error", "prediction_id", "seconds", "cached", "cost"]
    assert made["status"].to_list() == ["succeeded", "null", "failed"]
    assert made.schema["cost"] == pl.Float64
    assert "cannot be shouted" in made["error"][2]
    shout = pl.col("text").replicate.run("acme/shout", client=client, details=True, errors="collect")
    assert lf.select(shout.struct.field("status")).collect()["status"].to_list() == made["status"].to_list()


def test_a_struct_is_a_table_unless_it_fills_an_input(client: Client) -> None:
    both = pl.struct("text", "n")
    made = FRAME.head(1).select(
        x=both.replicate.run("acme/shout", {"text": template("{text}-{n}")}, client=client),
        y=both.replicate.run("acme/any", {"text": lambda row: f"[{row['n']}]"}, client=client),
    )
    assert made.row(0) == ("A-1!", "[1]")
    with pytest.raises(InputError, match="given: object"):
        FRAME.select(both.replicate.run("acme/shout", into="text", client=client))


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ('"sea"', "sea"),
        ("7", "7"),
        ('{"a": [1, null]}', '{"a": [1, null]}'),
        ("null", None),
        ('["é"]', '["é"]'),
    ],
)
def test_outputs_are_texts(text: str, output: str | None, client: Client) -> None:
    made = pl.DataFrame({"text": [text]}).select(pl.col("text").replicate.run("acme/any", client=client))
    assert made.to_dict(as_series=False) == {"output": [output]}


# Journals.


@pytest.mark.parametrize("kind", ["a file", "in memory"])
def test_expressions_that_were_built_apart_share_a_journal(
    kind: str, client: Client, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    journal = "shouts.sqlite" if kind == "a file" else f"memory://{tmp_path.name}"
    one, other = (
        pl.col("text").replicate.run("acme/shout", client=client, journal=journal) for _ in range(2)
    )
    monkeypatch.chdir("/")  # a path means what it meant when the expression was built
    FRAME.lazy().with_columns(x=one, y=other).collect(engine="streaming")
    FRAME.with_columns(x=one, y=other)
    assert simulator.created == DISTINCT
    assert (tmp_path / "shouts.sqlite").is_file() == (kind == "a file")


EVALUATIONS: dict[str, Callable[[pl.Expr, pl.Expr], Any]] = {
    "one select": lambda one, other: FRAME.select(x=one, y=other),
    "two selects": lambda one, other: [FRAME.select(each) for each in (one, other)],
    "two queries": lambda one, other: [FRAME.lazy().select(each).collect() for each in (one, other)],
    "a lazy query": lambda one, other: FRAME.lazy().with_columns(x=one, y=other).collect(),
    "a lazy query twice": lambda one, other: [
        FRAME.lazy().select(x=one, y=other).collect() for _ in range(2)
    ],
    "streaming": lambda one, other: FRAME.lazy().with_columns(x=one, y=other).collect(engine="streaming"),
}
"""Ways to evaluate two expressions that are both there meanwhile."""

PAIRS: dict[str, tuple[dict[str, Any], int]] = {
    "built apart": ({}, 1),
    "with one journal": ({"journal": ...}, 0),
    "over other inputs": ({"input": {"mark": "?"}}, 0),
    "over other models": ({"model": "acme/any"}, 0),
}
"""What a second expression has that the first one has not, and how often rows that both pay for are told of."""


@pytest.mark.parametrize("evaluate", EVALUATIONS.values(), ids=EVALUATIONS)
@pytest.mark.parametrize(("options", "count"), PAIRS.values(), ids=PAIRS)
def test_the_one_that_pays_second_says_so(
    options: dict[str, Any],
    count: int,
    evaluate: Callable[[pl.Expr, pl.Expr], Any],
    client: Client,
    simulator: Simulator,
    tmp_path: Path,
) -> None:
    if "journal" in options:
        options = {"journal": tmp_path / "both.sqlite"}
    both: dict[str, Any] = {"client": client, "journal": options.get("journal")}
    texts = pl.col("text").replace_strict({"a": "1", "b": "2", "c": "3"})
    one = accessor_of(texts).run("acme/shout", **both)
    other = accessor_of(texts).run(**{"model": "acme/shout", **both, **options})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        evaluate(one, other)
    # Each part tells for itself: of two expressions at the same time, each may be the second for some rows.
    assert count <= len(caught) <= 2 * count
    assert len({(each.filename, each.lineno) for each in caught}) == len(caught)
    for each in caught:
        assert (each.category, each.filename) == (UserWarning, __file__)
        assert re.search(r"has paid for \d rows? of acme/shout so far", str(each.message))
    assert simulator.created == (DISTINCT if "journal" in options else 2 * DISTINCT)


@pytest.mark.parametrize("collect", ENGINES.values(), ids=ENGINES)
def test_nothing_is_said_of_an_expression_that_is_gone(
    collect: Callable[[pl.LazyFrame], pl.DataFrame], client: Client, simulator: Simulator
) -> None:
    for _ in range(2):  # warnings are errors
        collect(FRAME.lazy().replicate.run("acme/shout", client=client))
    assert simulator.created == 2 * DISTINCT


def test_what_an_expression_remembers_goes_with_it(client: Client) -> None:
    shout = pl.col("text").replicate.run("acme/shout", client=client)
    with pytest.raises(BatchError) as caught:
        pl.DataFrame({"text": ["bad"]}).select(shout)
    journal = caught.value.journal
    assert journal is not None
    assert f"retry({journal!r})" in str(caught.value)
    assert len(list(journals.entries(journal))) == 1
    caught.value.__traceback__ = None
    del shout, caught
    gc.collect()
    with pytest.raises(JournalError):
        list(journals.entries(journal))


def test_an_error_has_what_was_paid_for_by_an_expression_that_is_gone(
    client: Client, simulator: Simulator
) -> None:
    frame = pl.DataFrame({"text": ["a", "bad", "b"]})
    with pytest.raises(BatchError) as caught:
        frame.select(pl.col("text").replicate.run("acme/shout", client=client))
    gc.collect()
    shout = pl.col("text").replicate.run(
        "acme/shout", client=client, journal=caught.value.journal, errors="collect"
    )
    del caught
    gc.collect()
    assert frame.select(shout).to_series().to_list() == ["A!", None, "B!"]
    assert simulator.created == 3


def test_failed_rows_are_paid_again_when_that_is_said(client: Client, simulator: Simulator) -> None:
    shout = pl.col("text").replicate.run("acme/shout", client=client)
    bad = pl.DataFrame({"text": ["a", "bad"]})
    for _ in range(2):
        with pytest.raises(BatchError, match=r"row with text='bad': this text cannot be shouted") as caught:
            bad.select(shout)
    assert simulator.created == 2
    assert caught.value.journal is not None
    journals.retry(caught.value.journal)
    with pytest.raises(BatchError):
        bad.select(shout)
    assert simulator.created == 3


@pytest.mark.parametrize("kept", [True, False], ids=["in a file", "in memory"])
def test_a_budget_is_of_all_parts_together(
    client: Client, simulator: Simulator, tmp_path: Path, kept: bool
) -> None:
    options: Any = {"journal": tmp_path / "journal.sqlite"} if kept else {}
    shout = pl.col("text").replicate.run(
        "acme/shout", client=client, budget=Budget(predictions=5, per="journal"), errors="collect", **options
    )
    lf = pl.concat(
        [pl.LazyFrame({"text": [f"{part} {n}" for n in range(9)]}).select(shout) for part in range(4)]
    )
    assert lf.collect(engine="streaming")["output"].drop_nulls().len() == 5
    assert simulator.created == 5


def test_progress_is_shown(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    shout = pl.col("text").replicate.run("acme/shout", client=client, progress=True)
    FRAME.select(shout)
    for thread in threading.enumerate():
        if thread.name == "replicate-kit-follow":
            thread.join(20)
    assert "3" in capsys.readouterr().err


# Errors.

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an input": ({"prompt": "a"}, r"run does not know the option prompt.*input={'prompt': 'a'}"),
    "samples": ({"dedupe": False}, "dedupe= has no meaning over parts"),
    "a limit": ({"limit": 3}, r"such as head\("),
    "an earlier result": ({"retry": "failed"}, r"journals\.retry"),
    "rows for files": ({"files": "explode"}, r"files='list'.*json_decode"),
    "a budget of one part": ({"budget": Budget(money=1)}, r"per='journal'"),
    "a token for workers": ({"send_token": True}, "does not know the option send_token"),
    "a journal that is none": ({"journal": 5}, "journal"),
    "a store of nobody's": ({"journal": "mongodb://host"}, "no package is installed"),
    "an odd model": ({"model": 5}, ""),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused_when_the_query_is_built(
    options: dict[str, Any], message: str, client: Client, simulator: Simulator
) -> None:
    for each in (accessor_of(pl.col("text")), accessor_of(FRAME.lazy())):
        with pytest.raises(ReplicateError, match=f"(?s){message}") as caught:
            each.run(**{"model": "acme/shout", "client": client, **options})
        assert "partition" not in str(caught.value)
    assert simulator.created == 0


def test_columns_of_a_lazy_frame_are_checked_when_the_query_is_built(client: Client) -> None:
    with pytest.raises(InputError, match="Did you mean 'text'"):
        FRAME.lazy().replicate.run("acme/shout", {"text": col("txt")}, client=client)
    with pytest.raises(InputError, match="has no columns"):
        pl.LazyFrame().replicate.run("acme/shout", client=client)
    taken = FRAME.lazy().rename({"n": "status"})
    taken.replicate.run("acme/shout", client=client)
    with pytest.raises(
        InputError, match=r"has columns that the result has, too: status\..*rename\({'status'"
    ):
        taken.replicate.run("acme/shout", client=client, details=True)


@engines
def test_errors_are_what_they_were(
    collect: Callable[[pl.LazyFrame], pl.DataFrame], client: Client, simulator: Simulator
) -> None:
    def over(**options: Any) -> pl.DataFrame:
        chosen = {"model": "acme/shout", "into": "text", "client": client, **options}
        return collect(FRAME.lazy().select(accessor_of(pl.col("n")).run(**chosen)))

    with pytest.raises(NotFound, match="There is no model 'acme/nobody'") as missing:
        over(model="acme/nobody")
    assert missing.value.status == 404
    assert pickle.loads(pickle.dumps(missing.value)).status == 404
    with pytest.raises(InputError, match=r"nothing of this part was created(?s:.*)with n=") as refused:
        over()
    assert type(pickle.loads(pickle.dumps(refused.value))) is InputError
    assert simulator.created == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["a", None], r"with text=\['a', None\]:"),
        ({"n": [1, 2]}, r"with n=\[1, 2\]:"),
        ([{"n": 1}], r"with text=\[{'n': 1}\]:"),
    ],
)
def test_errors_call_a_row_by_what_it_holds(value: Any, said: str, client: Client) -> None:
    shout = pl.col("text").replicate.run("acme/shout", into="text", client=client)
    with pytest.raises(InputError, match=said):
        pl.DataFrame({"text": [value]}).select(shout)


def test_a_query_stays_in_its_process(client: Client) -> None:
    lf = FRAME.lazy().with_columns(pl.col("text").replicate.run("acme/shout", client=client))
    pytest.importorskip("cloudpickle")
    with pytest.raises(pl.exceptions.ComputeError, match="cannot be sent to another one"):
        lf.serialize()


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("engine", ["in-memory", "streaming", "eager"])
def test_ctrl_c_cancels_what_is_in_flight(engine: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, engine], capture_output=True, text=True, timeout=100
    )
    assert done.stdout.split() == ["10", "canceled"], done.stderr


INTERRUPTED = """
import os, signal, sys, threading, time
import polars as pl
from replicate_kit import Client
from replicate_kit.simulator import Simulator, sleep

simulator = Simulator()


@simulator.model("acme/long")
def long(text: str) -> str:
    sleep(3600)
    return text


def interrupt():
    while simulator.created < 10:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)


client = Client(backend=simulator)
frame = pl.DataFrame({"text": [str(n) for n in range(10)]})
long = pl.col("text").replicate.run("acme/long", client=client)
threading.Thread(target=interrupt, daemon=True).start()
try:
    try:
        if sys.argv[1] == "eager":
            frame.select(long)
        else:
            frame.lazy().select(long).collect(engine=sys.argv[1])
    finally:
        time.sleep(0.5)  # Python's own interrupt may come after that of polars
except KeyboardInterrupt:
    print(simulator.created, *{each.status for each in client.predictions.list()}, flush=True)
os._exit(0)
"""
