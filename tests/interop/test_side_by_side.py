"""The official client and the stand-in, side by side against the same simulator."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import pytest
from loopback import API, FILES
from models import publish, versions
from serving import served

SCRIPT = Path(__file__).with_name("side_by_side.py")
EXAMPLES = re.findall(r"^@example\n(?:async )?def (\w+)", SCRIPT.read_text(), re.MULTILINE)


@dataclass
class Side:
    """What came of the examples on one side: their results, and the requests that they sent."""

    results: dict[str, Any]
    requests: dict[str, list[str]]
    token_went_to: set[str]


def run_side(side: str, folder: Path) -> Side:
    folder.mkdir()
    with served(folder, publish) as service:
        environment = {**os.environ, **service.environment}
        environment["INTEROP_VERSIONS"] = json.dumps(versions(service.simulator))
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(SCRIPT), side],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        requests = service.simulator.requests
        hosts = {httpx.URL(each.url).host for each in requests if each.authorized}
        return Side(json.loads(done.stdout), by_example(requests), hosts)


def by_example(requests: Iterable[Any]) -> dict[str, list[str]]:
    """Sort the requests by example; how often the same one was repeated, as polling does, is left out."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for request in requests:
        if marked := re.search(r"/example/(\w+)$", request.url):
            current = found.setdefault(marked[1], [])
        else:
            current.append(f"{request.operation} {request.status}")
    return {name: comparable(name, asked) for name, asked in found.items()}


AT_ONCE = {"run_several_at_once"}  # examples of several tasks, whose requests come in any order


def comparable(name: str, asked: list[str]) -> list[str]:
    """The requests of an example, each that reads once where it is repeated."""
    if name not in AT_ONCE:
        return [each for each, _ in groupby(asked)]
    reads = {each for each in asked if ".get " in each}
    return sorted([*reads, *(each for each in asked if each not in reads)])


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, Side]:
    folder = tmp_path_factory.mktemp("sides")
    return run_side("official", folder / "official"), run_side("stand-in", folder / "stand-in")


PNG = {"FileOutput": "<files>/xezq/<token>/1-out-0.png"}

# What the stand-in gives where it differs on purpose, and why it does. Everything else is the same.
DIFFERENT_RESULTS: dict[str, tuple[Any, str]] = {
    "run_with_a_file_in_text_mode": ("an image of 203 bytes", "the README opens its picture in text mode"),
    "compose_models": (PNG, "versions can be called again, as the README shows"),
    "run_holding_for_some_seconds": ("X", "an answer that came before the end is no result: it polls"),
    "a_hasty_answer": ("all", "likewise"),
    "run_files_piece_by_piece_with_plain_urls": (
        ["<files>/xezq/<token>/out-0.png", "<files>/xezq/<token>/out-1.png"],
        "use_file_output=False holds for pieces as well",
    ),
    "read_a_percent_encoded_file": ("a b", "data URLs need not be base64"),
    "output_iterator_of_what_has_ended": (
        ["x 0", "x 1", "x 2"],
        "pieces that are there already are not left out",
    ),
    "create_by_model_and_hold": ("processing", "wait= is sent on for models too"),
    "after_a_reload_nested_records_are_records": ("Version", "they were dictionaries"),
    "chain_models": (PNG, "a file that one model made can be another's input"),
    "async_training_by_shorthand": ("Training", "the asynchronous form takes what the other takes"),
    "a_status_of_tomorrow": ("aborted", "a status that is not known is no reason to fail"),
    "the_callers_own_headers": ({"X-Mine": "1"}, "the token is not written into the caller's own headers"),
    "an_id_that_is_a_path": (404, "an id cannot lead to another operation"),
    "two_event_loops": (["acme/slow", "acme/slow"], "connections belong to their loop"),
}

DIFFERENT_REQUESTS = {
    "run_a_model_that_gives_nothing": "without an output it looks again whether the model has ended",
    "files_as_inputs": "a file that was uploaded before is not uploaded again",
}


@pytest.mark.parametrize("name", [each for each in EXAMPLES if each not in DIFFERENT_RESULTS])
def test_results_are_the_same(name: str, sides: tuple[Side, Side]) -> None:
    official, stand_in = sides
    assert stand_in.results[name] == official.results[name]


@pytest.mark.parametrize(
    "name", [each for each in EXAMPLES if each not in DIFFERENT_RESULTS | DIFFERENT_REQUESTS]
)
def test_requests_are_the_same(name: str, sides: tuple[Side, Side]) -> None:
    official, stand_in = sides
    assert stand_in.requests[name] == official.requests[name]


@pytest.mark.parametrize("name", DIFFERENT_RESULTS)
def test_results_differ_on_purpose(name: str, sides: tuple[Side, Side]) -> None:
    official, stand_in = sides
    assert stand_in.results[name] == DIFFERENT_RESULTS[name][0]
    assert stand_in.results[name] != official.results[name]


@pytest.mark.parametrize("name", DIFFERENT_REQUESTS)
def test_requests_differ_on_purpose(name: str, sides: tuple[Side, Side]) -> None:
    official, stand_in = sides
    assert stand_in.requests[name] != official.requests[name]


def test_no_example_fails_on_the_stand_in(sides: tuple[Side, Side]) -> None:
    _, stand_in = sides
    assert [
        name for name, result in stand_in.results.items() if isinstance(result, dict) and "raises" in result
    ] == []


def test_the_stand_in_gives_the_token_to_the_api_alone(sides: tuple[Side, Side]) -> None:
    official, stand_in = sides
    assert official.token_went_to == {API, FILES}
    assert stand_in.token_went_to == {API}
