"""How far `map` is, told on standard error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from replicate_kit.batch import Progress
from replicate_kit.cli._progress import Lines, shown_as

Invoke = Callable[..., Result]

SECONDS = (0.0, 0.1, 9.9, 10.0, 10.2, 19.0, 20.0, 31.0)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "t.csv").write_text("prompt\nsea\nhill\n")
    return tmp_path / "t.csv"


def told(capsys: pytest.CaptureFixture[str], *, whole: bool) -> list[str]:
    """Tell of a run that takes half a minute, and of its end twice, as runs do."""
    lines = Lines(lambda progress: f"{progress.seconds} {progress.done}", whole=whole)
    lines(Progress())
    for seconds in SECONDS:
        lines(Progress(total=9, done=1, seconds=seconds))
    for _ in range(2):
        lines(Progress(total=9, done=9, seconds=32.0))
    return capsys.readouterr().err.splitlines()


def test_a_line_comes_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, whole=False) == ["10.0 1", "20.0 1", "31.0 1"]


def test_beginning_and_end_are_told_if_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, whole=True) == ["0.0 1", "10.0 1", "20.0 1", "31.0 1", "32.0 9"]


def test_nobody_who_listens_stops_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("click.echo", broken)
    Lines(str)(Progress(total=1, done=1))


@pytest.mark.parametrize(
    ("way", "is_terminal", "shown"), [("auto", True, None), ("off", True, False), ("off", False, False)]
)
def test_a_terminal_has_a_bar(
    monkeypatch: pytest.MonkeyPatch, way: str, is_terminal: bool, shown: object
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal, raising=False)
    assert shown_as(way) is shown


def test_a_short_run_in_a_log_says_nothing_of_it(invoke: Invoke, table: Path) -> None:
    result = invoke("map", "demo/poet", table)
    assert result.stderr.splitlines() == [
        "2 rows of demo/poet: 2 predictions to pay, 0 in the journal, 0 under way, 0 invalid rows"
    ]


def test_programs_get_objects(invoke: Invoke, table: Path) -> None:
    result = invoke("map", "demo/poet", table, "--progress", "json")
    *_, last = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    counts = {name: last[name] for name in ("event", "total", "done", "failed", "created", "cost")}
    assert counts == {"event": "progress", "total": 2, "done": 2, "failed": 0, "created": 2, "cost": None}
    assert {"cached", "in_flight", "skipped", "seconds", "rate", "remaining"} < last.keys()


@pytest.mark.parametrize("label", [None, "nightly"])
def test_programs_get_the_label_and_the_estimate(invoke: Invoke, table: Path, label: str | None) -> None:
    options = () if label is None else ("--label", label)
    result = invoke("map", "demo/poet", table, "--progress", "json", "--json", "--price", 0.5, *options)
    lines = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    assert {each["label"] for each in lines} == {label}
    summary = json.loads(result.stdout)
    assert (summary["label"], summary["cost"], summary["estimate"]) == (label, 1.0, 1.0)
    described = json.loads(invoke("journal", "list", table.with_name("t.journal.sqlite"), "--json").stdout)
    assert described[0]["labels"] == ([] if label is None else [label])


def test_a_label_that_cannot_be_meant_costs_nothing(invoke: Invoke, table: Path) -> None:
    result = invoke("map", "demo/poet", table, "--label", "a\nb")
    assert (result.exit_code, "--label" in result.stderr) == (2, True)
    assert not table.with_name("t.journal.sqlite").exists()


def test_lines_are_written_to_the_end(invoke: Invoke, table: Path) -> None:
    assert "2/2 [00:00" in invoke("map", "demo/poet", table, "--progress", "lines").stderr


@pytest.mark.parametrize("more", [(), ("--out", "-")])
def test_quiet_says_nothing_but_warnings(invoke: Invoke, table: Path, more: tuple[str, ...]) -> None:
    result = invoke("map", "demo/poet", table, "--quiet", *more)
    assert result.stderr == ""
    assert result.stdout.startswith("prompt,output") if more else result.stdout == ""
    failed = invoke(
        "map", "demo/flaky", table, "-q", "-s", "failure_rate=1", "--out", table.with_name("o.csv")
    )
    assert failed.exit_code == 3
    assert "2 rows failed in the model" in failed.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--progress", "bar"), "is not one of"),
        (("--progress", "json", "--quiet"), "--progress does nothing with --quiet"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(
    invoke: Invoke, table: Path, options: tuple[str, ...], said: str
) -> None:
    result = invoke("map", "demo/poet", table, *options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
