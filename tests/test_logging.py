"""Logging: what `REPLICATE_LOG` turns on, and what is never logged."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from replicate_kit import Client

Connect = Callable[..., tuple[Client, list[httpx.Request]]]
OURS = logging.getLogger("replicate_kit")


@pytest.fixture(autouse=True)
def _level_is_put_back() -> Iterator[None]:
    yield
    OURS.setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("info", logging.INFO),
        (" DEBUG ", logging.DEBUG),
        ("", logging.NOTSET),
        ("loud", logging.NOTSET),
        (None, logging.NOTSET),
    ],
)
def test_the_variable_sets_the_level(monkeypatch: pytest.MonkeyPatch, said: str | None, level: int) -> None:
    if said is not None:
        monkeypatch.setenv("REPLICATE_LOG", said)
    Client(backend="mock").close()
    assert OURS.level == level


PROGRAM = """
from replicate_kit import Client
client = Client("r8_secret", backend="mock")
client.run("demo/flaky", {"prompt": "between us", "failure_rate": 0}, wait=False)
"""


def lines_at(level: str) -> list[str]:
    """What a program writes to its standard error."""
    environment = {**os.environ, "REPLICATE_LOG": level}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr.splitlines()


def test_info_tells_of_predictions() -> None:
    lines = lines_at("info")
    assert all("replicate_kit INFO prediction" in line for line in lines)
    assert lines[-1].endswith(": succeeded")


def test_debug_tells_of_each_request_and_of_no_secret() -> None:
    lines = lines_at("debug")
    assert any(
        "POST https://api.replicate.test/v1/models/demo/flaky/predictions 201" in line for line in lines
    )
    assert not any("r8_secret" in line or "between us" in line for line in lines)


def test_without_the_variable_nothing_is_written() -> None:
    assert lines_at("") == []


def test_a_retry_is_told_without_what_the_query_holds(
    connect: Connect, clock: Any, prediction: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = connect(httpx.Response(429, headers={"Retry-After": "3"}), prediction())
    with caplog.at_level(logging.INFO, logger="replicate_kit"):
        client.request("GET", "predictions/p1", params={"signature": "secret"})
    (line,) = caplog.messages
    assert line.startswith("GET https://api.test/v1/predictions/p1: 429, sent again in 3.")


def test_lines_are_json_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_LOG", "json")
    last = [json.loads(line) for line in lines_at("info")][-1]
    assert (last["logger"], last["event"], last["status"]) == ("replicate_kit", "prediction", "succeeded")
    assert (last["model"], len(last["prediction"])) == ("demo/flaky", 26)
