"""A job over partitions: pickled, run in parts, stopped, canceled and watched."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from replicate_kit import Client, col
from replicate_kit.batch import journals
from replicate_kit.errors import AuthenticationError, BatchError, InputError
from replicate_kit.partitions import Job, _watching
from replicate_kit.serving import Server
from replicate_kit.simulator import Simulator, sleep
from replicate_kit.tables import Cells, Columns, Lines, OneColumn
from tests.waiting import until

ROOT = Path(__file__).parents[2]


def models(simulator: Simulator) -> None:
    @simulator.model("acme/any")
    def any(prompt: str) -> Any:
        return {"text": "sea", "number": 7, "list": [1, "a"], "half": "\ud83d", "nothing": None}[prompt]

    @simulator.model("acme/strict")
    def strict(prompt: str, size: int = 1) -> str:
        if prompt == "bad":
            raise ValueError("not this one")
        return prompt * size

    @simulator.model("acme/long")
    def long(prompt: str) -> str:
        sleep(3600)
        return prompt


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(models, https=False) as server:
        yield server


@pytest.fixture
def simulator(server: Server) -> Simulator:
    return server.simulator


@pytest.fixture
def url(server: Server) -> str:
    return server.url


@pytest.fixture
def journal() -> str:
    return f"memory://{uuid4().hex}"


def series(*values: Any) -> OneColumn:
    return OneColumn("prompt", Cells.of(values))


def job(url: str, journal: str, model: str = "acme/strict", input: Any = None, **options: Any) -> Job:
    """A job as it comes out at a worker."""
    details = options.pop("details", False)
    client = Client("r8_test", base_url=url, poll_interval=0.05)
    options = {"client": client, "journal": journal, "send_token": True, **options}
    made = Job.of(model, input, options, "run", details=details)
    there: Job = pickle.loads(pickle.dumps(made))
    return there


def test_nothing_is_sent_before_a_partition_runs(simulator: Simulator, url: str, journal: str) -> None:
    made = job(url, journal, details=True)
    assert made.columns["output"] == "string"
    assert made(series()).columns == {name: [] for name in made.columns}
    assert (simulator.created, list(simulator.requests)) == (0, [])


@pytest.mark.parametrize("again", ["the same job", "another job"])
def test_a_partition_that_runs_again_is_free(
    simulator: Simulator, url: str, journal: str, again: str
) -> None:
    first = job(url, journal)
    second = first if again == "the same job" else job(url, journal)
    assert first(series("a", None, "b")) == second(series("a", None, "b"))
    assert simulator.created == 2


@pytest.mark.parametrize(
    ("prompt", "output"),
    [
        ("text", "sea"),
        ("number", "7"),
        ("list", '[1, "a"]'),
        ("half", r"\ud83d"),
        ("nothing", None),
    ],
)
@pytest.mark.parametrize("details", [False, True])
def test_an_output_is_a_text_whatever_else_its_partition_has(
    url: str, journal: str, prompt: str, output: str | None, details: bool
) -> None:
    run = job(url, journal, "acme/any", details=details)
    assert run(series(prompt)).columns["output"] == [output]
    assert run(series("list", prompt, "text")).columns["output"] == ['[1, "a"]', output, "sea"]


@pytest.mark.parametrize(
    ("files", "shown"),
    [("auto", ["one", "json"]), ("list", ["json", "json"]), ("first", ["one", "one"])],
)
def test_files_are_arranged_row_by_row(journal: str, files: str, shown: list[str]) -> None:
    run = Job.of(
        "demo/painter",
        {"prompt": "sea", "num_outputs": col("n")},
        {"client": Client(backend="mock"), "journal": journal, "files": files},
        "run",
    )
    table = Columns(["n"], lambda _: Cells.of([1, 2]), 2)
    outputs = run(table).columns["output"]
    assert ["json" if each.startswith("[") else "one" for each in outputs] == shown


def test_exploded_files_say_of_which_rows_they_are(journal: str) -> None:
    options: dict[str, Any] = {"client": Client(backend="mock"), "journal": journal, "files": "explode"}
    run = Job.of("demo/painter", {"prompt": "sea", "num_outputs": col("n")}, options, "run", details=True)
    lines = run(Columns(["n"], lambda _: Cells.of([2, 1]), 2))
    assert lines.rows == [0, 0, 1]
    assert all(each.endswith(".png") for each in lines.columns["output"])


def test_failed_rows_are_raised_once_all_others_are_done(
    simulator: Simulator, url: str, journal: str
) -> None:
    with pytest.raises(BatchError, match="1 of 3 rows of a partition failed") as raised:
        job(url, journal)(series("bad", "a", "b"))
    assert "not this one" in str(pickle.loads(pickle.dumps(raised.value)))
    assert simulator.created == 3
    lines = job(url, journal, errors="collect", details=True)(series("bad", "a", "b"))
    assert lines.columns["output"] == [None, "a", "b"]
    assert lines.columns["status"] == ["failed", "succeeded", "succeeded"]
    assert simulator.created == 3


def test_rows_that_the_model_does_not_take_are_named_by_their_labels(
    simulator: Simulator, url: str, journal: str
) -> None:
    table = Columns(["n"], lambda _: Cells.of([1, "x"]), 2, lambda row: f"label {row}")
    with pytest.raises(InputError, match="label 1"):
        job(url, journal, input={"prompt": "a", "size": col("n")})(table)
    assert simulator.created == 0


def test_a_partition_that_is_refused_speaks_of_itself(simulator: Simulator, url: str, journal: str) -> None:
    run = job(url, journal, input={"prompt": col("prompt"), "size": col("n")})
    good, bad = (Columns(["prompt", "n"], [Cells.of("a"), Cells.of([n])].__getitem__, 1) for n in (1, "x"))
    run(good)
    with pytest.raises(InputError, match="so nothing of this partition was created"):
        run(bad)
    assert simulator.created == 1


class Running:
    """A partition that runs on a thread of its own, as on a worker."""

    def __init__(self, job: Job, table: OneColumn, stop: threading.Event | None = None) -> None:
        self.lines: Lines | None = None
        self.error: BaseException | None = None
        self._job, self._table, self._stop = job, table, stop
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.lines = self._job(self._table, stopped=self._stop.is_set if self._stop else None)
        except BaseException as error:
            self.error = error

    def join(self) -> None:
        self._thread.join()


def statuses(simulator: Simulator) -> list[str]:
    return [each["status"] for each in simulator.recent()]


@pytest.mark.parametrize("has_token", [True, False])
def test_a_worker_that_is_asked_for_a_token_says_whether_it_has_one(
    url: str, journal: str, monkeypatch: pytest.MonkeyPatch, has_token: bool
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.delenv("REPLICATE_API_TOKEN", raising=False)
    if has_token:
        monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_worker")
        assert job(url, journal, send_token=False)(series("a")).columns == {"output": ["a"]}
        return
    with pytest.raises(AuthenticationError, match="This worker has no API token"):
        job(url, journal, send_token=False)(series("a"))


@pytest.mark.parametrize(
    ("on_interrupt", "said", "left"),
    [("cancel", "was canceled.", "canceled"), ("detach", "goes on.", "processing")],
)
def test_a_partition_that_is_stopped_does_as_it_was_told_with_what_it_has_in_flight(
    simulator: Simulator, url: str, journal: str, on_interrupt: str, said: str, left: str
) -> None:
    stop = threading.Event()
    running = Running(job(url, journal, "acme/long", on_interrupt=on_interrupt), series("a", "b"), stop)
    until(lambda: statuses(simulator) == ["processing"] * 2)
    stop.set()
    running.join()
    assert isinstance(running.error, BatchError)
    assert "0 of 2 rows done" in str(running.error)
    assert said in str(running.error)
    assert statuses(simulator) == [left] * 2


def test_a_partition_that_was_stopped_before_it_began_creates_nothing(
    simulator: Simulator, url: str, journal: str
) -> None:
    with pytest.raises(BatchError, match="0 of 2 rows done"):
        job(url, journal, "acme/long")(series("a", "b"), stopped=lambda: True)
    assert statuses(simulator) == []


def test_the_driver_leaves_to_partitions_that_live_what_they_cancel_themselves(
    simulator: Simulator, url: str, journal: str
) -> None:
    stop, mine = threading.Event(), job(url, journal, "acme/long")
    running = Running(mine, series("a", "b"), stop)
    until(lambda: statuses(simulator) == ["processing"] * 2)
    until(lambda: len(list(journals.entries(journal, "created"))) == 2)
    stop.set()
    assert mine.cancel(grace=60.0) == 0
    running.join()
    assert statuses(simulator) == ["canceled"] * 2


def test_the_driver_cancels_what_its_job_has_in_flight_and_nothing_else(
    simulator: Simulator, url: str, journal: str
) -> None:
    mine, theirs = (
        job(url, journal, "acme/long", label="nightly"),
        job(url, journal, "acme/long", label="nightly"),
    )
    stop = threading.Event()
    running = [Running(mine, series("a"), stop), Running(theirs, series("b"), stop)]
    until(lambda: statuses(simulator) == ["processing"] * 2)
    until(lambda: len(list(journals.entries(journal, "created"))) == 2)
    assert mine.cancel() == 1
    running[0].join()
    assert sorted(statuses(simulator)) == ["canceled", "processing"]
    stop.set()
    running[1].join()


_ELSEWHERE = """
import pickle, sys

