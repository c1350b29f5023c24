"""Tasks of Airflow, Prefect and Dagster, each by the program that runs it without its servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.pages.reading import ELSEWHERE

from .recipes import PAGE, Recipe, Service, file_of, is_killed_and_runs_again

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),  # each begins for half a minute, and longer where others use the machine
    pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without telling it"),
]

AIRFLOW = "JOBS_AIRFLOW"
"""The variable that names the Python of Airflow's environment, which cannot be Prefect's."""


@dataclass(frozen=True)
class Orchestrator:
    """How a file of the page is run, where `{folder}` is the folder in the environment; and what is done before.

    `stopped` is what it says of a run that SIGTERM has stopped in order.
    """

    file: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stopped: str
    first: Sequence[str] = ()


ORCHESTRATORS = {
    "airflow": Orchestrator(
        "wombats_dag.py",
        ["-m", "airflow", "dags", "test", "wombats", "2026-01-01"],
        {
            "AIRFLOW_HOME": "{folder}",
            "AIRFLOW__CORE__DAGS_FOLDER": "{folder}",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        },
        "SIGTERM: leaving 8 predictions",
        ["-m", "airflow", "db", "migrate"],
    ),
    "dagster": Orchestrator(
        "wombats_assets.py",
        ["-m", "dagster", "asset", "materialize", "--select", "wombats", "-f", "wombats_assets.py"],
        {"DAGSTER_HOME": "{folder}", "DAGSTER_DISABLE_TELEMETRY": "yes"},
        "The run was stopped with 4 of 20 rows done, and 8 predictions left in flight.",
    ),
    "prefect": Orchestrator(
        "wombats_prefect.py",
        ["wombats_prefect.py"],
        {
            "PREFECT_HOME": "{folder}",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        },
        "Crashed('Execution was aborted by a termination signal.')",
    ),
}


def python_of(package: str) -> str:
    """The interpreter that has a package; else the test is skipped."""
    python = os.environ.get(AIRFLOW, "") if package == "airflow" else sys.executable
    if not python or (package != "airflow" and find_spec(package) is None):
        pytest.skip(f"{package} is not installed: tox -e jobs")
    return python


@pytest.fixture(params=ORCHESTRATORS)
def orchestrator(request: pytest.FixtureRequest) -> tuple[str, Orchestrator]:
    return request.param, ORCHESTRATORS[request.param]


@pytest.fixture
def recipe(orchestrator: tuple[str, Orchestrator], service: Service, tmp_path: Path) -> Recipe:
    """The page's files in a folder."""
    package, how = orchestrator
    python = python_of(package)
    folder = tmp_path / "wombats"
    folder.mkdir()
    for name in ("job.py", how.file):
        (folder / name).write_text(file_of(name), "utf-8")
    environment = {name: value.replace("{folder}", str(folder)) for name, value in how.environment.items()}
    environment |= {**service.environment, "HOME": str(folder), "PYTHONPATH": str(folder)}
    if how.first:
        subprocess.run([python, *how.first], cwd=folder, env=environment, capture_output=True, check=True)
    return Recipe(
        [python, *how.command],
        lambda: folder,
        environment,
        lambda: len([*(folder / "pictures").glob("*.png")]),
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_task_is_killed_and_runs_again(
    recipe: Recipe, orchestrator: tuple[str, Orchestrator], service: Service, number: signal.Signals
) -> None:
    assert is_killed_and_runs_again(recipe, service, number) != 0
    assert (orchestrator[1].stopped in recipe.said()) is (number == signal.SIGTERM), recipe.said()


def test_all_that_the_pages_leave_to_this_is_run_here() -> None:
    shown = {block.file for block in PAGE.python if block.runs_elsewhere}
    assert shown == {each.file for each in ORCHESTRATORS.values()}
    assert set(ORCHESTRATORS) == {each for each, environment in ELSEWHERE.items() if environment == "jobs"}
