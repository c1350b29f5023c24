"""The recipes of docs/jobs.md as a scheduler runs them: started, killed in the middle, and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.pages.reading import ROOT, Block, read
from tests.waiting import until

__all__ = [
    "AT_ONCE",
    "CREATED",
    "GRACE",
    "ROWS",
    "Recipe",
    "Service",
    "blocks",
    "file_of",
    "is_killed_and_runs_again",
]

PAGE = read(ROOT / "docs" / "jobs.md")
ROWS, AT_ONCE = 20, 4
"""Rows of job.py, and how many of them tests/jobs/models.py paints at once."""

CREATED = AT_ONCE + 8
"""What is created when nothing more goes on: `concurrency=8` are in flight."""

GRACE = 30.0
"""Seconds from SIGTERM to SIGKILL, as Kubernetes gives them."""


def blocks(language: str) -> list[Block]:
    """The blocks of a language on the page."""
    return [block for block in PAGE.blocks if block.language == language]


def file_of(name: str) -> str:
    """What the page puts into a file."""
    [found] = [block.code for block in PAGE.python if block.file == name]
    return found


@dataclass(frozen=True)
class Service:
    """The served simulator, seen from outside."""

    url: str
    folder: Path

    @property
    def created(self) -> int:
        """How many predictions were created."""
        return int(httpx.get(f"{self.url}/_control").raise_for_status().json()["created"])

    def predictions(self) -> list[dict[str, Any]]:
        """All predictions."""
        found: list[dict[str, Any]] = []
        link: str | None = f"{self.url}/v1/predictions"
        while link:
            page = httpx.get(link, headers={"Authorization": "Bearer r8_jobs"}).raise_for_status().json()
            found += page["results"]
            link = page["next"]
        return found

    def statuses(self) -> list[str]:
        """The statuses of all predictions, sorted."""
        return sorted(each["status"] for each in self.predictions())

    def go(self) -> None:
        """Let what is held come to its end."""
        (self.folder / "go").touch()

    @property
    def environment(self) -> dict[str, str]:
        """What finds the service, for a program that looks for nothing of this machine's."""
        mine = str(Path(sys.executable).parent)
        return {
            "PATH": os.pathsep.join((mine, os.environ.get("PATH", os.defpath))),
            "REPLICATE_BASE_URL": self.url,
            "REPLICATE_API_TOKEN": "r8_jobs",
            "REPLICATE_POLL_INTERVAL": "0.1",
            "PYTHONUNBUFFERED": "1",
        }


@dataclass(frozen=True)
class Recipe:
    """A command as it is started each time: in which folder, with which environment; and how many pictures it has."""

    command: Sequence[str]
    folder: Callable[[], Path]
    environment: Mapping[str, str]
    pictures: Callable[[], int]
    log: list[Path] = field(default_factory=list)

    def start(self) -> subprocess.Popen[bytes]:
        """Start it."""
        folder = self.folder()
        self.log.append(folder / f"log-{len(self.log)}")
        with self.log[-1].open("wb") as log:
            return subprocess.Popen(
                self.command,
                cwd=folder,
                env={**self.environment, "HOME": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        """What it has said, each time."""
        return "\n".join(each.read_text("utf-8", "replace") for each in self.log)


def is_killed_and_runs_again(recipe: Recipe, service: Service, number: signal.Signals) -> int:
    """End a recipe by a signal as it waits for pictures, start it again, and give the first one's exit status.

    Each row is created once in all, and each has its picture in the end.
    """
    first = recipe.start()
    try:
        until(
            lambda: first.poll() is not None or (service.created == CREATED and recipe.pictures() == AT_ONCE)
        )
        assert first.poll() is None, recipe.said()
        if number != signal.SIGKILL:
            first.send_signal(number)
        else:  # what loses its machine loses it with all its processes
            kill(first)
        with suppress(subprocess.TimeoutExpired):  # `airflow dags test` tries again by itself, in two minutes
            first.wait(GRACE)
    finally:
        kill(first)
    assert service.created == CREATED, recipe.said()
    service.go()
    again = recipe.start()
    try:
        assert again.wait() == 0, recipe.said()
    finally:
        kill(again)
    assert_paid_once(recipe, service)
    return first.returncode


def assert_paid_once(recipe: Recipe, service: Service) -> None:
    """Each row was created once, and each has its picture."""
    paid = [each["input"]["prompt"] for each in service.predictions()]
    assert service.created == len(paid) == len(set(paid)) == ROWS, recipe.said()
    assert recipe.pictures() == ROWS, recipe.said()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process, and of those that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