from replicate_kit.errors import ConfigError
from replicate_kit.tables import Cells, OneColumn

job = pickle.load(sys.stdin.buffer)
assert job(OneColumn("prompt", Cells.of([]))).columns == {"output": []}
try:
    job(OneColumn("prompt", Cells.of(["a"])))
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize("found", [True, False])
def test_another_process_refuses_a_journal_that_it_does_not_reach(
    simulator: Simulator, url: str, journal: str, found: bool
) -> None:
    sent = pickle.dumps(job(url, journal))
    if found:
        assert pickle.loads(sent)(series("a")).columns == {"output": ["a"]}
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE], input=sent, capture_output=True, check=True, timeout=120, cwd=ROOT
    )
    assert "postgresql://" in done.stdout.decode()
    assert simulator.created == found


_ENDING = """
import sys
from threading import Thread, main_thread

from replicate_kit import Client
from replicate_kit.batch import journals
from replicate_kit.partitions import Job
from replicate_kit.tables import Cells, OneColumn
from tests.waiting import until

client, journal = Client("r8_test", backend="http", base_url=sys.argv[1]), "memory://ending"
options = {"client": client, "journal": journal, "into": "prompt", "on_interrupt": "detach"}
job = Job.of("acme/long", None, options, "run")
table = OneColumn("prompt", Cells.of(["a"]))
Thread(target=job, args=(table,), daemon=True).start()

def cancel():
    main_thread().join()
    assert job.cancel() == 1

def is_in_flight():
    try:
        return list(journals.entries(journal, "created"))
    except Exception:
        return []

until(is_in_flight)
Thread(target=cancel).start()
"""


