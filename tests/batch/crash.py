"""Kill a run at random moments, run it again, and count what `replicate-kit serve` has created.

python tests/batch/crash.py --points 200 --rows 300            # one process, killed and run again
python tests/batch/crash.py --points 60 --rows 300 --pairs     # two processes on one journal, one killed

The moments are spread evenly over the time of a run; one that has ended by then is checked, and does not count as
killed. Every second kill waits from there for the next commit of the journal, so that it comes while a thread of the
run is in the middle of one.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[2]))  # it may be run as a script

from replicate_kit import Client, Prediction
from replicate_kit.batch._engine import requests
from tests.served import Command

TIMEOUT = 1.0
_MEASURED_EVERY = 25  # the time of a run changes with what else the machine does
requests.SETTLING = 2 * TIMEOUT  # this server acts and lists at once
_COMMIT_WITHIN = 0.2  # seconds that a kill waits for a commit


@dataclass(frozen=True)
class Figures:
    """What kills came to; they add up."""

    points: int = 1
    rows: int = 0
    creates: int = 0
    """As the server counts them."""
    duplicates: int = 0
    """Creates beyond one for each row."""
    lost: int = 0
    """Predictions that no result is of, and rows without a result."""
    unequal: int = 0
    """Runs whose results differ from those of an undisturbed one."""
    killed: int = 0
    """Kills that met a living process."""
    in_commits: int = 0
    """And those in the middle of a commit."""
    in_flight: int = 0
    """Predictions that had an id in the journal and no end, when the process was killed."""
    intents: int = 0
    """Creates that were sent, or about to be, and had no id in the journal."""

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))

    @property
    def wrong(self) -> bool:
        """Whether anything is as it must not be."""
        return self.creates != self.rows or bool(self.duplicates or self.lost or self.unequal)

    def __str__(self) -> str:
        left = f", {self.in_flight} in flight and {self.intents} without an id" * bool(
            self.in_flight or self.intents
        )
        return (
            f"{self.rows} rows, {self.creates} creates, {self.duplicates} duplicates, {self.lost} lost, results as "
            f"undisturbed {self.points - self.unequal} of {self.points}; {self.killed} killed, {self.in_commits} of "
            f"them in a commit{left}"
        )


@dataclass
class Trial:
    """Runs over rows of their own, with one journal."""

    url: str
    rows: int
    folder: Path
    salt: str
    mark: mmap.mmap = field(default_factory=partial(mmap.mmap, -1, 1))
    """A byte that outlives the process: 1 while it commits."""

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.began, self._before = datetime.now(UTC), created(self.url)

    @property
    def inputs(self) -> list[dict[str, Any]]:
        return [{"n": number, "salt": self.salt} for number in range(self.rows)]

    @property
    def journal(self) -> Path:
        return self.folder / "journal" / "journal.sqlite"

    def client(self) -> Client:
        return Client("r8_test", backend="http", base_url=self.url, timeout=TIMEOUT, poll_interval=0.05)

    def run(self, answer: Path) -> None:
        """Run the rows, and write down what came."""
        with self.client() as client:
            results = list(client.map("acme/steady", self.inputs, journal=self.journal, progress=False))
        rows = [[each.output, str(each.error or ""), each.prediction_id] for each in results]
        answer.write_text(json.dumps(rows))

    def fork(self, name: str, *, marked: bool = False) -> int:
        """Run in a process of its own, whose commits can be watched."""
        if pid := os.fork():
            return pid
        code = 1
        try:
            if marked:
                _mark_commits(self.mark)
            self.run(self.folder / name)
            code = 0
        except BaseException as error:
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)

    def answers(self, name: str) -> list[list[Any]]:
        """The output, error and prediction of each row; nothing if the run failed."""
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else []

    def predictions(self) -> list[Prediction]:
        """What the server shows of this trial."""
        with self.client() as client:
            listed = client.predictions.list_all(created_after=self.began - timedelta(seconds=2))
            return [each for each in listed if each.input.get("salt") == self.salt]

    def figures(self, name: str, undisturbed: list[Any]) -> Figures:
        """Compare what the server has with what the run gave, and that with an undisturbed run."""
        shown, answers = self.predictions(), self.answers(name)
        given = {id for _, _, id in answers}
        lost = sum(each.id not in given for each in shown) + self.rows - len(answers)
        return Figures(
            rows=self.rows,
            creates=created(self.url) - self._before,
            duplicates=len(shown) - len({each.input["n"] for each in shown}),
            lost=lost,
            unequal=[each[:2] for each in answers] != undisturbed,
        )


def created(url: str) -> int:
    """How many predictions the server has made, by its own count."""
    return int(control(url)["created"])


def control(url: str, path: str = "") -> dict[str, Any]:
    """Ask the server's control path."""
    return dict(httpx.get(f"{url}/_control{path}").json())


