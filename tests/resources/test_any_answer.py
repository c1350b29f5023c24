"""Whatever a server answers: each of the API's 37 operations gives a result or one of our errors, and nothing else."""

from __future__ import annotations

import contextlib
import inspect
import json as json_
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from replicate_kit import Client, Page, Prediction
from replicate_kit.errors import ReplicateError
from replicate_kit.records import Field, Record
from replicate_kit.resources.trainings import Training

VERSION = "f" * 64
Operation = Callable[[Client], Any]

OPERATIONS: Mapping[str, Operation] = {
    "account.get": lambda client: client.accounts.current(),
    "collections.get": lambda client: client.collections.get("a"),
    "collections.list": lambda client: client.collections.list(),
    "deployments.create": lambda client: client.deployments.create(
        "d", model="a/b", version=VERSION, hardware="cpu", min_instances=0, max_instances=1
    ),
    "deployments.delete": lambda client: client.deployments.delete("a/d"),
    "deployments.get": lambda client: client.deployments.get("a/d"),
    "deployments.list": lambda client: client.deployments.list(),
    "deployments.predictions.create": lambda client: client.predictions.create(deployment="a/d", input={}),
    "deployments.update": lambda client: client.deployments.update("a/d", min_instances=0),
    "files.create": lambda client: client.files.create(b"x"),
    "files.delete": lambda client: client.files.delete("f"),
    "files.download": lambda client: client.files.download("f", owner="a", expiry=1, signature="s"),
    "files.get": lambda client: client.files.get("f"),
    "files.list": lambda client: client.files.list(),
    "hardware.list": lambda client: client.hardware.list(),
    "models.create": lambda client: client.models.create("a", "b", visibility="public", hardware="cpu"),
    "models.delete": lambda client: client.models.delete("a/b"),
    "models.examples.list": lambda client: client.models.examples("a/b"),
    "models.get": lambda client: client.models.get("a/b"),
    "models.list": lambda client: client.models.list(),
    "models.predictions.create": lambda client: client.predictions.create(model="a/b", input={}),
    "models.readme.get": lambda client: client.models.readme("a/b"),
    "models.search": lambda client: client.models.search("q"),
    "models.update": lambda client: client.models.update("a/b", description="d"),
    "models.versions.delete": lambda client: client.models.versions("a/b").delete(VERSION),
    "models.versions.get": lambda client: client.models.versions("a/b").get(VERSION),
    "models.versions.list": lambda client: client.models.versions("a/b").list(),
    "predictions.cancel": lambda client: client.predictions.cancel("p"),
    "predictions.create": lambda client: client.predictions.create(VERSION, {}),
    "predictions.get": lambda client: client.predictions.get("p"),
    "predictions.list": lambda client: client.predictions.list(),
    "search": lambda client: client.search.query("q"),
    "trainings.cancel": lambda client: client.trainings.cancel("t"),
    "trainings.create": lambda client: client.trainings.create(f"a/b:{VERSION}", {}, "a/c"),
    "trainings.get": lambda client: client.trainings.get("t"),
    "trainings.list": lambda client: client.trainings.list(),
    "webhooks.default.secret.get": lambda client: client.webhooks.default.secret(),
}

MORE: Mapping[str, Operation] = {
    "model.reload": lambda client: client.models.get("a/b").reload(),
    "pages": lambda client: client.predictions.list(client.predictions.list().next),
    "prediction.wait": lambda client: Prediction({"id": "p"}, client.session).wait(0.05),
    "prediction.stream": lambda client: list(
        Prediction({"id": "p", "urls": {"stream": "https://api.test/stream"}}, client.session).stream()
    ),
    "run": lambda client: client.run("a/b", {"prompt": "p"}, timeout=0.05),
    "run of a deployment": lambda client: client.run("deployments/a/d", {"prompt": "p"}, timeout=0.05),
    "run of a version": lambda client: client.run(f"a/b:{VERSION}", {"prompt": "p"}, timeout=0.05),
    "use": lambda client: repr(client.use("a/b")),
    "upload": lambda client: client.predictions.create(VERSION, {"image": b"x" * 300_000}),
}


def test_the_operations_are_those_of_the_api() -> None:
    assert len(OPERATIONS) == 37


# JSON in whose objects the names of the API are frequent.

