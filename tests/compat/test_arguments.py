"""The errors of wrong arguments, with the texts that `replicate` 1.0.7 gives them.

`errors.json` says what 1.0.7 raised for calls of tests/interop/arguments.py: each error with the calls that raise it.
The tests in tests/interop compare with the package itself, and keep the file true. What Python says by itself, which
differs from version to version, is not in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replicate_kit.compat.replicate import Client
from replicate_kit.compat.replicate.client import RetryTransport
from replicate_kit.compat.replicate.exceptions import ReplicateException
from replicate_kit.compat.replicate.helpers import base64_encode_file
from replicate_kit.compat.replicate.identifier import ModelVersionIdentifier
from replicate_kit.compat.replicate.prediction import CreatePredictionRequestParams
from replicate_kit.compat.replicate.webhook import Webhooks, WebhookSigningSecret

INTEROP = Path(__file__).parents[1] / "interop"
ERRORS: dict[str, list[str]] = json.loads(Path(__file__).with_name("errors.json").read_text())


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(INTEROP / "arguments.py"), "stand-in"],
        cwd=tmp_path_factory.mktemp("calls"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_wrong_arguments_are_told_in_the_words_of_1_x(outcomes: Any) -> None:
    raised = {
        name: f"{outcomes[name].get('raises')}: {outcomes[name].get('text')}"
        for names in ERRORS.values()
        for name in names
    }
    assert raised == {name: error for error, names in ERRORS.items() for name in names}


def test_wrong_arguments_are_told_before_anything_is_sent(outcomes: Any) -> None:
    asked = {
        name: outcomes[name]["asked"]
        for error, names in ERRORS.items()
        for name in names
        if "predict()" not in error  # there, the model was fetched first
    }
    assert {name for name, requests in asked.items() if requests} == set()


HEADERS = {"webhook-id": "m1", "webhook-timestamp": "1614265330", "webhook-signature": "v1,AAAA"}

TOLD: dict[str, tuple[Callable[[Client], Any], str]] = {
    "several of what can be run": (
        lambda c: c.predictions.create(model="a/b", version="v1", input={}),
        "ValueError: Exactly one of 'model', 'version', or 'deployment' must be specified.",
    ),
    "no destination": (
        lambda c: c.trainings.create("a/b:c", {}),
        "ValueError: A destination must be provided as a positional or keyword argument.",
    ),
    "a shorthand that is none": (
        lambda c: c.trainings.create("invalid", {}, "c/d"),
        "ValueError: Invalid reference to model version: invalid. Expected format: owner/name:version",
    ),
    "a reference that is none": (
        lambda c: ModelVersionIdentifier.parse("invalid"),
        "ValueError: Invalid reference to model version: invalid. Expected format: owner/name:version",
    ),
    "a webhook without headers": (
        lambda c: Webhooks.validate(body="x", secret=WebhookSigningSecret(key="whsec_abc=")),
        "MissingWebhookHeaderError: Missing webhook headers",
    ),
    "a secret that is none": (
        lambda c: Webhooks.validate(headers=HEADERS, body="x", secret=WebhookSigningSecret(key="odd")),
        "InvalidSecretKeyError: Invalid secret key format: odd",
    ),
    "too few arguments": (
        lambda c: c.predictions.get(),
        "TypeError: Predictions.get() missing 1 required positional argument: 'id'",
    ),
    "too much jitter": (
        lambda c: RetryTransport(None, jitter_ratio=0.6),  # type: ignore[arg-type]
        "ValueError: jitter ratio should be between 0 and 0.5, actual 0.6",
    ),
    "no file": (
        lambda c: base64_encode_file(3),
        "AttributeError: 'int' object has no attribute 'seek'",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_a_wrong_argument_is_told_in_the_words_of_1_x(name: str, client: Client) -> None:
    call, text = TOLD[name]
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is in the text
        call(client)
    assert f"{type(caught.value).__name__}: {caught.value}" == text


def test_models_are_not_called_as_they_once_were(client: Client) -> None:
    with pytest.raises(ReplicateException, match=r"^The `model\.predict\(\)` method has been removed"):
        client.models.get("acme/shout").predict(text="x")


def test_the_parameters_of_a_create_have_a_type() -> None:
    assert set(CreatePredictionRequestParams.__annotations__) == {"headers", "timeout"}