def _mark_commits(mark: mmap.mmap) -> None:
    """Let a byte tell whether a thread of this process is in a commit."""

    class Marked(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            mark[0] = sql == "COMMIT"
            try:
                return super().execute(sql, *parameters)
            finally:
                mark[0] = 0

    sqlite3.connect = partial(sqlite3.connect, factory=Marked)  # type: ignore[assignment]


def kill(pid: int, trial: Trial, *, in_commit: bool = False) -> Figures:
    """Kill a process, in its next commit if that is asked for and comes soon."""
    until = time.monotonic() + _COMMIT_WITHIN
    while in_commit and not trial.mark[0] and time.monotonic() < until:
        time.sleep(0)
    os.kill(pid, signal.SIGKILL)
    met = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    return Figures(points=0, killed=met, in_commits=met and trial.mark[0])


def left(trial: Trial) -> Figures:
    """See what a killed run left in its journal, without disturbing that."""
    copy = trial.folder / "copy"
    shutil.copytree(trial.journal.parent, copy) if trial.journal.exists() else copy.mkdir()
    with closing(sqlite3.connect(copy / trial.journal.name)) as db:
        made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'items'").fetchone()
        states = Counter(state for (state,) in db.execute("SELECT state FROM items")) if made else Counter()
    return Figures(points=0, in_flight=states["created"], intents=states["intent"])


def killed_and_run_again(trial: Trial, after: float, in_commit: bool, undisturbed: list[Any]) -> Figures:
    """Kill a run after a time, and run it again."""
    pid = trial.fork("first.json", marked=True)
    time.sleep(after)
    killed = kill(pid, trial, in_commit=in_commit) + left(trial)
    os.waitpid(trial.fork("second.json"), 0)
    return killed + trial.figures("second.json", undisturbed)


def one_of_two_killed(trial: Trial, after: float, in_commit: bool, undisturbed: list[Any]) -> Figures:
    """Kill one of two runs over the same rows and journal; the other finishes all of them."""
    first, second = trial.fork("first.json", marked=True), trial.fork("second.json")
    time.sleep(after)
    killed = kill(first, trial, in_commit=in_commit)
    os.waitpid(second, 0)
    return killed + trial.figures("second.json", undisturbed)


@contextmanager
def served() -> Iterator[tuple[str, Path]]:
    """Start the server with a model; give its address and a folder."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(__file__).with_name("steady.py").absolute()
        with Command(Path(folder), str(model), "--quiet") as (_, url, _):
            yield url, Path(folder)


def main(points: int, rows: int, pairs: bool, seed: int) -> int:
    """Kill `points` living runs at moments between their begin and end; give the number of runs that went wrong."""
    dice, began, total, wrong, whole = random.Random(seed), time.monotonic(), Figures(points=0), 0, 0.0
    attempt: Callable[..., Figures] = one_of_two_killed if pairs else killed_and_run_again
    with served() as (url, folder):
        undisturbed: list[Any] = []
        while total.killed < points:
            number = total.points
            if number % _MEASURED_EVERY == 0:
                # Its inputs are made of the same characters as the others: with any that a run has not seen shown, a
                # prediction of another run could be one of its own, and a row that was never sent stays unknown.
                whole, undisturbed = _undisturbed(
                    Trial(url, rows, folder / f"whole-{number}", f"{seed}-0{number}")
                )
            after, trial = (
                dice.uniform(0.0, whole),
                Trial(url, rows, folder / str(number), f"{seed}-{number}"),
            )
            figures = attempt(trial, after, number % 2 == 1, undisturbed)
            if not figures.killed:
                whole = min(whole, after)  # it takes less by now
            total, wrong = total + figures, wrong + figures.wrong
            if figures.wrong or number % 10 == 9:
                print(f"run {number + 1}, killed after {after:.2f} of {whole:.2f} s: {figures}", flush=True)
    print(f"seed {seed}, {time.monotonic() - began:.0f} s: {total}")
    print(f"{wrong} of {total.points} wrong")
    return wrong


def _undisturbed(trial: Trial) -> tuple[float, list[Any]]:
    """Time an undisturbed run, and give its results."""
    began = time.monotonic()
    os.waitpid(trial.fork("whole.json"), 0)
    took, answers = time.monotonic() - began, [each[:2] for each in trial.answers("whole.json")]
    assert answers == [[2 * number, ""] for number in range(trial.rows)], answers
    return took, answers


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--pairs", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    sys.exit(bool(main(**vars(parser.parse_args()))))
