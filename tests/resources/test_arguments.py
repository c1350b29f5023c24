"""Whatever is passed to an operation is taken, or refused by an error of ours before anything is created."""

from __future__ import annotations

import asyncio
import inspect
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pandas as pd
import pytest

from replicate_kit import Client
from replicate_kit import client as client_module
from replicate_kit.batch import MapOptions, PlanOptions
from replicate_kit.errors import APIError, ConfigError, InputError, InvalidReference, ReplicateError
from replicate_kit.resources.models import Description
from replicate_kit.resources.predictions import CreateOptions
from replicate_kit.simulator import Simulator, install

ODD: list[Any] = [
    *(float("nan"), float("inf"), -1, -0.001, True, 10**400, b"x", "5", "", "yesterday", "\ud83d"),
    *([1], ["x"], {"a": 1}, (1, 2, 3), range(3), object(), print),
    *(timedelta(seconds=5), datetime.max, Decimal("sNaN"), np.float32(6.5), np.timedelta64(5, "s")),  # noqa: DTZ901
]  # fmt: skip
POEM = {"prompt": "sea"}
# `retry` says which rows of a journal to pay for again; an unknown keyword is a TypeError, as everywhere in Python.
OPTIONS: dict[str, Any] = {
    "RunOptions": client_module.RunOptions,
    "UseOptions": client_module.UseOptions,
    "RequestOptions": client_module.RequestOptions,
    "MapOptions": MapOptions,
    "PlanOptions": PlanOptions,
    "CreateOptions": CreateOptions,
    "Description": Description,
}
CHANGES = ("create", "update", "delete", "cancel")


