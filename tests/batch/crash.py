"""Kill a run at random moments, run it again, and count what the server created.

python tests/batch/crash.py --points 200 --rows 300            # one process, killed and run again
python tests/batch/crash.py --points 50 --rows 300 --pairs     # two processes on one journal, one killed
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from replicate_kit import Client

TIMEOUT = 2.0


@dataclass
class Trial:
    """One run over rows of its own."""

    url: str
    rows: int
    folder: Path
    salt: str
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def inputs(self) -> list[dict[str, Any]]:
        return [{"n": number, "salt": self.salt} for number in range(self.rows)]

    def client(self) -> Client:
        return Client(api_token="r8_test", base_url=self.url, timeout=TIMEOUT, poll_interval=0.05)

    def run(self, answer: Path) -> None:
        """Run the rows, and write the outputs down."""
        with self.client() as client:
            results = list(client.map("acme/steady", self.inputs, journal=self.folder / "journal.sqlite"))
        answer.write_text(json.dumps([[each.output, str(each.error or "")] for each in results]))

    def fork(self, name: str) -> int:
        """Run in a process of its own."""
        if pid := os.fork():
            return pid
        code = 1
        try:
            self.run(self.folder / name)
            code = 0
        except BaseException as error:
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)

    def creates(self) -> Counter[int]:
        """What the server created for this trial, by row."""
        with self.client() as client:
            listed = client.predictions.list_all(created_after=self.began)
            return Counter(each.input["n"] for each in listed if each.input.get("salt") == self.salt)

    def check(self, name: str) -> str:
        """Compare with an undisturbed run; say what is wrong, if anything is."""
        counts, expected = self.creates(), [[2 * number, ""] for number in range(self.rows)]
        double = {number: count for number, count in counts.items() if count > 1}
        answer = json.loads((self.folder / name).read_text())
        wrong = [
            index for index, (got, right) in enumerate(zip(answer, expected, strict=True)) if got != right
        ]
        if double or len(counts) != self.rows or wrong:
            return f"{sum(counts.values())} creates for {self.rows} rows, double {double}, wrong {wrong[:5]}"
        return ""


@contextmanager
def server() -> Iterator[str]:
    """Start the server."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("server.py"))], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def killed_and_run_again(trial: Trial, after: float) -> str:
    """Kill a run after a time, and run it again."""
    pid = trial.fork("first.json")
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.waitpid(trial.fork("second.json"), 0)
    return trial.check("second.json")


def one_of_two_killed(trial: Trial, after: float) -> str:
    """Kill one of two runs over the same rows and journal; the other finishes all of them."""
    first, second = trial.fork("first.json"), trial.fork("second.json")
    time.sleep(after)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    os.waitpid(second, 0)
    return trial.check("second.json")


def main(points: int, rows: int, pairs: bool, seed: int) -> int:
    """Try `points` moments; give the number of those at which something was wrong."""
    dice, failures = random.Random(seed), 0
    with server() as url, tempfile.TemporaryDirectory() as folder:
        whole = _time_of_a_run(url, rows, Path(folder))
        for number in range(points):
            place = Path(folder, str(number))
            place.mkdir()
            after = dice.uniform(0.0, whole)
            attempt = one_of_two_killed if pairs else killed_and_run_again
            problem = attempt(Trial(url, rows, place, f"{seed}-{number}"), after)
            failures += bool(problem)
            if problem or number % 10 == 9:
                print(f"{number + 1}/{points} killed after {after:.2f} s: {problem or 'right'}", flush=True)
    print(f"{points} kills over runs of {whole:.2f} s and {rows} rows: {failures} of them wrong")
    return failures


def _time_of_a_run(url: str, rows: int, folder: Path) -> float:
    """Measure an undisturbed run."""
    place = folder / "whole"
    place.mkdir()
    began = time.monotonic()
    os.waitpid(Trial(url, rows, place, "whole").fork("whole.json"), 0)
    return time.monotonic() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--pairs", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    sys.exit(bool(main(**vars(parser.parse_args()))))
