"""What code for `replicate` 1.0.7 has in it works here, or is answered with what to write instead.

`official_surface.json` has the public names of that package, and the parameters of its functions.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import replicate_kit
from replicate_kit import Client, Reference, Resource, ServerSentEvent, _lazy, errors, exceptions
from replicate_kit._moved import ATTRIBUTES, MODULES, OPTIONS, advice, module_advice
from replicate_kit._runtime.blocking import iterate, run
from replicate_kit.client import RunOptions
from replicate_kit.records import Record
from replicate_kit.resources._running.running import Run
from replicate_kit.resources.deployments import Deployment
from replicate_kit.resources.models import Description
from replicate_kit.resources.predictions import CreateOptions, PredictionsOf
from replicate_kit.resources.versions import Versions

ROOT = Path(__file__).parents[1]
SURFACE: dict[str, Any] = json.loads((ROOT / "tests" / "official_surface.json").read_text("utf-8"))

# What nobody uses: how that package does its work.
INTERNAL = {
    "client.RetryTransport",
    "prediction.CreatePredictionRequestParams",
    "schema.make_schema_backwards_compatible",
    "schema.version_has_no_array_type",
    "stream.EventSource",
    # They are what `models.predictions` and `deployments.predictions` give, which are answered themselves.
    "deployment.DeploymentsPredictions",
    "model.ModelsPredictions",
}
NAMES = [f"{module}.{name}" for module, names in SURFACE["modules"].items() if module for name in names]
OPTIONS_OF = {"RunOptions": RunOptions, "CreateOptions": CreateOptions, "Description": Description}


def named(path: str) -> Any:
    """What a dotted path leads to."""
    module = path
    while module not in sys.modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            module = module.rpartition(".")[0]
    thing: Any = sys.modules[module]
    for name in filter(None, path.removeprefix(module).split(".")):
        thing = getattr(thing, name)
    return thing


def ours(official: str) -> Any:
    """Our thing for one of the official package: as the tables say, or by the same name."""
    module, _, name = official.partition(".")
    return named(MODULES[module][name] if module in MODULES else f"replicate_kit.{official}")


@functools.cache
def client() -> Client:
    """A client of the simulator."""
    return Client(backend="mock")


def subject(official: str) -> Any:
    """Where attributes are looked for: the class, or an object where the class does not show them."""
    objects = {
        "client.Client": client,
        "exceptions.ReplicateError": lambda: errors.ReplicateError("no"),
        "exceptions.ReplicateException": lambda: errors.ReplicateError("no"),
        "exceptions.ModelError": lambda: errors.ModelError("no", prediction=replicate_kit.Prediction({})),
        "identifier.ModelVersionIdentifier": lambda: Reference("owner", "name"),
        "pagination.Page": lambda: replicate_kit.Page[Any]([]),
    }
    thing = objects[official]() if official in objects else ours(official)
    is_record = isinstance(thing, type) and issubclass(thing, Record)
    return thing({"urls": {"get": "/"}}, client().session) if is_record else thing


MEMBERS = [
    (kind, name)
    for kind, members in SURFACE["classes"].items()
    if kind not in INTERNAL
    for name in members
    if name != "model" or kind != "model.Models"  # a note of its type that no object has
]
PARAMETERS = [
    (kind, method, parameter)
    for kind, members in SURFACE["classes"].items()
    if kind not in INTERNAL
    for method, parameters in members.items()
    for parameter in parameters or ()
] + [
    ("", function, parameter)
    for function in ("run", "async_run", "stream", "async_stream", "paginate", "async_paginate")
    for parameter in SURFACE["functions"][function]
]


@pytest.fixture(autouse=True)
def _mock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")


# Modules.


@pytest.mark.parametrize("name", SURFACE["modules"][""])
def test_a_name_of_the_package_is_one_of_ours(name: str) -> None:
    assert name in replicate_kit.__all__
    assert getattr(replicate_kit, name) is not None


@pytest.mark.parametrize("official", sorted(set(NAMES) - INTERNAL))
def test_a_module_is_there_or_its_import_says_where_the_name_is(official: str) -> None:
    module, _, name = official.partition(".")
    if module not in MODULES:
        assert ours(official) is not None
        return
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(f"replicate_kit.{module}")
    assert caught.value.name == f"replicate_kit.{module}"
    assert re.search(rf"\b{name}\b.* (is|are) {re.escape(MODULES[module][name])}\b", str(caught.value))
    assert ours(official) is not None


@pytest.mark.parametrize("module", sorted(MODULES.keys() - set(SURFACE["modules"][""])))
def test_a_module_is_answered_as_an_attribute_too(module: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(replicate_kit, module)
    assert module_advice(module) in str(caught.value)
    assert module_advice(module)


def test_other_imports_fail_as_ever() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'replicate_kit\.wombat'$"):
        importlib.import_module("replicate_kit.wombat")
    assert importlib.util.find_spec("replicate_kit.wombat") is None
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'helpers_of_wombats'$"):
        importlib.import_module("helpers_of_wombats")


def test_imports_are_answered_by_one_finder() -> None:
    before = len(sys.meta_path)
    _lazy.answer_imports()
    assert len(sys.meta_path) == before


# Attributes.


@pytest.mark.parametrize(("official", "name"), MEMBERS)
def test_an_attribute_is_there_or_says_what_to_use(official: str, name: str) -> None:
    thing = subject(official)
    kind = thing if isinstance(thing, type) else type(thing)
    said = advice(kind, name)
    if said:
        with pytest.raises(AttributeError) as caught:
            getattr(thing, name)
        assert said in str(caught.value)
    else:
        getattr(thing, name)


@pytest.mark.parametrize("name", SURFACE["records"])
def test_a_record_says_what_to_use_for_methods_that_it_has_not(name: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(replicate_kit.Prediction({"id": "p1"}), name)
    assert advice(Record, name) in str(caught.value)
    assert advice(Record, name)
    assert getattr(Record({name: 1}), name) == 1  # what the API sends comes first


def test_objects_answer_as_their_class_does() -> None:
    deployment = Deployment({"owner": "acme", "name": "shout"})
    assert deployment.id == "acme/shout"
    with pytest.raises(AttributeError, match=r"Deployment has no 'username'. Use owner. It has: "):
        _ = deployment.username
    with pytest.raises(AttributeError, match=r"no 'predictions'. Use client.predictions.create"):
        _ = Client(backend="mock").models.predictions  # type: ignore[attr-defined]


@pytest.mark.parametrize("official", sorted({kind for kind, _ in MEMBERS}))
def test_what_an_object_lists_is_there(official: str) -> None:
    thing = an_object(subject(official))
    assert [name for name in dir(thing) if not hasattr(thing, name)] == []


def test_an_option_cannot_be_set_where_it_would_do_nothing() -> None:
    with pytest.raises(AttributeError, match=r"client.with_options\(poll_interval=…\)"):
        Client(backend="mock").poll_interval = 1


def test_another_class_of_the_same_name_is_not_answered() -> None:
    class Hardware(Record):
        pass

    assert advice(Hardware, "id") == ""


# Options.


def an_object(thing: Any) -> Any:
    """Make an object of a class of resources; anything else stays as it is."""
    if not isinstance(thing, type) or not issubclass(thing, Resource):
        return thing
    of_one = (Reference("owner", "name"),) if thing in (PredictionsOf, Versions) else ()
    return thing(client().session, *of_one)


def taker(official: str, method: str) -> Callable[..., Any]:
    """Our function for one of the official package."""
    thing = an_object(subject(official) if official else replicate_kit)
    return getattr(thing, method)


def takes(function: Callable[..., Any], parameter: str) -> bool:
    """Whether it can be passed by name."""
    parameters = inspect.signature(function).parameters
    found = parameters.get(parameter)
    if found is not None and found.kind not in (found.POSITIONAL_ONLY, found.VAR_KEYWORD):
        return True
    rest = [each.annotation for each in parameters.values() if each.kind is each.VAR_KEYWORD]
    known = {name for kind in OPTIONS_OF if kind in str(rest) for name in OPTIONS_OF[kind].__annotations__}
    # `stream` takes the options of `run`, and what has no meaning there is left alone.
    return parameter in known or ("RunOptions" in str(rest) and parameter in Run.__annotations__)


def finish(result: Any) -> None:
    """Await or iterate what a call gave."""
    if isinstance(result, AsyncIterator):
        result = iterate(result)
    if isinstance(result, Iterator):
        list(result)
    elif isinstance(result, Awaitable):
        run(result)  # type: ignore[arg-type]


@pytest.mark.parametrize(("official", "method", "parameter"), PARAMETERS)
def test_a_parameter_is_there_or_is_answered(official: str, method: str, parameter: str) -> None:
    if official and advice(ours(official), method):
        return  # the method itself is answered
    function = taker(official, method)
    if takes(function, parameter):
        return
    others = SURFACE["classes"][official][method] if official else SURFACE["functions"][method]
    first = ("demo/painter",) if "ref" in others and parameter != "ref" else ()
    with pytest.raises(TypeError) as caught:
        finish(function(*first, **{parameter: "x"}))
    said = str(caught.value)
    assert any(parameter in rows and rows[parameter] in said for rows in OPTIONS.values()), said


def test_client_answers_an_option_of_other_functions() -> None:
    with pytest.raises(errors.ConfigError, match=r"file_encoding_strategy.*Client\(file_encoding='inline'\)"):
        Client(backend="mock", file_encoding_strategy="base64")


def test_pythons_own_errors_have_the_name_that_was_called() -> None:
    client = Client(backend="mock")
    with pytest.raises(
        TypeError, match=r"^Predictions.create\(\) got an unexpected keyword argument 'wombat'"
    ):
        client.predictions.create(wombat=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^Files.get\(\) missing 1 required positional argument: 'id'"):
        client.files.get()  # type: ignore[call-arg]


# What simply works.


def test_errors_are_found_under_both_names() -> None:
    assert exceptions.ModelError is errors.ModelError
    assert exceptions.ReplicateException is exceptions.ReplicateError is errors.ReplicateError


def test_every_error_has_the_attributes_of_one_of_the_api() -> None:
    error = errors.ConnectFailed("refused")
    assert [error.status, error.type, error.title, error.detail, error.instance] == [None] * 5
    body = {"type": "about:blank", "instance": "/x", "title": 5}
    told = errors.APIError("no", status=400, title="Bad", detail="very", body=body)
    assert (told.status, told.type, told.title, told.detail, told.instance) == (
        400,
        "about:blank",
        "Bad",
        "very",
        "/x",
    )
    assert errors.APIError("no", status=400, body="text").type is None


def test_kinds_of_events_are_equal_to_their_texts() -> None:
    kinds = {each.name: each.value for each in ServerSentEvent.EventType}
    assert kinds == SURFACE["event_types"]
    assert ServerSentEvent(event="output").event == ServerSentEvent.EventType.OUTPUT


def test_a_file_is_read_by_either_name() -> None:
    file = replicate_kit.FileOutput("data:text/plain;base64,aGVsbG8=")
    assert run(file.aread()) == b"hello"


def test_a_stream_may_be_awaited_first() -> None:
    async def texts(*, await_first: bool) -> str:
        stream = Client(backend="mock").async_stream("demo/poet", {"prompt": "sea"})
        events = await stream if await_first else stream
        return "".join([str(event) async for event in events])

    assert run(texts(await_first=True)) == run(texts(await_first=False)) != ""


def test_a_stream_that_is_awaited_can_be_left() -> None:
    async def first() -> tuple[str, int]:
        events = await Client(backend="mock").async_stream("demo/poet", {"prompt": "sea"})
        found = await anext(events)
        await events.aclose()
        return found.event, len([event async for event in events])

    assert run(first()) == ("output", 0)


@pytest.mark.parametrize("method", ["get", "delete", "update"])
@pytest.mark.parametrize("name", [("acme/shout",), ("acme", "shout")])
def test_models_and_deployments_are_named_by_one_text_or_two(
    connect: Callable[..., tuple[Client, list[httpx.Request]]], method: str, name: tuple[str, ...]
) -> None:
    client, requests = connect({}, {})
    getattr(client.deployments, method)(*name)
    assert requests[-1].url.path == "/v1/deployments/acme/shout"
    if method != "update":
        getattr(client.models, method)(*name)
        assert requests[-1].url.path == "/v1/models/acme/shout"


# The page.


def test_the_page_has_a_line_for_each() -> None:
    page = (ROOT / "docs" / "migrating.md").read_text("utf-8")
    moved = {*MODULES, *(name for rows in (ATTRIBUTES, OPTIONS) for row in rows.values() for name in row)}
    missing = [
        name for name in sorted(moved) if not re.search(rf"`[^`\n]*\b{re.escape(name)}\b[^`\n]*`", page)
    ]
    assert missing == []
