"""Processes that run the same rows with one journal, as workers on many machines do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from replicate_kit.batch import journals
from replicate_kit_postgres.testing import Bouncer, Postgres
from tests.served import Command
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

_ROWS, _PROCESSES = 400, 4
_WORKER = Path(__file__).with_name("worker.py")
_MODEL = """
from replicate_kit.simulator import model, sleep

@model("acme/quiet", workers=64)
def quiet(prompt: str) -> int:
    sleep(0.3)
    return len(prompt)
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "models.py").write_text(_MODEL)
    with Command(tmp_path, "models.py", "--quiet") as (_, url, _):
        yield url


def created(url: str) -> list[str]:
    """The input of each prediction that the service has."""
    found: list[str] = []
    link: str | None = f"{url}/v1/predictions"
    while link:
        page = httpx.get(link, headers={"Authorization": "Bearer r8_test"}).raise_for_status().json()
        found += [each["input"]["prompt"] for each in page["results"]]
        link = page["next"]
    return found


@pytest.mark.parametrize("is_pooled", [False, True], ids=["direct", "pgbouncer"])
def test_one_of_four_processes_is_killed_and_no_row_is_paid_twice(
    service: str, server: Postgres, request: pytest.FixtureRequest, is_pooled: bool
) -> None:
    port: Bouncer | None = request.getfixturevalue("bouncer") if is_pooled else None
    name = server.new()
    journal = f"{server.url(port=port)}?prefix={name}&lease=10"
    # The others find rows as long as the first one is not through with all of them, however late they begin.
    shared = f"SELECT count(DISTINCT sender) > 1 FROM {name}_items"
    left = f"SELECT count(*) > 0 FROM {name}_items WHERE run = 1 AND state IN ('intent', 'created')"

    def begin(stack: ExitStack) -> subprocess.Popen[str]:
        command = [sys.executable, str(_WORKER), service, journal, str(_ROWS)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return stack.enter_context(subprocess.Popen(command, text=True, **pipes))

    with ExitStack() as stack:
        running = [begin(stack) for _ in range(_PROCESSES)]
        stack.callback(lambda: [each.kill() for each in running])
        for each in running:  # they wait until they are told to begin
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        go(running[0])
        until(lambda: server.execute(f"SELECT to_regclass('{name}_items') IS NOT NULL") == [(True,)])
        until(lambda: server.execute(left) == [(True,)])
        for each in running[1:]:
            go(each)
        until(lambda: server.execute(shared) == [(True,)])
        running[0].kill()
        running[0].wait()
        assert server.execute(left) == [(True,)]
        printed = [each.communicate(timeout=200)[0] for each in running[1:]]
    outputs = [json.loads(each.splitlines()[-1]) for each in printed]
    assert outputs == [[[len("wombat 0000"), ""]] * _ROWS] * (_PROCESSES - 1)
    assert httpx.get(f"{service}/_control").json()["created"] == _ROWS
    paid = created(service)
    assert len(paid) == len(set(paid)) == _ROWS
    assert journals.describe(journal).states == {"finished": _ROWS}


def go(process: subprocess.Popen[str]) -> None:
    """Tell a process to begin."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
