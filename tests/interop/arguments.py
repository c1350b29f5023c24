"""What comes of calls with odd arguments, as JSON on standard output: the errors with their texts, or what was sent.

    python arguments.py official     with the official package
    python arguments.py stand-in     with the stand-in

Nothing leaves the process: a transport notes what is asked, and answers.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any
from urllib.parse import unquote

if sys.argv[1] == "stand-in":
    from replicate_kit.compat import install_as_replicate

    install_as_replicate()

import httpx
import replicate
from replicate.client import Client, RetryTransport
from replicate.deployment import Deployment
from replicate.helpers import base64_encode_file, encode_json
from replicate.identifier import ModelVersionIdentifier
from replicate.model import Model
from replicate.prediction import Prediction
from replicate.schema import make_schema_backwards_compatible, version_has_no_array_type
from replicate.stream import EventSource
from replicate.version import Version, Versions
from replicate.webhook import Webhooks, WebhookSigningSecret

for variable in ("REPLICATE_API_TOKEN", "REPLICATE_BASE_URL"):
    os.environ.pop(variable, None)
warnings.simplefilter("ignore")

# What the API answers with.

VERSION = {"id": "v1", "created_at": "2024-01-02T03:04:05.678Z", "cog_version": "0.9.0", "openapi_schema": {}}
MODEL = {
    "url": "https://replicate.com/a/b",
    "owner": "a",
    "name": "b",
    "description": None,
    "visibility": "public",
    "github_url": None,
    "paper_url": None,
    "license_url": None,
    "run_count": 1,
    "cover_image_url": None,
    "default_example": None,
    "latest_version": None,
}
PREDICTION = {
    "id": "p1",
    "model": "a/b",
    "version": "v1",
    "status": "succeeded",
    "input": {},
    "output": "done",
    "logs": "",
    "error": None,
    "urls": {"get": "https://api.replicate.com/v1/predictions/p1"},
}
TRAINING = {**PREDICTION, "id": "t1", "output": None}
DEPLOYMENT = {"owner": "a", "name": "b", "current_release": None}
COLLECTION = {"slug": "s", "name": "S", "description": "d", "models": []}
ACCOUNT = {"type": "user", "username": "u", "name": "U", "github_url": None}
FILE = {
    "id": "f1",
    "name": "f",
    "content_type": "text/plain",
    "size": 1,
    "etag": "e",
    "checksums": {},
    "metadata": {},
    "created_at": "2024-01-02T03:04:05.678Z",
    "expires_at": None,
    "urls": {"get": "https://api.replicate.com/v1/files/f1"},
}

_ANSWERS: tuple[tuple[str, Any], ...] = (
    (r"/predictions(/[^/]*(/cancel)?)?$", PREDICTION),
    (r"/trainings(/[^/]*(/cancel)?)?$", TRAINING),
    (r"/versions/[^/]*$", VERSION),
    (r"/models(/.*)?$", MODEL),
    (r"/deployments(/.*)?$", DEPLOYMENT),
    (r"/collections/", COLLECTION),
    (r"/files(/.*)?$", FILE),
    (r"/account$", ACCOUNT),
    (r"/secret$", {"key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}),
)


class Asked(list[Any]):
    """Answers requests, and notes what of them matters."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.append(
            {
                "what": f"{request.method} {unquote(str(request.url))}",
                "prefer": request.headers.get("prefer"),
                "authorization": request.headers.get("authorization"),
                "body": body_of(request),
            }
        )
        path = request.url.path
        if request.method in ("GET", "QUERY") and re.search(r"/v1/(\w+|models/\w+/\w+/versions)$", path):
            listed = [] if path.endswith("hardware") else {"results": [], "next": None, "previous": None}
            return httpx.Response(200, json=ACCOUNT if path.endswith("account") else listed)
        if request.method == "DELETE":
            return httpx.Response(204)
        found = next((body for pattern, body in _ANSWERS if re.search(pattern, path)), None)
        if found is None:
            return httpx.Response(404, json={"title": "Not found", "detail": "no such thing", "status": 404})
        return httpx.Response(201, json=found)


