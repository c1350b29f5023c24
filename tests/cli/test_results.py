"""Results of another run are not lost, nor outputs that expire; and what it cost stands beside what was estimated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from replicate_kit.cli._tables.tables import read_rows, write_rows
from replicate_kit.simulator import default

Invoke = Callable[..., Result]

PAINTER = ("demo/painter", "-i", "prompt=prompt", "-s", "width=16", "-s", "height=16")
POET = ("demo/poet", "-i", "prompt=prompt", "-s", "lines=1")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_rows(tmp_path / "t.csv", ["prompt"], [{"prompt": "sea"}, {"prompt": "hill"}, {"prompt": None}])
    return tmp_path / "t.csv"


def run(invoke: Invoke, table: Path, model: tuple[str, ...], *options: object) -> Result:
    """Run a model over a table."""
    return invoke("map", model[0], table, *model[1:], *options)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (PAINTER, (), "holds results of demo/poet, so nothing was created"),
        (
            POET,
            ("--journal", "other.sqlite"),
            "that the journal other.sqlite does not know, so nothing was created",
        ),
    ],
)
def test_results_of_another_run_are_kept(
    invoke: Invoke,
    table: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    model: tuple[str, ...],
    options: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(table.parent)
    out = table.with_name(f"r{suffix}")
    assert run(invoke, table, POET, "--out", out).exit_code == 0
    kept, created = out.read_bytes(), default().created
    refused = run(invoke, table, model, *options, "--out", out)
    assert (refused.exit_code, out.read_bytes(), default().created) == (2, kept, created)
    assert said in refused.stderr
    assert "pass --force" in refused.stderr
    assert run(invoke, table, model, *options, "--out", out, "--dry-run").exit_code == 0
    assert run(invoke, table, model, *options, "--out", out, "--force").exit_code == 0
    assert out.read_bytes() != kept


@pytest.mark.parametrize(
    "content",
    [
        b"any text",
        b"prompt,output\nsea,mine\n",
        b"prediction_id\n\n",
        b"prediction_id,b\n,\n",
        b"a;b,prediction_id\n1;2,3\n",
    ],
)
def test_what_holds_no_results_is_kept_unless_forced(invoke: Invoke, table: Path, content: bytes) -> None:
    out = table.with_name("r.csv")
    out.write_bytes(content)
    created = default().created
    refused = run(invoke, table, POET, "--out", out)
    assert (refused.exit_code, out.read_bytes(), default().created) == (2, content, created)
    assert "holds no results of this command" in refused.stderr
    assert run(invoke, table, POET, "--out", out, "--force").exit_code == 0
    assert [row["status"] for row in read_rows(out)] == ["succeeded", "succeeded", "skipped"]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".jsonl", ".parquet"])
def test_a_part_does_not_replace_the_whole_unless_forced(invoke: Invoke, table: Path, suffix: str) -> None:
    out = table.with_name(f"r{suffix}")
    for options in (("--limit", 1), ("--limit", 2), (), ("--limit", 3), ()):
        assert run(invoke, table, POET, "--out", out, *options).exit_code == 0
    kept = out.read_bytes()
    refused = run(invoke, table, POET, "--out", out, "--limit", 2)
    assert (refused.exit_code, out.read_bytes()) == (2, kept)
    assert "holds 3 rows of results, and with --limit 2 this run would leave 2" in refused.stderr
    assert run(invoke, table, POET, "--out", out, "--limit", 2, "--force").exit_code == 0
    assert len(list(read_rows(out))) == 2


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_results_without_any_prediction_are_results(invoke: Invoke, table: Path, suffix: str) -> None:
    write_rows(table, ["prompt", "cost"], [{"prompt": None, "cost": "1"}, {"prompt": None, "cost": None}])
    out = table.with_name(f"r{suffix}")
    for _ in range(2):
        assert run(invoke, table, POET, "--out", out).exit_code == 0


def test_an_empty_file_is_replaced(invoke: Invoke, table: Path) -> None:
    out = table.with_name("r.csv")
    out.touch()
    assert run(invoke, table, POET, "--out", out).exit_code == 0
    assert [row["status"] for row in read_rows(out)] == ["succeeded", "succeeded", "skipped"]


def test_results_of_the_same_run_are_replaced(invoke: Invoke, table: Path) -> None:
    flaky = ("demo/flaky", "-i", "prompt=prompt", "-s", "failure_rate=1", "--retries", "0")
    for more in (("--limit", 1), (), ("--retry", "failed"), ()):
        assert run(invoke, table, flaky, *more).exit_code == 3


def test_ids_that_came_with_the_table_are_not_those_of_its_results(invoke: Invoke, table: Path) -> None:
    first, second = table.with_name("1.csv"), table.with_name("2.csv")
    run(invoke, table, POET, "--out", first)
    for _ in range(2):
        assert run(invoke, first, PAINTER, "--out", second).exit_code == 0
    assert "holds results of demo/painter" in run(invoke, first, POET, "--out", second).stderr


@pytest.mark.parametrize(
    ("model", "options", "warned"),
    [
        (PAINTER, (), True),
        (PAINTER, ("--quiet",), True),
        (PAINTER, ("--json",), True),
        (PAINTER, ("--save-to", "PICTURES"), False),
        (POET, (), False),
    ],
)
def test_files_that_expire_unsaved_are_warned_of(
    invoke: Invoke, table: Path, model: tuple[str, ...], options: tuple[str, ...], warned: bool
) -> None:
    given = [str(table.with_name("pictures")) if each == "PICTURES" else each for each in options]
    said = "Warning: the API removes output files an hour after they are made, and nothing saves them (--save-to)"
    assert (said in run(invoke, table, model, *given).stderr) == warned
    assert said not in run(invoke, table, model, *given).stderr  # there is nothing left to pay


def test_the_estimate_stands_beside_the_cost(invoke: Invoke, table: Path) -> None:
    assert "cost 1.00; the estimate was 1.00 at most\n" in run(invoke, table, POET, "--price", 0.5).stdout
    assert "cost 0; the estimate was 0 at most\n" in run(invoke, table, POET, "--price", 0.5).stdout
    assert "cost" not in run(invoke, table, POET).stdout
    again = run(
        invoke,
        table,
        POET,
        "--price",
        0.5,
        "--no-dedupe",
        "--json",
        "--journal",
        table.with_name("j"),
        "--force",
    )
    summary = json.loads(again.stdout)
    assert (summary["cost"], summary["estimate"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    "content", [b"mine", b"<!doctype html>\n<html><title>Mine</title></html>\n", b"\xff\xfe\0"]
)
def test_a_page_that_is_none_of_ours_is_kept_unless_forced(
    invoke: Invoke, table: Path, content: bytes
) -> None:
    page = table.with_name("mine.html")
    page.write_bytes(content)
    created = default().created
    refused = run(invoke, table, POET, "--gallery", page)
    assert (refused.exit_code, page.read_bytes(), default().created) == (2, content, created)
    assert "--gallery, or pass --force" in refused.stderr
    assert run(invoke, table, POET, "--gallery", page, "--dry-run").exit_code == 0
    assert run(invoke, table, POET, "--gallery", page, "--force").exit_code == 0
    assert b"Content-Security-Policy" in page.read_bytes()


@pytest.mark.parametrize("begun", [True, False])
def test_our_own_page_and_an_empty_file_are_replaced(invoke: Invoke, table: Path, begun: bool) -> None:
    page = table.with_name("page.html")
    if begun:
        assert run(invoke, table, POET, "--gallery", page, "--limit", 1).exit_code == 0
    else:
        page.touch()
    before = page.read_bytes()
    assert run(invoke, table, POET, "--gallery", page).exit_code == 0
    assert page.read_bytes() != before
