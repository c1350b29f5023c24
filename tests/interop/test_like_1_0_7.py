"""Names, signatures, arguments and environments: the stand-in beside `replicate` 1.0.7."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from differences import DIFFERENT_CALLS
from models import publish
from serving import served
from tokens import SCENARIOS

HERE = Path(__file__).parent
SIDES = ("official", "stand-in")


ERRORS = HERE.parent / "compat" / "errors.json"
PINNED = (
    "ValueError",
    "ReplicateException",
    "InvalidSecretKeyError",
    "InvalidSignatureError",
    "InvalidTimestampError",
    "MissingWebhookBodyError",
    "MissingWebhookHeaderError",
)


def told_by(script: str, side: str, folder: Path, **variables: str) -> Any:
    """What a script says of one side."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / script), side],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def interfaces(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return [told_by("interface.py", side, tmp_path_factory.mktemp(side)) for side in SIDES]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return [told_by("arguments.py", side, tmp_path_factory.mktemp(side)) for side in SIDES]


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("served")
    with served(folder, publish) as service:
        found = {**service.environment, "INTEROP_ORIGIN": service.origin}
        return [told_by("environment.py", side, folder, **found) for side in SIDES]


# Names and signatures.

# What the stand-in has in another form, and why it does.
OTHERWISE = {
    ".Page.previous": "pages are no models of pydantic: this is an attribute of each",
    ".Page.next": "likewise",
    ".Page.results": "likewise",
    ".Trainings.async_create": "the asynchronous form takes what the other takes, too",
}


def missing(name: str, theirs: Any, ours: Any) -> Iterator[str]:
    """Name what one side has and the other has not, or has in another form."""
    if name.endswith(tuple(OTHERWISE)):
        return
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for each, described in theirs.items():
            yield from missing(f"{name}.{each}", described, ours.get(each))
    elif not accepts(theirs, ours):
        yield f"{name}: {theirs} is {ours}"


def accepts(theirs: Any, ours: Any) -> bool:
    """Whether ours can be used as theirs: the same, but for more bases and more parameters with defaults."""
    if not (isinstance(theirs, list) and isinstance(ours, list)):
        return bool(theirs == ours)
    if theirs[0] == "class":
        return set(theirs) <= set(ours)
    more = [each for each in ours if each not in theirs]
    return [each for each in ours if each in theirs] == theirs and all(" = " in each for each in more)


def test_every_name_can_be_imported_and_called_as_in_1_0_7(interfaces: list[Any]) -> None:
    theirs, ours = interfaces
    assert [line for name in theirs for line in missing(name, theirs[name], ours.get(name))] == []


# Arguments.


def reason_of(name: str) -> str | None:
    """Why a call comes to something else, where it does."""
    return next((why for pattern, why in DIFFERENT_CALLS.items() if re.search(pattern, name)), None)


def test_calls_come_to_the_same_errors_and_requests(calls: list[Any]) -> None:
    theirs, ours = calls
    assert list(theirs) == list(ours)
    assert len(theirs) > 1900
    unlike = [name for name in theirs if theirs[name] != ours[name] and not reason_of(name)]
    assert {name: (theirs[name], ours[name]) for name in unlike} == {}


def test_calls_differ_only_where_that_is_on_purpose(calls: list[Any]) -> None:
    theirs, ours = calls
    unlike = [name for name in theirs if theirs[name] != ours[name]]
    unused = [each for each in DIFFERENT_CALLS if not any(re.search(each, name) for name in unlike)]
    assert unused == []


def test_what_is_pinned_is_what_1_0_7_says(calls: list[Any]) -> None:
    """To renew the file, write what this compares: INTEROP_RENEW=1 does."""
    theirs, _ = calls
    found: dict[str, list[str]] = {}
    for name, came in theirs.items():
        if came.get("raises") in PINNED and not reason_of(name):
            found.setdefault(f"{came['raises']}: {came['text']}", []).append(name)
    if os.environ.get("INTEROP_RENEW"):
        ERRORS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert json.loads(ERRORS.read_text()) == found


# Environments.


@pytest.mark.parametrize("kind", ["base URLs", "without a token", "poll intervals"])
def test_environments_come_to_the_same(kind: str, environments: list[Any]) -> None:
    theirs, ours = environments
    assert ours[kind] == theirs[kind]


@pytest.mark.parametrize("name", SCENARIOS)
def test_tokens_are_the_same(name: str, environments: list[Any]) -> None:
    theirs, ours = environments
    assert theirs["tokens"][name] == ours["tokens"][name] == SCENARIOS[name].sends


def test_without_a_token_the_api_itself_refuses(environments: list[Any]) -> None:
    for side in environments:
        assert {each[0] for each in side["without a token"].values()} == {"ReplicateError"}
        assert {each[3][2] for each in side["without a token"].values()} == {401}
