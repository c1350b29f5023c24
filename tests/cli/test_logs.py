"""Standard error as JSON: each line is an object, whatever happens."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from replicate_kit.cli import cli
from replicate_kit.cli._progress import Lines, shown_as
from replicate_kit.errors import ConfigError

from .conftest import Invoke

WORKS, FAILS = ("-s", "failure_rate=0"), ("-s", "failure_rate=1", "--retries", "0")


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("prompt\nsea\nhill\nfen\n", "utf-8")
    return "t.csv"


def lines(result: Result) -> list[dict[str, Any]]:
    """What was written to standard error, all of it objects with a time in UTC, a level and an event."""
    found = [json.loads(line) for line in result.stderr.splitlines()]
    for each in found:
        assert datetime.fromisoformat(each["time"]).utcoffset() == timedelta(0)
        assert {"level", "event", "message"} <= each.keys()
    return found


def test_the_last_line_of_map_says_what_came_of_it(invoke: Invoke, table: str) -> None:
    result = invoke("--log-json", "map", "demo/flaky", table, *WORKS, "--label", "nightly", "--price", "0.25")
    *before, last = lines(result)
    assert last.pop("seconds") >= 0
    del last["time"]
    assert last == {
        "level": "info",
        "event": "finished",
        "message": "3 of 3 rows done, 0 failed",
        "rows": 3,
        "done": 3,
        "failed": 0,
        "skipped": 0,
        "cached": 0,
        "created": 3,
        "cost": 0.75,
        "model": "demo/flaky",
        "label": "nightly",
        "journal": "t.journal.sqlite",
        "exit_code": 0,
    }
    progress = [each for each in before if each["event"] == "progress"]
    assert (progress[-1]["total"], progress[-1]["done"], progress[-1]["label"]) == (3, 3, "nightly")
    assert result.stdout.startswith("3 rows: 3 succeeded")  # which stays as it is


@pytest.mark.parametrize(
    ("arguments", "code", "event", "counts"),
    [
        (FAILS, 3, "finished", (3, 3, 3)),
        ((*WORKS, "--max-predictions", "1"), 3, "finished", (1, 0, 1)),
        ((*WORKS, "--quiet"), 0, "finished", (3, 0, 3)),
        ((*WORKS, "--json", "--out", "-"), 0, "finished", (3, 0, 3)),
        ((*WORKS, "--budget", "1"), 2, None, None),
        (("--nope",), 2, None, None),
        (("--limit", "none"), 2, None, None),
        (("--input", "prompt=nope"), 2, None, None),
        (("-s", "failure_rate=2"), 2, "stopped", (0, 0, 0)),
    ],
)
def test_every_line_is_an_object_however_it_ends(
    invoke: Invoke, table: str, arguments: tuple[str, ...], code: int, event: str | None, counts: Any
) -> None:
    result = invoke("map", "demo/flaky", table, *arguments, "--log-json")
    said = lines(result)
    assert result.exit_code == code
    last = said[-1]
    if event is None:
        assert (last["level"], last["event"]) == ("error", "error")
    else:
        assert last["event"] == event
        assert (last["exit_code"], last["level"]) == (code, {0: "info", 3: "warning"}.get(code, "error"))
        assert (last["done"], last["failed"], last["created"]) == counts
    if "--quiet" in arguments:
        assert "progress" not in {each["event"] for each in said}


@pytest.mark.parametrize("inside", ["", "'", '"', "<", ">", " ", "'\"'\"'"])
def test_no_line_of_map_has_the_password_of_its_journal(invoke: Invoke, table: str, inside: str) -> None:
    journal = f"postgresql://me:hun{inside}ter2@127.0.0.1:1/db"
    result = invoke("map", "demo/poet", table, "--log-json", "--journal", journal, "--out", "r.csv")
    said = lines(result)
    assert said[-1]["journal"] == "postgresql://me@127.0.0.1:1/db"
    assert "hun" not in result.stderr
    assert "ter2" not in result.stderr


def test_an_error_has_its_prediction(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_LOG", "json")
    result = invoke("run", "demo/flaky", "prompt=sea", "failure_rate=1")
    (error,) = [each for each in lines(result) if each["level"] == "error"]
    assert (error["event"], error["kind"], error["exit_code"]) == ("error", "ModelError", 1)
    assert (error["model"], len(error["prediction"])) == ("demo/flaky", 26)
    assert error["message"].startswith("the model failed: ")


def test_log_records_warnings_and_texts_are_objects(monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> None:
    @click.command()
    def hello() -> None:
        logging.getLogger("replicate_kit").warning(
            "pass save_to=%s", "'ftp://me:hunter2@host/a'", extra={"row": 7}
        )
        logging.getLogger("theirs").error("oh")
        warnings.warn("it is old", DeprecationWarning, stacklevel=2)
        click.echo("Warning: two\nlines", err=True)
        sys.stderr.write("no line")
        click.echo(json.dumps({"event": "own", "n": 1}), err=True)

    monkeypatch.setitem(cli.commands, "hello", hello)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        said = lines(invoke("--log-json", "hello"))
    assert [(each["level"], each["event"]) for each in said] == [
        ("warning", "log"),
        ("error", "log"),
        ("warning", "log"),
        ("warning", "message"),
        ("info", "message"),
    ]
    assert (said[0]["message"], said[0]["row"]) == ("pass --save-to 'ftp://me@host/a'", 7)
    assert "it is old" in said[2]["message"]
    assert said[3]["message"] == "Warning: two\nlines"


@pytest.mark.parametrize("arguments", [("--log-json", "boom"), ("--debug", "--log-json", "boom")])
@pytest.mark.parametrize("error", [RuntimeError, KeyError, ConfigError])
def test_an_error_that_nobody_catches_is_one_object(
    monkeypatch: pytest.MonkeyPatch, invoke: Invoke, arguments: tuple[str, ...], error: type[Exception]
) -> None:
    @click.command()
    def boom() -> None:
        raise error("at ftp://me:hunter2@host/a")

    monkeypatch.setitem(cli.commands, "boom", boom)
    result = invoke(*arguments)
    (said,) = lines(result)
    assert (said["level"], said["event"], said["kind"]) == ("error", "error", error.__name__)
    assert result.exit_code == said["exit_code"]
    assert "ftp://me@host/a" in said["message"]
    assert "hunter2" not in result.stderr
    if error is not ConfigError or "--debug" in arguments:
        assert said["exception"].startswith("Traceback")
        assert result.exit_code == 1


class Failing(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            raise ValueError("at ftp://me:hunter2@host/a")
        except ValueError:
            self.handleError(record)


def in_a_thread() -> None:
    def work() -> None:
        raise ValueError("at ftp://me:hunter2@host/a")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def in_a_handler() -> None:
    logger = logging.Logger("theirs")
    logger.addHandler(Failing())
    logger.error("x")


@pytest.mark.parametrize("fails", [in_a_thread, in_a_handler])
def test_what_fails_elsewhere_is_one_object(
    monkeypatch: pytest.MonkeyPatch, invoke: Invoke, fails: Callable[[], None]
) -> None:
    monkeypatch.setitem(cli.commands, "boom", click.Command("boom", callback=fails))
    result = invoke("--log-json", "boom")
    (said,) = lines(result)
    assert (said["level"], said["event"], said["kind"]) == ("error", "error", "ValueError")
    assert said["exception"].endswith("ValueError: at ftp://me@host/a")
    assert result.exit_code == 0


def test_bytes_are_taken_as_texts_are(monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> None:
    def write() -> None:
        click.echo("größe".encode(), err=True)
        for each in "höhe\n".encode():
            sys.stderr.buffer.write(bytes([each]))
        sys.stderr.buffer.write(b"\xff\n")

    monkeypatch.setitem(cli.commands, "write", click.Command("write", callback=write))
    assert [each["message"] for each in lines(invoke("--log-json", "write"))] == ["größe", "höhe", "\ufffd"]


def test_threads_do_not_mix_their_texts(monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> None:
    def write() -> None:
        sys.stderr.write("ours")
        thread = threading.Thread(target=lambda: sys.stderr.write("theirs\n"))
        thread.start()
        thread.join()
        sys.stderr.write(" too\n")

    monkeypatch.setitem(cli.commands, "write", click.Command("write", callback=write))
    assert [each["message"] for each in lines(invoke("--log-json", "write"))] == ["theirs", "ours too"]


def test_afterwards_all_is_as_it_was(invoke: Invoke) -> None:
    def state() -> tuple[object, ...]:
        logs = list(logging.getLogger().handlers), logging.Handler.handleError
        return (sys.stderr, logs, warnings.showwarning, threading.excepthook)

    before = state()
    invoke("--log-json", "models", "list")
    assert state() == before
    assert "{" not in invoke("models", "get", "demo/nowhere").stderr


def test_other_words_in_the_environment_have_no_effect(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_KIT_LOG", "loud")
    assert "{" not in invoke("models", "get", "demo/nowhere").stderr


@pytest.mark.parametrize("way", ["auto", "lines", "json"])
def test_a_line_now_and_then_takes_the_place_of_a_bar(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr("replicate_kit.cli._progress.is_json", lambda: True)
    assert isinstance(shown_as(way, "nightly", "demo/poet"), Lines)
    assert shown_as("off") is False