def body_of(request: httpx.Request) -> Any:
    """The body of a request; of a form, which part says what."""
    if "multipart" in request.headers.get("content-type", ""):
        parts = re.findall(rb'name="([^"]*)"(?:; filename="([^"]*)")?', request.content)
        return sorted([name.decode(), filename.decode()] for name, filename in parts if name != b"metadata")
    try:
        return json.loads(request.content) if request.content else None
    except ValueError:
        return request.content.decode("latin-1")


# The calls.

Call = tuple[str, Callable[[Any], Any]]


class Odd:
    """Something that nobody expects."""

    def __repr__(self) -> str:
        return "<odd>"

    __str__ = __repr__


ODD = Odd()
REFERENCES: list[Any] = [
    "invalid",
    "",
    "a/b",
    "a/b:c",
    "a/b:",
    "a/b:c:d",
    "a/b/c",
    "/b",
    "a/",
    "/",
    ":",
    "a:b/c",
    "a b/c d",
    "a/b\n",
    "deployments/a/b",
    "https://replicate.com/a/b",
    "v1",
    None,
    0,
    42,
    1.5,
    True,
    b"a/b",
    ("a", "b"),
    ("a", "b", "c"),
    ("a",),
    (),
    ("a", None),
    (1, 2),
    ["a", "b"],
    {"owner": "a", "name": "b"},
    ODD,
    ModelVersionIdentifier("a", "b"),
    ModelVersionIdentifier("a", "b", "c"),
    Model(**MODEL),
    Version(**VERSION),
    Deployment(**DEPLOYMENT),
    Prediction(**PREDICTION),
]

BY_REFERENCE: dict[str, Callable[[Any, Any], Any]] = {
    "run": lambda c, ref: c.run(ref, {}),
    "run with a wait": lambda c, ref: c.run(ref, {}, wait=5),
    "stream": lambda c, ref: list(c.stream(ref, input={})),
    "async_run": lambda c, ref: c.async_run(ref, {}),
    "predictions.create model": lambda c, ref: c.predictions.create(model=ref, input={}),
    "predictions.create version": lambda c, ref: c.predictions.create(version=ref, input={}),
    "predictions.create deployment": lambda c, ref: c.predictions.create(deployment=ref, input={}),
    "predictions.create": lambda c, ref: c.predictions.create(ref, {}),
    "predictions.async_create model": lambda c, ref: c.predictions.async_create(model=ref, input={}),
    "predictions.async_create": lambda c, ref: c.predictions.async_create(ref, {}),
    "models.predictions.create": lambda c, ref: c.models.predictions.create(ref, {}),
    "deployments.predictions.create": lambda c, ref: c.deployments.predictions.create(ref, {}),
    "deployments.get": lambda c, ref: c.deployments.get(ref),
    "deployments.create": lambda c, ref: c.deployments.create(name=ref),
    "models.get": lambda c, ref: c.models.get(ref),
    "models.get key": lambda c, ref: c.models.get(key=ref),
    "models.delete": lambda c, ref: c.models.delete(ref),
    "trainings.create": lambda c, ref: c.trainings.create(ref, {}, "c/d"),
    "trainings.create version": lambda c, ref: c.trainings.create(version=ref, input={}, destination="c/d"),
    "trainings.create model": lambda c, ref: c.trainings.create(
        model=ref, version="v1", input={}, destination="c/d"
    ),
    "trainings.create model and its version": lambda c, ref: c.trainings.create(
        model="a/b", version=ref, input={}, destination="c/d"
    ),
    "trainings.create destination": lambda c, ref: c.trainings.create("a/b:c", {}, ref),
    "trainings.create destination by name": lambda c, ref: c.trainings.create(
        version="a/b:c", input={}, destination=ref
    ),
    "trainings.async_create destination": lambda c, ref: c.trainings.async_create(
        model="a/b", version="c", input={}, destination=ref
    ),
    "Versions": lambda c, ref: Versions(c, ref).get("v1"),
    "ModelVersionIdentifier.parse": lambda c, ref: ModelVersionIdentifier.parse(ref),
}