NAMES = st.sampled_from(
    [
        "id",
        "status",
        "output",
        "results",
        "next",
        "previous",
        "urls",
        "get",
        "cancel",
        "stream",
        "latest_version",
        "openapi_schema",
        "components",
        "schemas",
        "Input",
        "Output",
        "properties",
        "required",
        "type",
        "format",
        "enum",
        "items",
        "allOf",
        "$ref",
        "x-order",
        "x-cog-array-type",
        "models",
        "collections",
        "pages",
        "model",
        "version",
        "current_release",
        "created_by",
        "configuration",
        "logs",
        "error",
        "metrics",
        "input",
        "created_at",
        "completed_at",
        "key",
        "default_example",
        "is_official",
        "owner",
        "name",
        "number",
        "username",
        "sku",
        "slug",
        "checksums",
        "metadata",
        "detail",
        "title",
        "invalid_fields",
        "retry_after",
        "destination",
    ]
)
TEXTS = st.sampled_from(
    [
        "succeeded",
        "processing",
        "starting",
        "a/b",
        VERSION,
        "p",
        "array",
        "string",
        "uri",
        "iterator",
        "#/x",
        "https://api.test/v1/predictions?cursor=a",
        "https://[",
        "2026-01-01T00:00:00Z",
        "data:,x",
        "0000-00-00",
    ]
)
LEAVES = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | TEXTS | st.text(max_size=5)
)
ANY_JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=25,
)
SHAPED = st.builds(
    lambda given: {"id": "p", "results": [given, {"id": "p"}], **(given if isinstance(given, dict) else {})},
    ANY_JSON,
)


def read_all(thing: Any, depth: int = 4) -> None:
    """Read whatever a result offers."""
    if depth == 0:
        return
    if isinstance(thing, Page | list | tuple):
        for each in thing:
            read_all(each, depth - 1)
    if isinstance(thing, Record):
        repr(thing), dict(thing), thing == thing.__class__(dict(thing))
        for name in attributes(type(thing)):
            with contextlib.suppress(ReplicateError):
                read_all(getattr(thing, name), depth - 1)


def attributes(kind: type[Record]) -> list[str]:
    """Fields and properties: all that is read without a call."""
    return [
        name
        for each in kind.__mro__
        for name, value in vars(each).items()
        if isinstance(value, Field | property) or inspect.isdatadescriptor(value)
        if not name.startswith("_")
    ]


FUZZ = settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # without shrinking: a failure shows soon enough
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.slow  # a large family
@pytest.mark.parametrize("name", [*OPERATIONS, *MORE])
@FUZZ
@given(answer=ANY_JSON | SHAPED)
@example(answer=[])
@example(answer={"id": "p", "results": 7, "urls": ["x"], "models": "x", "status": {}, "logs": 5})
def test_any_json_gives_a_result_or_one_of_our_errors(
    connect: Any, clock: Any, name: str, answer: Any
) -> None:
    client, _ = connect(lambda _: httpx.Response(200, content=json_.dumps(answer)), retries=0)
    with contextlib.suppress(ReplicateError):
        read_all({**OPERATIONS, **MORE}[name](client))


@pytest.mark.slow  # a large family
@pytest.mark.parametrize("name", sorted(OPERATIONS))
@settings(FUZZ, max_examples=20)
@given(
    status=st.sampled_from([200, 201, 204, 302, 400, 401, 404, 422, 429, 500, 503]),
    body=st.binary(max_size=60),
)
@example(status=200, body=b"[" * 3000)
@example(status=500, body=b'{"a":' * 3000)
@example(status=422, body=b'{"detail": 5, "invalid_fields": {"a": 1}}')
@example(status=200, body=b"9" * 5000)
@example(status=200, body=b"\xff\xfe")
def test_any_bytes_give_a_result_or_one_of_our_errors(
    connect: Any, clock: Any, name: str, status: int, body: bytes
) -> None:
    client, _ = connect(lambda _: httpx.Response(status, content=body), retries=0)
    with contextlib.suppress(ReplicateError):
        read_all(OPERATIONS[name](client))


@FUZZ
@given(status=st.sampled_from([400, 402, 422, 429, 500]), answer=ANY_JSON)
def test_any_error_can_be_told(connect: Any, clock: Any, status: int, answer: Any) -> None:
    client, _ = connect(lambda _: httpx.Response(status, content=json_.dumps(answer)), retries=0)
    with pytest.raises(ReplicateError) as caught:
        client.accounts.current()
    assert str(caught.value)


@FUZZ
@given(kind=st.sampled_from([Prediction, Training]), json=st.dictionaries(NAMES, ANY_JSON, max_size=8))
def test_any_record_can_be_read(client: Client, kind: type[Record], json: dict[str, Any]) -> None:
    read_all(kind(json, client.session))
