from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit.simulator import Simulator, log, metric

Send = Callable[..., httpx.Response]

KILLED = """
import sys, json, os, signal, time
from replicate_kit._runtime.blocking import run
from replicate_kit.simulator import Simulator, log, metric
from replicate_kit._runtime.runtimes import runtime
from replicate_kit.transport import Request
simulator = Simulator(state=sys.argv[1])

@simulator.model("acme/paint")
def paint(text: str, seconds: float = 0.0) -> list[bytes]:
    time.sleep(seconds)
    return [text.encode(), b"more"]

def create(**input):
    url = simulator.base_url + "/models/acme/paint/predictions"
    headers = {} if input.get("seconds") else {"Prefer": "wait"}
    request = Request("POST", url, json={"input": input}, headers=headers)
    return run(simulator.handle(request, runtime(True))).json()

print(json.dumps([create(text="done"), create(text="killed", seconds=60)]), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def paint(text: str, seconds: float = 0.0) -> list[bytes]:
    return [text.encode(), b"again"]


def create(send: Send, **input: Any) -> dict[str, Any]:
    response = send(
        "POST", "/models/acme/paint/predictions", json={"input": input}, headers={"Prefer": "wait=10"}
    )
    return dict(response.json())


def finished(ask: Send, id: str) -> dict[str, Any]:
    for _ in range(1000):
        found = dict(ask("GET", f"/predictions/{id}").json())
        if found["status"] not in ("starting", "processing"):
            return found
        threading.Event().wait(0.005)
    raise AssertionError(found)


def test_a_killed_process_leaves_its_predictions_to_the_next(
    tmp_path: Path, ask_of: Callable[..., Send]
) -> None:
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    done, killed = json.loads(child.stdout)
    with Simulator(state=tmp_path) as simulator:
        ask = ask_of(simulator)
        assert ask("GET", f"/predictions/{killed['id']}").json()["status"] == "starting"
        simulator.model("acme/paint")(paint)
        again = finished(ask, killed["id"])
        assert again["status"] == "succeeded"
        assert [ask("GET", url).content for url in again["output"]] == [b"killed", b"again"]
        before = ask("GET", f"/predictions/{done['id']}").json()
        assert before["output"] == done["output"]
        assert [ask("GET", url).content for url in done["output"]] == [b"done", b"more"]
        assert ask("GET", killed["urls"]["stream"]).text.count("event: output") == 2
        listed = [each["id"] for each in ask("GET", "/predictions").json()["results"]]
        assert listed == [killed["id"], done["id"]]
        assert simulator.created == 0


def test_what_was_created_later_comes_first(tmp_path: Path, ask_of: Callable[..., Send]) -> None:
    ids = []
    for _ in range(3):
        with Simulator(state=tmp_path) as simulator:
            simulator.model("acme/paint")(paint)
            ask = ask_of(simulator)
            ids.append(create(ask, text="a")["id"])
    with Simulator(state=tmp_path) as simulator:
        listed = [each["id"] for each in ask_of(simulator)("GET", "/predictions").json()["results"]]
    assert listed == ids[::-1]


def test_a_line_that_was_not_finished_is_passed_over(tmp_path: Path, ask_of: Callable[..., Send]) -> None:
    with Simulator(state=tmp_path) as simulator:
        simulator.model("acme/paint")(paint)
        first = create(ask_of(simulator), text="a")
    with (tmp_path / "predictions.jsonl").open("ab") as file:
        file.write(b'["begin", {"id": "ha')
    with Simulator(state=tmp_path) as simulator:
        simulator.model("acme/paint")(paint)
        second = create(ask_of(simulator), text="b")
    with Simulator(state=tmp_path) as simulator:
        listed = [each["id"] for each in ask_of(simulator)("GET", "/predictions").json()["results"]]
    assert listed == [second["id"], first["id"]]


def test_uploads_and_secrets_outlive_the_process(tmp_path: Path, ask_of: Callable[..., Send]) -> None:
    with Simulator(state=tmp_path) as simulator:
        secret = simulator.webhook_secret
        kept, dropped = (
            ask_of(simulator)("POST", "/files", files={"content": (name, b"hello")}).json() for name in "ab"
        )
        assert ask_of(simulator)("DELETE", f"/files/{dropped['id']}").status_code == 204
    with Simulator(state=tmp_path) as simulator:
        assert simulator.webhook_secret == secret
        assert ask_of(simulator)("GET", f"/files/{kept['id']}").json() == kept
        assert ask_of(simulator)("GET", f"/files/{dropped['id']}").status_code == 404


def test_a_folder_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    with Simulator(state=tmp_path), pytest.raises(RuntimeError, match="Another process"):
        Simulator(state=tmp_path)
    Simulator(state=tmp_path).close()


def test_data_that_was_kept_long_enough_is_gone_for_the_next_process(
    tmp_path: Path, ask_of: Callable[..., Send]
) -> None:
    with Simulator(state=tmp_path, retention=0) as simulator:
        simulator.model("acme/paint")(paint)
        created = create(ask_of(simulator), text="a")
    with Simulator(state=tmp_path, retention=0) as simulator:
        found = ask_of(simulator)("GET", f"/predictions/{created['id']}").json()
    assert found["data_removed"]
    assert list((tmp_path / "files").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_runs_what_its_parent_had_begun(ask_of: Callable[..., Send]) -> None:
    simulator, release, parent = Simulator(), threading.Event(), os.getpid()
    started = threading.Event()

    @simulator.model("acme/paint")
    def wait(text: str) -> str:
        log("begun")
        metric("tries", 1)
        started.set()
        if os.getpid() == parent:
            release.wait(10)
        return text + " in the child"

    ask = ask_of(simulator)
    created = ask("POST", "/models/acme/paint/predictions", json={"input": {"text": "runs"}}).json()
    assert started.wait(10)
    child = _fork()
    if child == 0:
        try:
            found = finished(ask, created["id"])
            same = found["output"] == "runs in the child" and found["logs"] == "begun\n"
            fresh = create(ask, text="new")["output"] == "new in the child"
            os._exit(0 if same and fresh else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    release.set()
    assert finished(ask, created["id"])["status"] == "succeeded"


def _fork() -> int:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the point is that other threads run
        return os.fork()
