"""`replicate-kit journal`: what `map` remembers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from replicate_kit.cli.journal import read_age
from replicate_kit.cli.tables import read_columns, read_rows, write_rows
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
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


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


def test_what_is_no_journal_is_an_error(invoke: Invoke, journal: Path) -> None:
    result = invoke("journal", "list", journal.parent / "rows.csv")
    assert result.exit_code == 1
    assert "rows.csv" in result.stderr


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("30d", 2_592_000), ("2w", 1_209_600)]
)
def test_ages_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert read_age(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "d", "-1d", "1y"])
def test_what_is_no_age_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.UsageError):
        read_age(text)