IDS: list[Any] = ["p1", "", "a b", "ü", None, 42, ODD]
BY_ID: dict[str, Callable[[Any, Any], Any]] = {
    "predictions.get": lambda c, id: c.predictions.get(id),
    "predictions.cancel": lambda c, id: c.predictions.cancel(id),
    "trainings.get": lambda c, id: c.trainings.get(id),
    "trainings.cancel": lambda c, id: c.trainings.cancel(id),
    "files.get": lambda c, id: c.files.get(id),
    "files.delete": lambda c, id: c.files.delete(id),
    "collections.get": lambda c, id: c.collections.get(id),
    "versions.get": lambda c, id: Versions(c, "a/b").get(id),
    "versions.delete": lambda c, id: Versions(c, "a/b").delete(id),
    "deployments.delete": lambda c, id: c.deployments.delete("a", id),
    "deployments.update": lambda c, id: c.deployments.update("a", id, min_instances=1),
}

CURSORS: list[Any] = [..., None, "https://api.replicate.com/v1/{}?cursor=x", "/v1/{}?cursor=x"]
LISTS = ("predictions", "models", "deployments", "trainings", "collections")

WAITS: list[Any] = [None, True, False, 0, 1, 60, 61, 0.5, 1.5, -1, "", "x", [], [1], ODD]
INPUTS: list[Any] = [None, {}, {"a": 1}, [], [1], "", "x", 0, 3, True, {1: 2}]

SECRET = WebhookSigningSecret(key="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BODY = '{"test": 2432232314}'
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
NOW = str(int(time.time()))


def secret(key: Any) -> WebhookSigningSecret:
    return WebhookSigningSecret(key=key)


WEBHOOKS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no secret": {"headers": HEADERS, "body": BODY},
    "a secret that is none": {"headers": HEADERS, "body": BODY, "secret": None},
    "a true one": {"headers": HEADERS, "body": BODY, "secret": SECRET},
    "no headers": {"body": BODY, "secret": SECRET},
    "no headers and no body": {"secret": SECRET},
    "empty headers": {"headers": {}, "body": BODY, "secret": SECRET},
    "other headers": {"headers": {"a": "b"}, "body": BODY, "secret": SECRET},
    "headers in capitals": {
        "headers": {name.upper(): value for name, value in HEADERS.items()},
        "body": BODY,
        "secret": SECRET,
    },
    **{
        f"no {name}": {
            "headers": {each: value for each, value in HEADERS.items() if each != name},
            "body": BODY,
            "secret": SECRET,
        }
        for name in HEADERS
    },
    **{
        f"empty {name}": {"headers": {**HEADERS, name: ""}, "body": BODY, "secret": SECRET}
        for name in HEADERS
    },
    "no body": {"headers": HEADERS, "secret": SECRET},
    "an empty body": {"headers": HEADERS, "body": "", "secret": SECRET},
    "another body": {"headers": HEADERS, "body": "{}", "secret": SECRET},
    **{
        f"the secret {key!r}": {"headers": HEADERS, "body": BODY, "secret": secret(key)}
        for key in (
            "",
            "nothing",
            "whsec_",
            "whsec_a_b",
            "whsec",
            "_",
            "other_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_abc",
            "whsec_!!!!",
            "whsec_ü",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ",
        )
    },
    **{
        f"the signature {signature!r}": {
            "headers": {**HEADERS, "webhook-signature": signature},
            "body": BODY,
            "secret": SECRET,
        }
        for signature in (
            "v1",
            "v1,",
            ",",
            "v1,abc",
            "v1,!!!!",
            "v1,AAAA",
            "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1",
            "v1 v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            " ",
        )
    },
    **{
        f"the time {moment!r} within {tolerance!r}": {
            "headers": {**HEADERS, "webhook-timestamp": moment},
            "body": BODY,
            "secret": SECRET,
            "tolerance": tolerance,
        }
        for moment in ("1614265330", "now", "soon", "1e3", "-5")
        for tolerance in (None, 60, 300, 10**10)
    },
    "a request and headers": {
        "request": httpx.Request("POST", "https://x.example", headers=HEADERS, content=BODY),
        "headers": HEADERS,
        "secret": SECRET,
    },
    "a request and a body": {
        "request": httpx.Request("POST", "https://x.example", headers=HEADERS, content=BODY),
        "body": BODY,
        "secret": SECRET,
    },
    "a request": {
        "request": httpx.Request("POST", "https://x.example", headers=HEADERS, content=BODY),
        "secret": SECRET,
    },
    "a request without headers": {
        "request": httpx.Request("POST", "https://x.example", content=BODY),
        "secret": SECRET,
    },
    "a request without a body": {
        "request": httpx.Request("POST", "https://x.example", headers=HEADERS),
        "secret": SECRET,
    },
}