class Operation(NamedTuple):
    """A call that is right, and so what its parameters may be."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - never changed
    take: Callable[[Any], Any] = lambda given: given

    @property
    def parameters(self) -> list[str]:
        """The names of all, those in the TypedDicts of its keywords included."""
        names: list[str] = []
        for name, each in inspect.signature(self.function).parameters.items():
            if each.kind is not each.VAR_KEYWORD:
                names.append(name)
            else:
                names += [
                    key
                    for kind, options in OPTIONS.items()
                    if kind in str(each.annotation)
                    for key in sorted(options.__optional_keys__ - {"retry"})
                ]
        return names

    def call(self, name: str, value: Any) -> Any:
        """Call it with one of the parameters exchanged."""
        args, kwargs = list(self.args), dict(self.kwargs)
        found = inspect.signature(self.function).parameters.get(name)
        places = [
            key
            for key, each in inspect.signature(self.function).parameters.items()
            if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ]
        if name in places and places.index(name) < len(args):
            args[places.index(name)] = value
        elif found is not None and found.kind is found.POSITIONAL_ONLY:
            args.append(value)
        else:
            kwargs[name] = value
        return self.take(self.function(*args, **kwargs))


def operations(client: Client) -> dict[str, Operation]:
    """All operations of the resources, and those of the client, each with arguments that are right."""
    account = client.accounts.current()
    version = client.models.get("demo/painter").latest_version
    client.models.create(account, "mine", visibility="private", hardware="cpu")
    release: dict[str, Any] = {"version": version, "hardware": "cpu", "min_instances": 0, "max_instances": 1}
    deployment = client.deployments.create("painters", model="demo/painter", **release)
    file = client.files.create(b"x", filename="x.txt")
    prediction = client.predictions.create("demo/poet", POEM)
    mine, painters = f"{account.username}/mine", f"{account.username}/painters"
    training: dict[str, Any] = {
        "version": f"demo/painter:{version and version.id}",
        "input": {"prompt": "x"},
        "destination": mine,
    }
    trained = client.trainings.create(**training)
    versions = client.models.versions("demo/painter")
    return {
        "run": Operation(client.run, ("demo/poet", POEM)),
        "stream": Operation(client.stream, ("demo/poet", POEM), take=list),
        "use": Operation(client.use, ("demo/poet",), take=lambda poet: poet(**POEM)),
        "map": Operation(client.map, ("demo/poet", [POEM]), {"progress": False}, take=list),
        "plan": Operation(client.plan, ("demo/poet", [POEM])),
        "request": Operation(client.request, ("GET", "account")),
        "with_options": Operation(client.with_options, ()),
        "predictions.create": Operation(client.predictions.create, ("demo/poet", POEM)),
        "predictions.get": Operation(client.predictions.get, (prediction.id,)),
        "predictions.list": Operation(client.predictions.list, ()),
        "predictions.cancel": Operation(client.predictions.cancel, (prediction.id,)),
        "predictions.save": Operation(client.predictions.save, ("saved",)),
        "prediction.wait": Operation(prediction.wait, ()),
        "prediction.cancel": Operation(prediction.cancel, ()),
        "deployment.predictions.create": Operation(deployment.predictions.create, ({"prompt": "a wombat"},)),
        "trainings.create": Operation(client.trainings.create, (), training),
        "trainings.get": Operation(client.trainings.get, (trained.id,)),
        "trainings.list": Operation(client.trainings.list, ()),
        "trainings.cancel": Operation(client.trainings.cancel, (trained.id,)),
        "training.wait": Operation(trained.wait, ()),
        "models.get": Operation(client.models.get, ("demo/poet",)),
        "models.list": Operation(client.models.list, ()),
        "models.search": Operation(client.models.search, ("poet",)),
        "models.create": Operation(
            client.models.create,
            (),
            {"owner": account, "name": "other", "visibility": "private", "hardware": "cpu"},
        ),
        "models.update": Operation(client.models.update, (mine,), {"readme": "Mine."}),
        "models.delete": Operation(client.models.delete, (mine,)),
        "models.examples": Operation(client.models.examples, ("demo/poet",)),
        "models.readme": Operation(client.models.readme, ("demo/poet",)),
        "models.versions": Operation(client.models.versions, ("demo/poet",)),
        "versions.get": Operation(versions.get, (version and version.id,)),
        "versions.list": Operation(versions.list, ()),
        "versions.delete": Operation(versions.delete, (version and version.id,)),
        "deployments.get": Operation(client.deployments.get, (painters,)),
        "deployments.list": Operation(client.deployments.list, ()),
        "deployments.create": Operation(
            client.deployments.create, ("more",), {"model": "demo/painter", **release}
        ),
        "deployments.update": Operation(client.deployments.update, (painters,), {"max_instances": 2}),
        "deployments.delete": Operation(client.deployments.delete, (painters,)),
        "files.create": Operation(client.files.create, (b"x",)),
        "files.get": Operation(client.files.get, (file.id,)),
        "files.list": Operation(client.files.list, ()),
        "files.delete": Operation(client.files.delete, (file.id,)),
        "files.download": Operation(
            client.files.download,
            (file.id,),
            {"owner": account.username, "expiry": 1, "signature": "x"},
        ),
        "collections.get": Operation(client.collections.get, ("demo",)),
        "collections.list": Operation(client.collections.list, ()),
        "search.query": Operation(client.search.query, ("demo",)),
        "webhooks.validate": Operation(client.webhooks.validate, ({}, b"", "whsec_x")),
    }


@contextmanager
def local_service() -> Iterator[tuple[Simulator, Client]]:
    """A simulator, and a client of it that does not pause."""
    with install(Simulator()) as simulator, Client(backend=simulator, poll_interval=0) as client:
        yield simulator, client


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored by chance goes to a folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def fault(simulator: Simulator, call: Callable[[], Any]) -> str | None:
    """What is wrong with how a call ends: an error that is none of ours, or one that comes after a change was sent.

    What the API refuses itself has changed nothing, and need not be known here.
    """
    before = simulator.calls.copy()
    try:
        call()
    except APIError as error:
        return f"{error}" if error.status >= 500 else None
    except ReplicateError:
        sent = {
            key: count - before[key]
            for key, count in simulator.calls.items()
            if key.rpartition(".")[2] in CHANGES and count > before[key]
        }
        return f"refused after {sent}" if sent else None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def parameters() -> list[tuple[str, str]]:
    """Every parameter of every operation."""
    with local_service() as (_, client):
        known = operations(client)
        return [(name, each) for name, operation in known.items() for each in operation.parameters]


@pytest.mark.slow  # a large family
@pytest.mark.parametrize(("name", "parameter"), parameters())
def test_an_odd_argument_is_taken_or_refused_before_anything_is_sent(name: str, parameter: str) -> None:
    with local_service() as (simulator, client):
        operation = operations(client)[name]
        found = {
            f"{parameter}={value!r:.60}": fault(
                simulator, lambda value=value: operation.call(parameter, value)
            )  # type: ignore[misc]
            for value in ODD
        }
    assert not {call: wrong for call, wrong in found.items() if wrong}


def test_no_operation_is_left_out(client: Client) -> None:
    known = operations(client).keys() | {"accounts.current", "hardware.list", "models.resolve"}
    for resource in vars(Client)["__annotations__"].keys() - {"webhooks"}:
        for method in dir(getattr(client, resource)):
            plain = method.removeprefix("async_")
            if plain != method and plain != "list_all":
                assert f"{resource}.{plain}" in known


# What a wrong argument costs where the operation is one that is paid: nothing, under each name of it.

TIMES: list[Any] = [
    -1,
    -0.001,
    float("nan"),
    -float("inf"),
    "5",
    True,
    [1],
    timedelta(1),
    np.timedelta64(1, "s"),
    10**400,
]


@contextmanager
def nothing_created(match: str, *kinds: type[ReplicateError]) -> Iterator[Client]:
    """A client whose call is refused before anything is sent that changes something."""
    with local_service() as (simulator, client):
        with pytest.raises(kinds or (InputError,), match=match):
            yield client
        sent = [key for key in simulator.calls if key.rpartition(".")[2] in CHANGES]
        assert sent == []


CREATES: dict[str, Callable[..., Any]] = {
    "run": lambda client, **options: client.run("demo/poet", POEM, **options),
    "async_run": lambda client, **options: asyncio.run(client.async_run("demo/poet", POEM, **options)),
    "submit": lambda client, **options: client.predictions.create("demo/poet", POEM, **options),
    "use": lambda client, **options: client.use("demo/poet", **options),
}
STREAMS: dict[str, Callable[..., Any]] = {
    **CREATES,
    "stream": lambda client, **options: list(client.stream("demo/poet", POEM, **options)),
    "trainings": lambda client, **options: client.trainings.create(
        f"demo/painter:{'a' * 64}", POEM, "me/mine", **options
    ),
}


@pytest.mark.parametrize("create", CREATES)
@pytest.mark.parametrize("timeout", TIMES)
def test_a_timeout_that_is_no_time_is_refused(create: str, timeout: Any) -> None:
    with nothing_created("timeout=.* cannot be used") as client:
        CREATES[create](client, timeout=timeout)


@pytest.mark.parametrize("create", CREATES)
@pytest.mark.parametrize("wait", [-1, 0, 61, 2.5, float("nan"), "5", [1], timedelta(1), 10**400])
def test_a_wait_that_the_api_does_not_know_is_refused(create: str, wait: Any) -> None:
    with nothing_created("wait=.* is not True, False or a whole number of seconds from 1 to 60") as client:
        CREATES[create](client, wait=wait)


@pytest.mark.parametrize("create", sorted(STREAMS.keys() - {"trainings"}))
@pytest.mark.parametrize(
    "limit", [-1, 4.9, float("nan"), float("inf"), "soon", True, [1], timedelta(9), 10**400]
)
def test_a_deadline_that_the_api_does_not_know_is_refused(create: str, limit: Any) -> None:
    with nothing_created("cancel_after=.* Pass seconds") as client:
        STREAMS[create](client, cancel_after=limit)


@pytest.mark.parametrize("create", STREAMS)
@pytest.mark.parametrize(
    ("events", "said"),
    [
        (["complete"], "Did you mean 'completed'"),
        (["start", 5], "'start', 'output', 'logs', 'completed'"),
        (5, "Pass a list"),
        (b"start", "Pass a list"),
    ],
)
def test_events_that_there_are_not_are_refused(create: str, events: Any, said: str) -> None:
    with nothing_created(said) as client:
        STREAMS[create](client, webhook_events_filter=events)


@pytest.mark.parametrize("create", sorted(STREAMS.keys() - {"use"}))
@pytest.mark.parametrize(
    "webhook",
    ["example.com/hook", "ftp://example.com", "https://", "", 5, b"https://a.test", "https://a\ud83d"],
)
def test_a_webhook_that_is_no_url_is_refused(create: str, webhook: Any) -> None:
    with nothing_created("webhook=.* cannot be used") as client:
        STREAMS[create](client, webhook=webhook)


@pytest.mark.about_httpx("a transport of its own answers")
def test_replicate_sends_to_https_alone_and_a_password_is_not_shown() -> None:
    client = Client("r8_token", transport=httpx.MockTransport(lambda request: httpx.Response(500)))
    with client, pytest.raises(InputError, match="https only") as caught:
        client.predictions.create("a" * 64, {}, webhook="http://me:secret@example.com/hook?key=hidden")
    assert "secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_function_sends_the_events_of_a_generator_with_every_call() -> None:
    with local_service() as (_, client):
        poet = client.use("demo/poet", webhook_events_filter=(each for each in ("start", "completed")))
        made = [poet.create(prompt=prompt) for prompt in ("sea", "hills")]
        assert [each.webhook_events_filter for each in made] == [["start", "completed"]] * 2


@pytest.mark.parametrize("number", [Decimal("7"), np.float64(7), np.float32(7), np.int64(7), 7, 7.0])
def test_all_kinds_of_numbers_are_taken(number: Any) -> None:
    with local_service() as (_, client):
        for options in ({"timeout": number}, {"wait": number}, {"cancel_after": number}):
            client.run("demo/poet", POEM, **options)
            client.predictions.create("demo/poet", POEM, **options).wait(number)
        assert client.with_options(timeout=number, retries=number, poll_interval=number)
        assert client.search("poet", limit=number).models


@pytest.mark.parametrize("name", ["timeout", "poll_interval", "retries"])
@pytest.mark.parametrize("value", [*TIMES, float("inf"), 1e300])
def test_settings_that_cannot_be_used_are_refused_when_the_client_is_made(name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    if name != "retries" or value != 1e300:
        with pytest.raises(ConfigError, match=f"{name}=.* cannot be used"):
            Client(backend="mock", **options)


@pytest.mark.parametrize("method", ["wait", "cancel"])
@pytest.mark.parametrize("timeout", TIMES)
def test_what_runs_already_goes_on(method: str, timeout: Any) -> None:
    with local_service() as (simulator, client):
        prediction = client.predictions.create("demo/poet", POEM)
        with pytest.raises(InputError, match=r"timeout=.* cannot be used"):
            getattr(prediction, method)(timeout=timeout)
        assert simulator.calls["predictions.cancel"] == 0


LISTS: list[tuple[str, dict[str, Any], str]] = [
    ("predictions.list", {"created_after": "yesterday"}, "Pass a datetime with a time zone"),
    ("predictions.list", {"created_before": 5}, "Pass a datetime with a time zone"),
    ("predictions.list", {"created_after": datetime(2026, 8, 1)}, "no time zone"),  # noqa: DTZ001
    ("predictions.list", {"source": "api"}, "Pass 'web'"),
    ("predictions.list", {"cursor": 5}, "the next or previous of a page"),
    ("models.list", {"sort_by": "latest_version_created"}, "Did you mean 'latest_version_created_at'"),
    ("models.list", {"sort_direction": "descending"}, "Did you mean 'desc'|'asc', 'desc'"),
    ("search.query", {"query": "a", "limit": 51}, "from 1 to 50"),
    ("search.query", {"query": "a", "limit": 0}, "from 1 to 50"),
    ("search.query", {"query": 5}, "Pass text"),
]


@pytest.mark.parametrize(("name", "options", "said"), LISTS)
def test_a_filter_that_the_api_does_not_know_is_refused(name: str, options: Any, said: str) -> None:
    resource, _, method = name.partition(".")
    with local_service() as (simulator, client):
        with pytest.raises(InputError, match=said):
            getattr(getattr(client, resource), method)(**options)
        assert sum(simulator.calls.values()) == 0


@pytest.mark.parametrize(
    "moment",
    [
        "2026-08-01T00:00:00Z",
        "2026-08-01",
        "2026-08-01T00:00:00.123456789Z",
        "20260801T000000Z",
        datetime(2026, 8, 1, tzinfo=UTC),
        date(2026, 8, 1),
        np.datetime64("2026-08-01T12:00"),
        pd.Timestamp("2026-08-01", tz="UTC"),
    ],
)
@pytest.mark.about_httpx("a transport of its own answers")
def test_a_moment_in_any_form_of_iso_8601_is_passed_on(moment: Any) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"results": []})

    with Client("r8_token", transport=httpx.MockTransport(answer)) as client:
        client.predictions.list(created_after=moment)
    assert asked[0].url.params["created_after"].startswith("2026")


@pytest.mark.parametrize(
    "destination", [None, "", "mine", "a/b/c", "me/mine:" + "a" * 64, "deployments/me/mine", 5, ("me", 5, 6)]
)
def test_a_destination_that_is_no_model_is_refused(destination: Any) -> None:
    with nothing_created("needs a destination|does not name", InputError, InvalidReference) as client:
        client.trainings.create(f"demo/painter:{'a' * 64}", POEM, destination)


@pytest.mark.parametrize("name", ["stems", "on_plan", "progress"])
@pytest.mark.parametrize("value", ["x", 5, [print]])
def test_what_a_batch_cannot_call_is_refused(name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    with nothing_created(f"{name}=.* must be .*a function", ConfigError) as client:
        list(client.map("demo/poet", [POEM], **options))


@pytest.mark.parametrize("name", ["dedupe", "ordered", "check_input", "refresh_version"])
@pytest.mark.parametrize("value", ["no", [True], np.array([True, False]), 0.5])
def test_a_flag_of_a_batch_is_true_or_false(name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    with nothing_created(f"{name}=.* must be True or False", ConfigError) as client:
        list(client.map("demo/poet", [POEM], **options))


@pytest.mark.parametrize("value", ["\ud83d", "out/\ud83d.x"])
@pytest.mark.parametrize("name", ["save_to", "journal"])
def test_a_place_that_cannot_be_written_is_refused(name: str, value: str) -> None:
    options: dict[str, Any] = {name: value}
    with nothing_created("half of a surrogate pair", ConfigError) as client:
        list(client.map("demo/painter", [POEM], **options))


@pytest.mark.parametrize(
    "wrong",
    [{"wait": "x"}, {"webhook": "x"}, {"webhook_events_filter": ["x"]}, {"cancel_after": 1}, {"timeout": -1}],
)
def test_no_file_is_uploaded_for_what_is_refused(wrong: dict[str, Any]) -> None:
    with nothing_created("cannot be used|is not True") as client:
        uploading = client.with_options(file_encoding="upload")
        uploading.predictions.create("demo/poet", {"prompt": io.BytesIO(b"sea")}, **wrong)
