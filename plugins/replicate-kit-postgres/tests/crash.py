"""Disturb workers that share a journal in PostgreSQL at random moments, and count what an API was paid.

python plugins/replicate-kit-postgres/tests/crash.py killed --points 20

| search | what happens |
|---|---|
| `race` | nothing: many workers want the same rows |
| `killed` | one of the workers is killed, and started again or not |
| `stopped` | one is stopped for longer than its lease, and goes on |
| `late` | one is stopped so long between a claim and its last look whether it may send the create |
| `overslept` | one is stopped so long between that look and the socket: it pays twice, as the README says |
| `restarted` | the server is restarted, orderly and at once |
| `cut` | the network to the server hangs, or resets connections, for `--seconds` |

A moment is when a random number of rows was paid for, and a random part of a second later. `--pooled` puts PgBouncer
before the server, and `--api FILE` takes another script than tests/paid_api.py, with the same arguments and manners.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))
sys.path.insert(0, str(Path(__file__).parent))

from proxies import Network, network

from replicate_kit_postgres.testing import Postgres, bouncing, postgres
from tests.batch.crash import Figures
from tests.paying import BAD_MANNERS, MODEL, PaidApi, paid_api
from tests.waiting import until

_HERE = Path(__file__).parent
_LEASE, _SETTLING = 6.0, 4.0  # seconds; short, so that what waits for their ends comes soon
_LONGEST = 1200.0  # seconds that a worker is given


@dataclass
class Place:
    """What the workers of all trials share: an API, and a server."""

    api: PaidApi
    server: Postgres
    port: int
    """Where the server, or what stands before it, is reached."""
    network: Network
    """A way to that port."""
    seconds: float
    """How long the network is cut."""


@dataclass
class Trial:
    """Workers over rows of their own, with one journal."""

    place: Place
    tag: str
    rows: int
    lease: float
    port: int
    workers: list[subprocess.Popen[str]] = field(default_factory=list)
    killed: int = 0

    def start(self, count: int, **options: Any) -> None:
        """Start workers, which begin at once when all of them are ready."""
        journal = f"{self.place.server.url(port=self.port)}?prefix=t{self.tag.replace(' ', '_')}&lease={self.lease:g}"
        asked = {"model": MODEL, "tag": self.tag, "settling": _SETTLING} | options
        command = [sys.executable, str(_HERE / "worker.py"), self.place.api.url, journal, str(self.rows)]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started = [subprocess.Popen([*command, json.dumps(asked)], **pipes) for _ in range(count)]
        self.workers += started
        for each in started:
            assert each.stdout
            assert each.stdout.readline() == "ready\n"
        for each in started:
            assert each.stdin
            each.stdin.write("go\n")
            each.stdin.flush()

    def paid(self) -> list[str]:
        """The input of each payment."""
        return self.place.api.paid(self.tag)

    def moment(self, dice: random.Random) -> None:
        """Wait for a random moment of the run."""
        after, jitter = dice.randrange(self.rows), dice.uniform(0.0, 0.2)
        until(lambda: len(self.paid()) >= after or time.sleep(0.01) or self.workers[0].poll() is not None)
        time.sleep(jitter)

    def ended(self, worker: subprocess.Popen[str]) -> Any:
        """What a worker has printed in the end: a list of results, or a text that says what went wrong."""
        printed, _ = worker.communicate(timeout=_LONGEST)
        lines = printed.splitlines()
        return json.loads(lines[-1]) if lines else f"killed by {-worker.returncode}"

    def figures(self) -> Figures:
        """Wait for the workers, and compare what each gave with what the API was paid."""
        unequal, wanted = False, [[f"out:{self.tag} {n:04}", ""] for n in range(self.rows)]
        for found in [self.ended(each) for each in self.workers]:
            if found != wanted:
                unequal = True
                others = found if isinstance(found, str) else [each for each in found if each not in wanted]
                print(f"{self.tag}: {len(others)} {others!s:.600}", flush=True)
        paid = Counter(self.paid())
        return Figures(
            rows=self.rows,
            creates=paid.total(),
            duplicates=paid.total() - len(paid),
            lost=self.rows - len(paid),
            unequal=unequal,
            killed=self.killed,
        )


def race(trial: Trial, dice: random.Random) -> Figures:
    """Let eight workers want the same rows."""
    trial.start(8)
    return trial.figures()


def killed(trial: Trial, dice: random.Random) -> Figures:
    """Kill one of three workers; every second time the other two finish its rows alone."""
    trial.start(3)
    trial.moment(dice)
    _kill(trial)
    if dice.random() < 0.5:
        trial.start(1)
    return trial.figures()


def _kill(trial: Trial) -> None:
    first = trial.workers.pop(0)
    first.kill()
    first.communicate()
    trial.killed += first.returncode == -signal.SIGKILL


def stopped(trial: Trial, dice: random.Random) -> Figures:
    """Stop one of two workers till others have taken its rows over and looked for them; it goes on, or says why not."""
    trial.start(2)
    trial.moment(dice)
    return _slept(trial, trial.workers[0])


def late(trial: Trial, dice: random.Random) -> Figures:
    """Stop one that has claimed a row, and is about to look whether it may send the create."""
    return _stops(trial, "before the last look")


def overslept(trial: Trial, dice: random.Random) -> Figures:
    """Stop one that has looked, and is about to write the create to its socket. What it then writes is paid twice."""
    return _stops(trial, "after it")


def _stops(trial: Trial, when: str) -> Figures:
    """Have one stop itself, and another one take its rows over."""
    trial.start(1, stops=when)
    _, status = os.waitpid(trial.workers[0].pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    trial.start(1)
    return _slept(trial, trial.workers[0])


def _slept(trial: Trial, worker: subprocess.Popen[str]) -> Figures:
    """Stop a worker for longer than its lease and what others then wait before they create again."""
    if worker.poll() is None:
        worker.send_signal(signal.SIGSTOP)
        time.sleep(trial.lease + 2 * _SETTLING + 4.0)
        worker.send_signal(signal.SIGCONT)
    # It, or the other, which may have been slow, says that its lease is over, and is run again.
    trial.killed += "was not heard of" in str([trial.ended(each) for each in trial.workers])
    trial.workers.clear()
    trial.start(1)
    return trial.figures()


def restarted(trial: Trial, dice: random.Random) -> Figures:
    """Restart the server under three workers."""
    trial.start(3)
    trial.moment(dice)
    trial.place.server.restart(dice.choice(["fast", "immediate"]))
    return trial.figures()


def cut(trial: Trial, dice: random.Random) -> Figures:
    """Cut the network to the server, under three workers."""
    trial.start(3)
    trial.moment(dice)
    dice.choice([trial.place.network.hang, trial.place.network.reset])()
    time.sleep(trial.place.seconds)
    trial.place.network.mend()
    return trial.figures()


Search = Callable[[Trial, random.Random], Figures]
_SEARCHES: dict[str, Search] = {
    each.__name__: each for each in (race, killed, stopped, late, overslept, restarted, cut)
}
_UNDISTURBED = ("race", "overslept")  # which count requests, or how often one was looked at
_APART = ("killed", "stopped", "late", "overslept")  # of these, several may be done at once


def main(
    search: str, points: int, rows: int, seed: int, seconds: float, at_once: int, pooled: bool, api: list[str]
) -> int:
    """Disturb `points` times; give the number of times that went wrong."""
    dice, began, total, wrong = random.Random(seed), time.monotonic(), Figures(points=0), 0
    with ExitStack() as stack:
        enter = stack.enter_context
        server = enter(postgres())
        port = enter(bouncing(server)) if pooled else server.port
        paid = enter(paid_api({} if search in _UNDISTURBED else BAD_MANNERS, *api))
        place = Place(paid, server, port, enter(network(port)), seconds)
        pool = enter(ThreadPoolExecutor(at_once if search in _APART else 1))
        lease = _LEASE if search in _APART else 180.0
        trials: list[Future[Figures]] = []
        for number in range(points):
            port = place.network.port if search == "cut" else place.port
            trial = Trial(place, f"{seed:03} {number:03}", rows, lease, port)
            stack.callback(partial(_end, trial))
            trials.append(pool.submit(_SEARCHES[search], trial, random.Random(dice.random())))
        for number, each in enumerate(trials):
            figures = each.result()
            total, wrong = total + figures, wrong + figures.wrong
            print(f"{search} {number + 1}, {time.monotonic() - began:.0f} s: {figures}", flush=True)
    print(f"seed {seed}, {time.monotonic() - began:.0f} s: {total}")
    print(f"{wrong} of {points} wrong")
    return wrong


def _end(trial: Trial) -> None:
    for each in trial.workers:
        each.kill()
        each.communicate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("search", choices=_SEARCHES)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--pooled", action="store_true")
    parser.add_argument("--api", nargs=1, default=[])
    sys.exit(bool(main(**vars(parser.parse_args()))))