def pretend(given: dict[str, Any]) -> dict[str, Any]:
    """Put the time in, which is not the same in the name of a call."""
    headers = given.get("headers")
    if isinstance(headers, dict) and headers.get("webhook-timestamp") == "now":
        return {**given, "headers": {**headers, "webhook-timestamp": NOW}}
    return given


def several() -> Iterator[Call]:
    """Which of model, version and deployment are named, in every combination, empty ones too."""
    for model in (None, "", "a/b"):
        for version in (None, "", "v1"):
            for deployment in (None, "", "a/b"):
                named = {"model": model, "version": version, "deployment": deployment}
                yield (
                    f"predictions.create {named}",
                    lambda c, named=named: c.predictions.create(input={"x": 1}, **named),
                )
                yield (
                    f"predictions.create v0 {named}",
                    lambda c, named=named: c.predictions.create("v0", {"x": 1}, **named),
                )
                yield (
                    f"predictions.async_create {named}",
                    lambda c, named=named: c.predictions.async_create(input={"x": 1}, **named),
                )


def misfits() -> Iterator[Call]:
    """Calls with too few arguments, too many, and names that there are not."""
    operations = {
        "accounts": ("current",),
        "collections": ("list", "get"),
        "deployments": ("list", "get", "create", "update", "delete"),
        "files": ("create", "get", "list", "delete"),
        "hardware": ("list",),
        "models": ("list", "search", "get", "delete", "create"),
        "models.predictions": ("create",),
        "deployments.predictions": ("create",),
        "predictions": ("list", "get", "create", "cancel"),
        "trainings": ("list", "get", "create", "cancel"),
        "webhooks.default": ("secret",),
    }
    for group, names in operations.items():
        for name in (form for each in names for form in (each, f"async_{each}")):
            for args, named in (((), {}), (("a/b", "c", "d", "e", "f"), {}), (("a/b",), {"unknown": 1})):
                yield (
                    f"{group}.{name} {args} {named}",
                    lambda c, group=group, name=name, args=args, named=named: attrgetter(f"{group}.{name}")(
                        c
                    )(*args, **named),
                )
    for operation in ("run", "stream", "async_run", "async_stream"):
        for args in ((), ("a/b", {}, 1), ("a/b", {}, 1, 2)):
            yield (
                f"{operation} with the arguments {args}",
                lambda c, operation=operation, args=args: getattr(c, operation)(*args),
            )


def models() -> Iterator[Call]:
    """Every way to name a model."""
    positional: list[tuple[Any, ...]] = [
        (),
        ("a",),
        ("a/b",),
        ("a", "b"),
        ("a", ""),
        ("", "b"),
        ("a", "b", "c"),
        (None,),
    ]
    named: list[dict[str, Any]] = [
        {},
        {"key": "a/b"},
        {"key": ""},
        {"key": None},
        {"owner": "a"},
        {"name": "b"},
        {"owner": "a", "name": "b"},
        {"owner": "", "name": "b"},
        {"key": "a/b", "owner": "a"},
        {"key": "a/b", "name": "b"},
        {"key": "", "owner": "a", "name": "b"},
        {"other": "a/b"},
    ]
    for args in positional:
        for each in named:
            for operation in ("get", "delete", "async_get"):
                yield (
                    f"models.{operation} {args} {each}",
                    lambda c, operation=operation, args=args, each=each: getattr(c.models, operation)(
                        *args, **each
                    ),
                )


