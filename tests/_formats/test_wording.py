"""What is not complete can be shown: where making it failed, debuggers and tracebacks look at it."""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

import replicate_kit
from replicate_kit import Client
from replicate_kit.config import Config
from replicate_kit.errors import ConfigError

HOMES = (
    *(
        "records",
        "resources._resource",
        "config",
        "storage",
        "_formats.templates",
        "_files.outputs",
        "_plugins.registry",
        "simulator",
        "errors",
        "_formats.references",
    ),
    *(
        "_formats.sse",
        "testing",
        "batch",
        "serving",
        "compat.replicate",
        "gallery",
        "schema",
        "transport",
        "_http.retry",
    ),
    *(
        "batch.journals",
        "batch._plan.options",
        "batch._results.results",
        "_files.inputs",
        "backends._options.proxies",
        "resources._running.running",
        "gallery._media",
    ),
    *(
        "stores._local",
        "stores.manifest",
        "stores._locations",
        "simulator._state.entities",
        "testing._recording",
    ),
)


def classes() -> Iterator[type]:
    """Every public class, and all of the API's nouns."""
    found: dict[type, None] = {}
    homes = [replicate_kit, *(import_module(f"replicate_kit.{home}") for home in HOMES)]
    for module in homes:
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) and value.__module__.startswith("replicate_kit"):
                found[value] = None
    for kind in list(found):
        for each in (
            *kind.__subclasses__(),
            *(more for one in kind.__subclasses__() for more in one.__subclasses__()),
        ):
            if each.__module__.startswith(
                ("replicate_kit.resources", "replicate_kit.compat", "replicate_kit.errors")
            ):
                found[each] = None
    yield from found


def half_made(kind: type) -> Any:
    try:
        return kind.__new__(kind)
    except TypeError:
        pytest.skip("it cannot be made by halves")


@pytest.mark.slow  # each collects garbage
@pytest.mark.parametrize("kind", list(classes()), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_what_is_made_by_halves_is_shown_and_collected(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    made = half_made(kind)
    assert repr(made)
    assert isinstance(str(made), str)
    assert f"{made}" == str(made)
    del made
    gc.collect()
    assert heard == []


def test_a_client_that_could_not_be_made_says_what_it_is() -> None:
    seen: list[str] = []

    class Watching(Client):
        def __init__(self) -> None:
            try:
                super().__init__(backend="nowhere")
            except ConfigError:
                seen.append(repr(self))
                raise

    with pytest.raises(ConfigError):
        Watching()
    assert seen == ["<Watching (incomplete)>"]


def test_a_closed_client_is_shown() -> None:
    client = Client(backend="mock")
    client.close()
    assert repr(client).startswith("<Client of ")
    assert "base_url" in repr(Config(backend="mock"))
