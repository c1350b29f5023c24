"""`map --journal` and `journal` with the URL of a journal that is no file: they do what they do with a file."""

from __future__ import annotations

import json
import shlex
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from replicate_kit import Client
from replicate_kit.batch.journals import entries
from replicate_kit.cli._tables.tables import read_rows, write_rows
from replicate_kit.simulator import default

Invoke = Callable[..., Result]


@pytest.fixture(params=["file", "url"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The name of a journal that is not there."""
    return str(tmp_path / "named") if request.param == "file" else f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three rows, of which one fails."""
    rows = [{"prompt": each, "failure_rate": int(each == "b")} for each in "abc"]
    write_rows(tmp_path / "rows.csv", ["prompt", "failure_rate"], rows)
    return tmp_path / "rows.csv"


@pytest.fixture
def again(invoke: Invoke, table: Path) -> Callable[..., int]:
    """Run the table, and tell how many predictions that made."""

    def run(journal: str, *options: Any) -> int:
        before = default().created
        result = invoke(
            "map", "demo/flaky", table, "--retries", 0, "--journal", journal, "--label", "nightly", *options
        )
        assert result.exit_code == 3, result.output
        return default().created - before

    return run


def test_rows_are_paid_for_once_and_nothing_is_left_beside_the_table(
    again: Callable[..., int], journal: str, table: Path
) -> None:
    assert again(journal, "--price", 0.5) == 3
    assert again(journal, "--price", 0.5) == 0
    assert again(journal, "--retry", "failed") == 1
    assert {each.name for each in table.parent.iterdir()} - {"named"} == {"rows.csv", "rows-results.csv"}


def test_results_of_another_journal_are_not_written_over(
    invoke: Invoke, again: Callable[..., int], journal: str, table: Path
) -> None:
    again(journal)
    other = f"memory://{uuid.uuid4().hex}"
    result = invoke("map", "demo/flaky", table, "--journal", other)
    assert result.exit_code == 2
    assert f"the journal {other} does not know" in " ".join(result.stderr.split())


def test_each_command_of_journals_works(
    invoke: Invoke, again: Callable[..., int], journal: str, tmp_path: Path
) -> None:
    again(journal, "--price", 0.5)

    def done(command: str, *options: object) -> str:
        result = invoke("journal", command, journal, *options)
        assert result.exit_code == 0, result.output
        return result.stdout

    (described,) = json.loads(done("list", "--json"))
    assert (described["path"], described["states"]) == (journal, {"failed": 1, "finished": 2})
    assert json.loads(done("costs", "--json"))["total"]["predictions"] == 3
    assert done("export", tmp_path / "all.jsonl") == f"3 rows in {tmp_path / 'all.jsonl'}\n"
    assert {each["label"] for each in read_rows(tmp_path / "all.jsonl")} == {"nightly"}
    assert "again for 1 row" in done("retry")
    assert "3 inputs replaced" in done("hash-inputs", "--yes")
    assert "1 row forgotten" in done("prune", "--state", "canceled", "--yes")
    done("remove", "--yes")
    assert invoke("journal", "list", journal).exit_code in (1, 2)


def test_questions_name_the_journal(invoke: Invoke, again: Callable[..., int], journal: str) -> None:
    again(journal)
    for command, said in (
        ("remove", f"What {journal} remembers"),
        ("hash-inputs", f"The inputs in {journal}"),
    ):
        assert said in invoke("journal", command, journal, stdin="n\n").output


def test_what_the_advice_says_can_be_pasted(
    invoke: Invoke, again: Callable[..., int], journal: str, tmp_path: Path
) -> None:
    again(journal)
    result = invoke("map", "demo/flaky", tmp_path / "rows.csv", "--journal", journal, "--retries", 0)
    assert f"The journal is {journal}." in result.stderr
    command = f"journal export {shlex.quote(journal)} {shlex.quote(str(tmp_path / 'a.csv'))}"
    assert invoke(*shlex.split(command)).exit_code == 0


@pytest.mark.parametrize("dry", [True, False])
def test_it_is_reconciled(invoke: Invoke, journal: str, dry: bool) -> None:
    client = Client(backend="mock")
    results = client.map(
        "demo/poet", [{"prompt": "sea"}, {"prompt": "hill"}], journal=journal, progress=False
    )
    list(results)
    before = list(entries(journal))
    result = invoke(
        "journal", "reconcile", journal, "--price", 0.5, "--json", *(["--dry-run"] if dry else [])
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["priced"], found["listed"]) == (2, 2)
    costs = [each["cost"] for each in entries(journal)]
    assert costs == [each["cost"] for each in before] if dry else [0.5, 0.5]
    assert (list(entries(journal)) == before) is dry


@pytest.mark.parametrize("source", ["file", "memory"])
@pytest.mark.parametrize("target", ["file", "memory"])
def test_it_is_copied(
    invoke: Invoke, again: Callable[..., int], tmp_path: Path, source: str, target: str
) -> None:
    def name(kind: str, what: str) -> str:
        return str(tmp_path / what) if kind == "file" else f"memory://{uuid.uuid4().hex}"

    old, new = name(source, "old"), name(target, "new")
    assert again(old, "--price", 0.5) == 3
    result = invoke("journal", "copy", old, new)
    assert (result.exit_code, result.stdout) == (0, f"3 rows copied to {new}\n")
    assert again(new, "--price", 0.5) == 0
    assert invoke("journal", "costs", new).stdout == invoke("journal", "costs", old).stdout
    for again_to in (new, old):
        refused = invoke("journal", "copy", old, again_to)
        assert refused.exit_code == 1
        assert "not empty" in refused.stderr or "to itself" in refused.stderr


@pytest.mark.parametrize("command", ["list", "costs", "remove --yes", "settle"])
def test_a_url_that_no_package_has_says_what_to_install(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, table: Path, command: str
) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    url = "postgresql://me:hunter2@host/db"
    for arguments in (
        ["journal", *command.split()[:1], url, *command.split()[1:]],
        ["map", "demo/flaky", table, "--journal", url],
    ):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert "pip install replicate-kit-postgres" in " ".join(result.stderr.split())
        assert "hunter2" not in result.output
