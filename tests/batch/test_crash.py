"""Runs that are killed, against `replicate-kit serve` in a process of its own: `crash.py` with few points."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]

CRASH = Path(__file__).with_name("crash.py")


def crash(*arguments: str) -> str:
    """Run the script in a process of its own, since it forks."""
    done = subprocess.run(
        [sys.executable, str(CRASH), *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


RIGHT = re.compile(
    r"(\d+) rows, \1 creates, 0 duplicates, 0 lost, results as undisturbed (\d+) of \2; (\d+) killed"
)


def test_a_killed_run_is_taken_up_and_creates_nothing_twice() -> None:
    found = RIGHT.search(crash("--points", "4", "--rows", "80", "--seed", "3").splitlines()[-2])
    assert found
    assert found[3] == "4"


def test_of_two_runs_on_one_journal_one_may_be_killed() -> None:
    found = RIGHT.search(crash("--points", "2", "--rows", "80", "--pairs", "--seed", "4").splitlines()[-2])
    assert found
    assert found[3] == "2"
