"""Workers that are disturbed, against an API that shares nothing with the simulator: `crash.py` with few points."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform == "win32", reason="needs SIGSTOP"),
]

_CRASH = Path(__file__).with_name("crash.py")
_RIGHT = r"(\d+) rows, \1 creates, 0 duplicates, 0 lost, results as undisturbed (\d+) of \2;"
_ONCE_MORE = r"20 rows, 21 creates, 1 duplicates, 0 lost, results as undisturbed 1 of 1; 1 killed"


def crash(*arguments: str) -> str:
    """Run the script; give its last line but one."""
    command = [sys.executable, str(_CRASH), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") > 1, done.stderr
    return done.stdout.splitlines()[-2] + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "race --points 1 --rows 100 --pooled",
        "killed --points 1 --rows 60",
        "killed --points 1 --rows 60 --pooled",
        "stopped --points 2 --rows 60 --at-once 2",
        "late --points 1 --rows 60",
        "restarted --points 1 --rows 60",
        "cut --points 1 --rows 60 --seconds 14",
    ],
)
def test_no_row_is_paid_twice_and_none_is_lost(arguments: str) -> None:
    assert re.search(_RIGHT, found := crash(*arguments.split(), "--seed", "3")), found


def test_who_is_stopped_just_before_it_sends_a_create_pays_twice_as_the_readme_says() -> None:
    assert re.search(_ONCE_MORE, found := crash("overslept", "--points", "1", "--rows", "20")), found
