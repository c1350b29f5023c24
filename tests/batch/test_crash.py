"""Runs that are killed, against `replicate-kit serve` in a process of its own: `crash.py` with few points."""

from __future__ import annotations

import os
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


def test_a_killed_run_is_taken_up_and_creates_nothing_twice() -> None:
    said = crash("--points", "4", "--rows", "80", "--seed", "3")
    assert "320 rows, 320 creates, 0 duplicates, 0 lost, results as undisturbed 4 of 4" in said


def test_of_two_runs_on_one_journal_one_may_be_killed() -> None:
    said = crash("--points", "2", "--rows", "80", "--pairs", "--seed", "4")
    assert "160 rows, 160 creates, 0 duplicates, 0 lost, results as undisturbed 2 of 2" in said