def trainings() -> Iterator[Call]:
    """Every way to say what is trained."""
    for model in (None, "", "a/b"):
        for version in (None, "", "v1", "a/b:c", 42):
            for destination in (None, "", "c/d"):
                named = {"model": model, "version": version, "destination": destination}
                yield (
                    f"trainings.create {named}",
                    lambda c, named=named: c.trainings.create(input={}, **named),
                )
    for count in range(8):
        args = ("a/b:c", {}, "c/d", "https://w", "https://c", ["completed"], "more")[:count]
        yield f"trainings.create of {count}", lambda c, args=args: c.trainings.create(*args)
        yield (
            f"trainings.create of {count} with names",
            lambda c, args=args: c.trainings.create(*args, destination="x/y", webhook="https://n", other=1),
        )
    for args in (
        ("a/b", "v1", {}),
        (("a", "b"), "v1", {}),
        ("a/b", Version(**VERSION), None),
        (None, "v1", {}),
    ):
        yield (
            f"trainings.async_create {[called(each) for each in args]}",
            lambda c, args=args: c.trainings.async_create(*args, destination="c/d"),
        )
    yield (
        "trainings.async_create by position and name",
        lambda c: c.trainings.async_create("a/b", version="v1", input={}, destination="c/d"),
    )
    yield "trainings.create None", lambda c: c.trainings.create(None, {}, "c/d", model="a/b", version="v1")
    yield "trainings.create ''", lambda c: c.trainings.create("", {}, "c/d")
    yield "trainings.create without input", lambda c: c.trainings.create("a/b:c", None, "c/d")


def uploads() -> Iterator[Call]:
    """What may be uploaded, and what not."""
    for file in (None, 42, 1.5, b"bytes", [], {}, ODD, ("a", b"x"), "missing.txt", "", "."):
        yield f"files.create {file!r}", lambda c, file=file: c.files.create(file)
        yield f"files.async_create {file!r}", lambda c, file=file: c.files.async_create(file)
    for params in (
        {},
        {"filename": "n.txt"},
        {"content_type": "image/png"},
        {"metadata": {"a": 1}},
        {"metadata": None},
        {"other": 1},
    ):
        yield (
            f"files.create of bytes {params}",
            lambda c, params=params: c.files.create(io.BytesIO(b"x"), **params),
        )


