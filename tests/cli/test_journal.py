"""`replicate-kit journal`: what `map` remembers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import Result

from replicate_kit import Client
from replicate_kit.batch.journals import entries
from replicate_kit.cli._commands.journal import read_age
from replicate_kit.cli._tables.tables import read_columns, read_rows, write_rows
from replicate_kit.simulator import default

Invoke = Callable[..., Result]


@pytest.fixture
def journal(invoke: Invoke, tmp_path: Path) -> Path:
    """The journal of a run with one good row and one bad one."""
    write_rows(
        tmp_path / "rows.csv",
        ["prompt", "failure_rate"],
        [{"prompt": "a", "failure_rate": 0}, {"prompt": "b", "failure_rate": 1}],
    )
    assert again(invoke, tmp_path) == 2
    return tmp_path / "rows.journal.sqlite"


def again(invoke: Invoke, folder: Path) -> int:
    """Run it (again); tell how many predictions that made."""
    before = default().created
    assert invoke("map", "demo/flaky", folder / "rows.csv", "--retries", 0).exit_code == 3
    return default().created - before


def test_list_describes_journals(invoke: Invoke, journal: Path) -> None:
    (described,) = json.loads(invoke("journal", "list", journal, "--json").stdout)
    assert described["states"] == {"failed": 1, "finished": 1}
    line = invoke("journal", "list", journal).stdout
    assert "demo/flaky" in line
    assert "1 failed, 1 finished" in line


def test_list_without_names_shows_what_unfinished_runs_left(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    result = invoke("journal", "list")
    assert result.exit_code == 0
    assert "No unfinished run has left a journal" in " ".join(result.stderr.split())


def test_export_writes_a_row_for_each_prediction(invoke: Invoke, journal: Path, tmp_path: Path) -> None:
    assert invoke("journal", "export", journal, tmp_path / "all.csv").stdout.startswith("2 rows in ")
    invoke("journal", "export", journal, tmp_path / "failed.jsonl", "--state", "failed")
    (failed,) = read_rows(tmp_path / "failed.jsonl")
    assert json.loads(failed["input"])["prompt"] == "b"
    assert "interrupted" in failed["error"]


def test_export_has_types_of_its_own_in_parquet(invoke: Invoke, journal: Path, tmp_path: Path) -> None:
    invoke("journal", "export", journal, tmp_path / "all.parquet")
    types = {name: str(kind) for name, kind in read_columns(tmp_path / "all.parquet").items()}
    assert (types["stored_in"], types["cost"], types["attempts"]) == ("string", "double", "int64")


def test_export_to_where_nothing_can_be_written_is_an_error(invoke: Invoke, journal: Path) -> None:
    result = invoke("journal", "export", journal, journal / "all.csv")
    assert result.exit_code == 2
    assert "is a file, and not a folder" in result.stderr


def test_costs_are_added_up_and_what_is_not_known_is_said(invoke: Invoke, journal: Path) -> None:
    options = ("--price", 0.25, "--label", "nightly", "--retry", "failed", "--retries", 0)
    invoke("map", "demo/flaky", journal.parent / "rows.csv", *options)
    lines = invoke("journal", "costs", journal, "--by", "label", "--by", "model").stdout.splitlines()
    assert lines[-3:] == [
        "nightly\tdemo/flaky\t1 failed\t0.25\t",
        "no label\tdemo/flaky\t1 failed, 1 succeeded\tnot known\t2 without a price",
        "total\t\t2 failed, 1 succeeded\t0.25\t2 without a price",
    ]
    found = json.loads(invoke("journal", "costs", journal, "--json").stdout)
    assert [each["group"]["label"] for each in found["costs"]] == ["nightly", None]
    assert (found["total"]["predictions"], found["total"]["cost"], found["total"]["unpriced"]) == (3, 0.25, 2)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--since", "2999-01-01"), 0, "none\t0"),
        (("--until", "2001-01-01T00:00:00Z"), 0, "none\t0"),
        (("--since", "soon"), 2, "2026-08-01"),
        (("--by", "week"), 2, "is not one of"),
    ],
)
def test_costs_of_a_time(
    invoke: Invoke, journal: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    result = invoke("journal", "costs", journal, *options)
    assert (result.exit_code, said in result.output) == (code, True)


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_reconcile_says_what_differs(invoke: Invoke, journal: Path, options: tuple[str, ...]) -> None:
    result = invoke("journal", "reconcile", journal, *options)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "0 still open, 0 predictions not in the journal, of 2 listed" in " ".join(result.stderr.split())
    with Client(backend="mock") as client:
        more = client.predictions.create(
            model="demo/flaky", input={"prompt": "a", "failure_rate": 0}, wait=True
        )
    result = invoke("journal", "reconcile", journal, *options)
    assert (result.exit_code, result.stdout.startswith("not in the journal\t")) == (3, True)
    cut = invoke("journal", "reconcile", journal, *options, "--limit", 1)
    assert (cut.exit_code, "Pass a larger --limit" in " ".join(cut.stderr.split())) == (3, True)
    found = json.loads(invoke("journal", "reconcile", journal, "--json", *options).stdout)
    assert (found["changed"], found["left"]) == ([], [])
    assert [each["prediction_id"] for each in found["lacking"]] == [more.id]


def test_retry_lets_the_next_run_pay_again_for_what_failed(invoke: Invoke, journal: Path) -> None:
    assert again(invoke, journal.parent) == 0
    assert invoke("journal", "retry", journal).stdout == "the next run pays again for 1 row\n"
    assert again(invoke, journal.parent) == 1


def test_prune_forgets_what_is_old_enough_if_that_is_confirmed(invoke: Invoke, journal: Path) -> None:
    assert invoke("journal", "prune", journal, stdin="n\n").exit_code == 1
    assert invoke("journal", "prune", journal, "--yes", "--older-than", "1d").stdout == "0 rows forgotten\n"
    assert invoke("journal", "prune", journal, "--state", "failed", stdin="y\n").stdout == "1 row forgotten\n"
    assert again(invoke, journal.parent) == 1


def test_remove_removes_the_file(invoke: Invoke, journal: Path) -> None:
    assert invoke("journal", "remove", journal, "--yes").exit_code == 0
    assert not journal.exists()


@pytest.fixture
def unknown(invoke: Invoke, journal: Path) -> str:
    """The key of a row of the journal that is made unknown."""
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute(
            "UPDATE items SET state = 'unknown', status = 'unknown', prediction_id = NULL WHERE state = 'failed'"
        )
    (entry,) = entries(journal, ["unknown"])
    return str(entry["key"])


def test_settle_without_a_key_lists_what_is_unknown(invoke: Invoke, journal: Path, unknown: str) -> None:
    line = invoke("journal", "settle", journal).stdout
    assert line.startswith(f"{unknown}\t0\tunknown\t")
    assert '"prompt":"b"' in line
    (entry,) = json.loads(invoke("journal", "settle", journal, "--json").stdout)
    assert (entry["key"], entry["sample"]) == (unknown, 0)
    invoke("journal", "settle", journal, unknown, "--none")
    assert "No row is unknown" in invoke("journal", "settle", journal).stderr


def test_settle_lets_a_row_be_created_that_has_no_prediction(
    invoke: Invoke, journal: Path, unknown: str
) -> None:
    assert again(invoke, journal.parent) == 0
    assert (
        invoke("journal", "settle", journal, unknown[:9], "--none").stdout
        == "the next run creates this row\n"
    )
    assert [again(invoke, journal.parent), again(invoke, journal.parent)] == [1, 0]


def test_settle_gives_a_row_its_prediction(invoke: Invoke, journal: Path, unknown: str) -> None:
    with Client(backend="mock") as client:
        right = client.predictions.create(
            model="demo/flaky", input={"prompt": "b", "failure_rate": 0}, wait=True
        )
    before = default().created
    result = invoke(
        "journal", "settle", journal, unknown, "--prediction", right.id, "--sample", 0, "--no-check"
    )
    assert result.stdout == f"the next run waits for the prediction {right.id}, free\n"
    mapped = invoke("map", "demo/flaky", journal.parent / "rows.csv", "--retries", 0, "--json")
    assert mapped.exit_code == 0
    assert json.loads(mapped.stdout)["succeeded"] == 2
    assert default().created == before


def test_a_row_that_was_settled_with_a_wrong_prediction_says_so(
    invoke: Invoke, journal: Path, unknown: str
) -> None:
    settled = json.loads(
        invoke("journal", "settle", journal, unknown, "--prediction", "abc", "--json").stdout
    )
    assert (settled["state"], settled["prediction_id"]) == ("created", "abc")
    told = invoke("map", "demo/flaky", journal.parent / "rows.csv", "--retries", 0)
    assert told.exit_code == 3
    assert "replicate-kit journal settle" in told.stderr
    (row,) = [each for each in read_rows(journal.parent / "rows-results.csv") if each["status"] == "unknown"]
    assert "settled with the prediction abc, which is not its own" in str(row["error"])
    assert "--no-check" in str(row["error"])
    assert "--retry unknown" in str(row["error"])
    assert "replicate_kit.batch" not in str(row["error"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["KEY"], 2, "--prediction ID, or --none"),
        (["KEY", "--none", "--prediction", "abc"], 2, "--prediction ID, or --none"),
        (["--none"], 2, "Which row?"),
        (["KEY", "--prediction", "https://replicate.com/p/abc"], 2, "is not the id of a prediction"),
        (["xyz", "--none"], 2, "is not a row's key"),
        (["KEY", "--none", "--sample", 4], 1, "no sample 4"),
        (["0" * 32, "--none"], 1, "`replicate-kit journal settle JOURNAL` lists the keys"),
    ],
)
def test_what_cannot_be_settled_is_an_error(
    invoke: Invoke, journal: Path, unknown: str, arguments: list[object], code: int, said: str
) -> None:
    result = invoke("journal", "settle", journal, *(unknown if each == "KEY" else each for each in arguments))
    assert result.exit_code == code
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert len(list(entries(journal, ["unknown"]))) == 1


def test_what_is_no_journal_is_an_error(invoke: Invoke, journal: Path) -> None:
    result = invoke("journal", "list", journal.parent / "rows.csv")
    assert result.exit_code == 2
    assert "rows.csv' is not a journal" in result.stderr


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("30d", 2_592_000), ("2w", 1_209_600)]
)
def test_ages_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert read_age(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "d", "-1d", "1y"])
def test_what_is_no_age_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.UsageError):
        read_age(text)


@pytest.fixture
def hashed(invoke: Invoke, tmp_path: Path) -> Path:
    """The journal of a run that kept no inputs, with one good row and one bad one."""
    rows = [{"prompt": "a private a", "failure_rate": 0}, {"prompt": "a private b", "failure_rate": 1}]
    write_rows(tmp_path / "private.csv", ["prompt", "failure_rate"], rows)
    options = ("--retries", 0, "--journal-inputs", "hash")
    assert invoke("map", "demo/flaky", tmp_path / "private.csv", *options).exit_code == 3
    return tmp_path / "private.journal.sqlite"


def inputs_in(journal: Path) -> list[str]:
    """What a journal has of inputs."""
    with closing(sqlite3.connect(journal)) as db:
        return [text for (text,) in db.execute("SELECT input FROM items")]


def test_a_journal_that_keeps_no_inputs_gives_the_results_again(
    invoke: Invoke, hashed: Path, tmp_path: Path
) -> None:
    before = default().created
    page = tmp_path / "page.html"
    done = invoke(
        "map", "demo/flaky", tmp_path / "private.csv", "--journal-inputs", "hash", "--gallery", page
    )
    assert done.exit_code == 3
    assert default().created == before
    assert "a private b" in page.read_text("utf-8")
    assert all(text.startswith("sha256:") for text in inputs_in(hashed))


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_an_export_has_hashes_where_the_journal_keeps_no_inputs(
    invoke: Invoke, hashed: Path, tmp_path: Path, kind: str
) -> None:
    table = tmp_path / f"all.{kind}"
    assert invoke("journal", "export", hashed, table).exit_code == 0
    rows = list(read_rows(table))
    assert [row["input"] or None for row in rows] == [None, None]
    assert [row["input_hash"] for row in rows] == inputs_in(hashed)


def test_rows_without_inputs_are_listed_by_their_hash_and_settled(invoke: Invoke, hashed: Path) -> None:
    with closing(sqlite3.connect(hashed)) as db, db:
        db.execute(
            "UPDATE items SET state = 'unknown', status = 'unknown', prediction_id = NULL WHERE state = 'failed'"
        )
    assert "\tsha256:" in invoke("journal", "settle", hashed).stdout
    (entry,) = entries(hashed, ["unknown"])
    assert invoke("journal", "settle", hashed, entry["key"], "--none").exit_code == 0


@pytest.mark.parametrize(
    ("answer", "options", "left"), [("n\n", (), 2), ("y\n", (), 0), (None, ("--yes",), 0)]
)
def test_hash_inputs_replaces_them_if_that_is_confirmed(
    invoke: Invoke, journal: Path, answer: str | None, options: tuple[str, ...], left: int
) -> None:
    result = invoke("journal", "hash-inputs", journal, *options, stdin=answer)
    assert result.exit_code == (1 if left else 0)
    assert left or result.stdout.endswith("2 inputs replaced by the hash\n")
    assert sum(text.startswith("{") for text in inputs_in(journal)) == left
    assert again(invoke, journal.parent) == 0
