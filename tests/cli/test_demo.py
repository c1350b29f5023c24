"""`replicate-kit demo`, as README's first command runs it: in a process of its own, killed and run again."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click
import pytest
from click.testing import CliRunner

from replicate_kit.cli import cli
from replicate_kit.cli._commands import demo
from replicate_kit.cli._commands.demo.steps import prompts, steps
from replicate_kit.cli._tables.tables import read_rows
from replicate_kit.simulator import Simulator

ROWS = len(prompts())
EXPECTED = Counter(
    {
        (step.model, json.dumps(step.input(row), sort_keys=True))
        for step in steps(fast=True)
        for row in prompts()
    }
)
"""The predictions that the demo needs: one for each distinct input of each model."""

WITHOUT_PANDAS = "import sys; sys.modules['pandas'] = None; "


def command(out: Path, before: str = "") -> list[str]:
    call = "from replicate_kit.cli import cli; cli(['demo', '--fast', '--out', sys.argv[1]])"
    return [sys.executable, "-c", f"{before}import sys; {call}", str(out)]


def run(out: Path, before: str = "") -> str:
    done = subprocess.run(command(out, before), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def created(out: Path) -> Counter[tuple[str, str]]:
    """Count creates by model and input, as the simulator wrote them down before it answered."""
    lines = (out / ".replicate-kit" / "simulator" / "predictions.jsonl").read_text("utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    begun = [entry for kind, entry in entries if kind == "begin"]
    return Counter((each["model"], json.dumps(each["input"], sort_keys=True)) for each in begun)


class Sources(HTMLParser):
    """Collects what a page shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name == "src" and value]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the demo ran once, undisturbed, and what it printed."""
    out, opened = tmp_path_factory.mktemp("demo") / "out", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click, "launch", opened.append)
        arguments = ["demo", "--fast", "--open", "--out", str(out)]
        result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert opened == [(out / "index.html").as_uri()]
    return out, result.stdout


def test_it_makes_one_prediction_for_each_distinct_row(finished: tuple[Path, str]) -> None:
    out, _ = finished
    assert created(out) == EXPECTED


def test_it_saves_pictures_that_the_table_and_the_page_name(finished: tuple[Path, str]) -> None:
    out, printed = finished
    rows: list[dict[str, Any]] = list(read_rows(out / "results.parquet"))
    assert [row["prompt"] for row in rows] == [row["prompt"] for row in prompts()]
    saved = {path.name: path for path in (out / "pictures").iterdir()}
    assert {Path(row["picture"]).name for row in rows} == set(saved)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in saved.values())
    shown = {unquote(each) for each in Sources((out / "index.html").read_text("utf-8")).found}
    assert shown == {f"pictures/{name}" for name in saved}
    assert "index.html" in printed


def test_it_tells_which_rows_failed_and_why(finished: tuple[Path, str]) -> None:
    rows = list(read_rows(finished[0] / "results.parquet"))
    failed = [row for row in rows if row["answer_status"] == "failed"]
    assert 0 < len(failed) < ROWS
    assert all(row["answer"] is None and "interrupted" in row["answer_error"] for row in failed)
    assert all(row["poem"] for row in rows)


def test_it_shows_a_poem_while_it_is_written(finished: tuple[Path, str]) -> None:
    assert "demo/poet writes about" in finished[1]


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("replicate_kit.cli._commands.demo.running.run_step", stop)
    result = CliRunner().invoke(cli, ["demo", "--fast", "--out", str(tmp_path)])
    assert result.exit_code == 130
    assert "Run it again" in result.stderr


@pytest.mark.parametrize("folder", ["out", "a folder/of mine", "pictures", ".replicate-kit"])
def test_ctrl_c_names_the_option_and_the_folder_that_it_was_given(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(client: Any, step: Any, rows: Any, folders: Any, told: Any) -> None:
        stopped = KeyboardInterrupt()
        stopped.add_note(f"Run it again with journal={str(folders.journal)!r}: what is done is free then.")
        stopped.add_note(f"Pass another folder than save_to={str(folders.pictures)!r}.")
        raise stopped

    monkeypatch.setattr("replicate_kit.cli._commands.demo.running.run_step", stop)
    out = tmp_path / folder
    said = CliRunner().invoke(cli, ["demo", "--fast", "--out", str(out)]).stderr
    assert said.count(f"--out {str(out)!r}") == 2
    own = {option for each in demo.command.params for option in each.opts}
    assert {word.rstrip(":.") for word in said.split() if word.startswith("--")} <= own


def test_the_next_steps_name_what_runs_on_the_mock_and_is_on_replicate(
    finished: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = [each for each in finished[1].splitlines() if "your own table" in each]
    _, _, typed = line.partition("replicate-kit ")
    arguments = typed.split()
    assert not arguments[1].startswith("demo/")
    assert arguments[-2:] == ["--backend", "mock"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    Path("TABLE.csv").write_text("COLUMN\na wombat\n", encoding="utf-8")
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output


def test_running_it_again_creates_nothing_and_says_so(finished: tuple[Path, str]) -> None:
    out, _ = finished
    before = created(out)
    printed = run(out)
    assert "0 predictions were created" in printed
    assert created(out) == before


def test_it_works_without_pandas_and_pyarrow(tmp_path: Path) -> None:
    run(tmp_path, WITHOUT_PANDAS + "sys.modules['pyarrow'] = None; ")
    with open(tmp_path / "results.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == ROWS
    assert created(tmp_path) == EXPECTED


def test_two_at_once_in_one_folder_are_refused(tmp_path: Path) -> None:
    with Simulator(state=tmp_path / ".replicate-kit" / "simulator"):
        done = subprocess.run(command(tmp_path), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "--out names another" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_and_run_again_it_creates_nothing_twice(tmp_path: Path, seed: int) -> None:
    chance, kills = random.Random(seed), 0
    for _ in range(3):
        process = subprocess.Popen(command(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_for_state(tmp_path, process)
        time.sleep(chance.uniform(0, 1.5))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    run(tmp_path)
    assert kills > 0
    assert created(tmp_path) == EXPECTED
    assert len(list(read_rows(tmp_path / "results.parquet"))) == ROWS
    visible = [each for each in (tmp_path / "pictures").iterdir() if not each.name.startswith(".")]
    assert all(each.read_bytes().endswith(b"IEND\xaeB`\x82") for each in visible)


def _wait_for_state(out: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the simulator is up, so that the kill comes while there is something to lose."""
    state = out / ".replicate-kit" / "simulator" / "predictions.jsonl"
    while process.poll() is None and not (state.exists() and state.stat().st_size):
        time.sleep(0.01)