def creates() -> Iterator[Call]:
    """Options of creates."""
    for wait in WAITS:
        yield f"create waiting {wait!r}", lambda c, wait=wait: c.predictions.create("v1", {"x": 1}, wait=wait)
        yield (
            f"models create waiting {wait!r}",
            lambda c, wait=wait: c.models.predictions.create("a/b", {"x": 1}, wait=wait),
        )
        yield (
            f"deployments create waiting {wait!r}",
            lambda c, wait=wait: c.deployments.predictions.create("a/b", {"x": 1}, wait=wait),
        )
        yield f"run waiting {wait!r}", lambda c, wait=wait: c.run("a/b", {}, wait=wait)
    for given in INPUTS:
        yield f"create from {given!r}", lambda c, given=given: c.predictions.create("v1", given)
        yield (
            f"models create from {given!r}",
            lambda c, given=given: c.models.predictions.create("a/b", given),
        )
        yield (
            f"by model from {given!r}",
            lambda c, given=given: c.predictions.create(model="a/b", input=given),
        )
        yield f"run from {given!r}", lambda c, given=given: c.run("a/b", given)
        yield (
            f"train from {given!r}",
            lambda c, given=given: c.trainings.create("a/b:c", given, "c/d"),
        )
    options = {
        "webhook": "https://w",
        "webhook_completed": "https://c",
        "webhook_events_filter": ["x"],
        "stream": False,
    }
    yield "create with options", lambda c: c.predictions.create("v1", {}, **options)
    yield "create with empty options", lambda c: c.predictions.create("v1", {}, **dict.fromkeys(options))
    yield "create with unknown options", lambda c: c.predictions.create("v1", {}, other=1)
    yield "create of many", lambda c: c.predictions.create("v1", {}, "more", "and more")
    yield "create of an input alone", lambda c: c.predictions.create(input={})
    yield "create of a version alone", lambda c: c.predictions.create("v1")
    yield "deployment's create", lambda c: c.deployments.get("a/b").predictions.create({"x": 1})
    yield "models.create without more", lambda c: c.models.create("a", "b")
    yield "models.create without hardware", lambda c: c.models.create("a", "b", visibility="public")
    yield (
        "models.create with an unknown option",
        lambda c: c.models.create("a", "b", visibility="public", hardware="cpu", other=1),
    )
    yield (
        "models.create",
        lambda c: c.models.create(
            "a", "b", visibility="public", hardware="cpu", description=None, paper_url="u"
        ),
    )
    yield "deployments.create without a name", lambda c: c.deployments.create(model="a/b")
    yield "deployments.create", lambda c: c.deployments.create(name="a/b/c", other=None)
    yield "deployments.update", lambda c: c.deployments.update("a", "b", other=None)
    yield "models.search", lambda c: c.models.search("ü")
    yield "models.search of nothing", lambda c: c.models.search(None)
    yield "model.predict", lambda c: c.models.get("a/b").predict(text="x")
    yield "model.predict of something", lambda c: c.models.get("a/b").predict(1, 2)


def retried(asynchronous: bool, method: str, statuses: list[int], **options: Any) -> Any:
    """How often a request is sent through the transport that retries, and what comes of it in the end."""
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.method)
        return httpx.Response(statuses[min(len(sent), len(statuses)) - 1], headers={"Retry-After": "0"})

    transport = RetryTransport(httpx.MockTransport(answer), **options)
    if not asynchronous:
        with httpx.Client(transport=transport) as client:
            return [client.request(method, "https://x.example").status_code, len(sent)]

    async def ask() -> Any:
        async with httpx.AsyncClient(transport=transport) as client:
            return [(await client.request(method, "https://x.example")).status_code, len(sent)]

    return ask()


