"""The lines of a crontab, as cron runs them: by /bin/sh, with an environment of four variables."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from replicate_kit.batch import journals
from tests.waiting import until

from .recipes import (
    AT_ONCE,
    CREATED,
    ROWS,
    Recipe,
    Service,
    assert_paid_once,
    blocks,
    file_of,
    is_killed_and_runs_again,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no cron, and ends a process without telling it"),
]


def lines() -> list[str]:
    """The commands of the crontab on the page, without the times."""
    [crontab] = blocks("crontab")
    times = {5: "15 2 * * *", 1: "@reboot"}
    found = [line.split(None, 1 if line.startswith("@") else 5) for line in crontab.code.splitlines()]
    assert [" ".join(each[:-1]) for each in found] == list(times.values())
    return [each[-1] for each in found]


@pytest.fixture
def recipe(service: Service, tmp_path: Path) -> Recipe:
    """The job in its folder, with the token kept by `auth login`."""
    folder = tmp_path / "wombats"
    folder.mkdir()
    (folder / "job.py").write_text(file_of("job.py"), "utf-8")
    (folder / ".venv").symlink_to(sys.prefix)
    command, again = lines()
    assert command == again
    found = {name: service.environment[name] for name in ("REPLICATE_BASE_URL", "REPLICATE_POLL_INTERVAL")}
    found |= {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LOGNAME": "wombat"}
    # The shell is replaced by the job, so that the signal of a shutdown, which all processes get, finds it.
    command = command.replace("/srv/wombats", str(folder)).replace("&& ", "&& exec ")
    subprocess.run(
        [folder / ".venv/bin/replicate-kit", "auth", "login", "--token-stdin", "--no-check"],
        env={**found, "HOME": str(folder)},
        input=b"r8_jobs",
        check=True,
    )
    return Recipe(
        ["/bin/sh", "-c", command], lambda: folder, found, lambda: len([*(folder / "pictures").glob("*.png")])
    )


def detaching(recipe: Recipe) -> Recipe:
    """The same, where what is in flight is left."""
    return replace(recipe, environment={**recipe.environment, "ON_INTERRUPT": "detach"})


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["SIGTERM", "SIGKILL"],
)
def test_what_is_left_in_flight_is_taken_up(
    recipe: Recipe, service: Service, number: signal.Signals, status: int
) -> None:
    assert is_killed_and_runs_again(detaching(recipe), service, number) == status


def test_a_shutdown_cancels_what_is_in_flight_and_the_next_run_creates_that_again(
    recipe: Recipe, service: Service
) -> None:
    first = recipe.start()
    until(lambda: recipe.pictures() == AT_ONCE and service.created == CREATED)
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 143
    assert service.statuses() == ["canceled"] * (CREATED - AT_ONCE) + ["succeeded"] * AT_ONCE
    service.go()
    assert recipe.start().wait() == 0
    assert service.created == ROWS + CREATED - AT_ONCE
    assert recipe.pictures() == ROWS


def test_two_at_once_pay_once_without_flock(recipe: Recipe, service: Service) -> None:
    first = recipe.start()
    until(lambda: service.created == CREATED)
    second = recipe.start()
    service.go()
    assert (first.wait(), second.wait()) == (0, 0)
    assert_paid_once(recipe, service)


def test_the_label_is_the_date(recipe: Recipe, service: Service) -> None:
    service.go()
    assert recipe.start().wait() == 0
    [label] = journals.describe(recipe.folder() / "wombats.sqlite").labels
    assert label is not None
    assert len(label) == len("2026-11-30")


def test_rows_that_fail_are_status_3_and_named_in_the_log(recipe: Recipe, service: Service) -> None:
    job = recipe.folder() / "job.py"
    job.write_text(job.read_text("utf-8").replace("number {number}", "number none"), "utf-8")
    assert recipe.start().wait() == 3
    assert "row 0: " in (recipe.folder() / "job.log").read_text("utf-8")