def test_a_program_that_ends_still_cancels(simulator: Simulator, url: str) -> None:
    environment = {**os.environ, "REPLICATE_API_TOKEN": "r8_test"}
    subprocess.run([sys.executable, "-c", _ENDING, url], check=True, timeout=120, cwd=ROOT, env=environment)
    assert statuses(simulator) == ["canceled"]


def test_the_journal_tells_the_driver_how_far_a_job_is(url: str, journal: str) -> None:
    run = job(url, journal, errors="collect", label="nightly")
    with run.watching(total=4) as watch:
        run(series("a", "bad"))
        job(url, journal, errors="collect")(series("another"))
        seen = watch.look()
    assert (seen.total, seen.done, seen.failed, seen.created, seen.in_flight) == (4, 2, 1, 2, 0)


def test_the_progress_is_shown_where_the_driver_waits(
    url: str, journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = job(url, journal, progress=True)
    with run.watching(total=2):
        run(series("a", "b"))
    assert "100% 2/2" in capsys.readouterr().err


def test_what_cannot_be_read_is_said_once(
    url: str, journal: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def fail(*args: Any, **kwargs: Any) -> None:
        looks.append("failed")
        raise RuntimeError("not now")

    monkeypatch.setattr(_watching, "_PAUSE", 0.001)
    monkeypatch.setattr(_watching.journals, "costs", fail)
    with caplog.at_level("WARNING"), job(url, journal, progress=True).watching(total=2):
        until(lambda: len(looks) > 2)
    assert [each for each in caplog.messages if "not now" in each] == caplog.messages[:1]


def test_nothing_is_shown_where_nothing_changes(
    url: str, journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = job(url, journal, progress=True)
    run(series("a"))
    with run.watching():
        pass
    assert not capsys.readouterr().err


def test_a_job_shows_neither_token_nor_password() -> None:
    options = {"client": Client("r8_hunter2"), "journal": "postgresql://u:hunter2@h/db", "send_token": True}
    made = Job.of("acme/strict", None, options, "run")
    assert "hunter2" not in f"{made!r} {made.settings!r}"