def retries() -> Iterator[Call]:
    """What the transport that retries does, and what it refuses."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "QUERY"):
        for statuses in ([200], [429, 200], [503, 504, 201], [500, 200], [404], [503]):
            for asynchronous in (False, True):
                yield (
                    f"retry {method} {statuses} {asynchronous}",
                    lambda c, given=(asynchronous, method, statuses): retried(*given),
                )
    for options in (
        {"max_attempts": 1},
        {"max_attempts": 0},
        {"retryable_methods": ["POST"]},
        {"retryable_methods": []},
        {"retry_status_codes": [503, 418]},
        {"retry_status_codes": []},
        *({"jitter_ratio": ratio} for ratio in (-0.1, 0, 0.5, 0.51, 1)),
        {"unknown": 1},
    ):
        for method in ("GET", "POST"):
            yield (
                f"retry {method} with {options}",
                lambda c, method=method, options=options: retried(False, method, [503, 418, 200], **options),
            )
    for attempts in (1, 2, 5, 20):
        for asked in ("", "3", " 3 ", "0", "soon", "2000-01-01T00:00:00", "9999-01-01T00:00:00", "-1"):
            yield (
                f"pause after {attempts} told {asked!r}",
                lambda c, attempts=attempts, asked=asked: RetryTransport(
                    httpx.MockTransport(lambda request: httpx.Response(200)), jitter_ratio=0
                )._calculate_sleep(attempts, {"Retry-After": asked}),
            )


def others() -> Iterator[Call]:
    """What is not an operation."""
    for name, given in WEBHOOKS.items():
        yield f"validate {name}", lambda c, given=given: Webhooks.validate(**pretend(given))
    yield "validate by position", lambda c: Webhooks.validate(None, HEADERS, BODY, SECRET)
    for timeout in (None, 5, 5.0, httpx.Timeout(3), 0):
        yield (
            f"Client with the timeout {timeout}",
            lambda c, timeout=timeout: client_of(Asked(), timeout=timeout).account and None,
        )
    for kind in ("application/json", "text/event-stream", "text/event-stream; charset=utf-8", ""):
        yield (
            f"events of {kind!r}",
            lambda c, kind=kind: list(EventSource(c, httpx.Response(200, headers={"content-type": kind}))),
        )
    for version in (
        "0.3.8",
        "0.3.9",
        "v0.3.8",
        "0.3.9a1",
        "0.3.9.dev1",
        "dev",
        "",
        "0.4",
        "1",
        "0.3.8+local",
    ):
        yield (
            f"array type of {version!r}",
            lambda c, version=version: version_has_no_array_type(version),
        )
    yield "schema without output", lambda c: make_schema_backwards_compatible({}, "0.9.0")
    for file in (3, None, "x", b"x", ODD):
        yield f"base64 of {file!r}", lambda c, file=file: base64_encode_file(file)
    for value in (None, 1, "x", {1: (2, 3)}, {4}, [(x for x in "ab")], ODD, b"x"):
        yield f"encode_json of {masked(str(value))}", lambda c, value=value: plain(encode_json(value, c))
    for logs in ("", "no", " 5%|# | 1/20", "100%|#| 2/2\nx", "5%|| 1/20", "a 5%|#| 1/20"):
        yield f"progress of {logs!r}", lambda c, logs=logs: Prediction.Progress.parse(logs)


def calls() -> Iterator[Call]:
    """All of them."""
    for operation, call in BY_REFERENCE.items():
        for reference in REFERENCES:
            yield f"{operation} {called(reference)}", lambda c, call=call, ref=reference: call(c, ref)
    for operation, call in BY_ID.items():
        for id in IDS:
            yield f"{operation} {id!r}", lambda c, call=call, id=id: call(c, id)
    for kind in LISTS:
        for cursor in CURSORS:
            place = cursor.format(kind) if isinstance(cursor, str) else cursor
            yield (
                f"{kind}.list {place!r}",
                lambda c, kind=kind, place=place: len(getattr(c, kind).list(place)),
            )
            yield (
                f"{kind}.async_list {place!r}",
                lambda c, kind=kind, place=place: getattr(c, kind).async_list(place),
            )
    for each in (several, misfits, models, trainings, uploads, creates, retries, others):
        yield from each()


# What came of them.


def called(value: Any) -> str:
    """A name for a value, which is the same on both sides."""
    return type(value).__name__ if hasattr(value, "dict") and not isinstance(value, dict) else repr(value)


def plain(value: Any) -> Any:
    """Make JSON of a result."""
    if hasattr(value, "dict") and not isinstance(value, type):
        return type(value).__name__
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(each) for each in value]
    return value if isinstance(value, int | float | str | None) else str(value)


def client_of(asked: Asked, **options: Any) -> Client:
    return Client(**{"api_token": "r8_mine", "transport": httpx.MockTransport(asked.answer), **options})


async def outcome(call: Callable[[Any], Any]) -> dict[str, Any]:
    """Call once, with a client of its own."""
    asked = Asked()
    try:
        result = call(client_of(asked))
        told = {"gives": plain(await result if inspect.isawaitable(result) else result)}
    except Exception as error:
        told = {"raises": type(error).__name__, "text": masked(str(error))}
    return {**told, "asked": asked}


def masked(text: str) -> str:
    """Hide where objects are."""
    return re.sub(r"0x[0-9a-f]+", "0x…", text)


async def main() -> None:
    json.dump({name: await outcome(call) for name, call in calls()}, sys.stdout, indent=1)


if __name__ == "__main__":
    asyncio.run(main())
    assert replicate
