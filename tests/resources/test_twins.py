"""Every `async_x` has its twin `x`, with the same signature and docstring, in every public class and module."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import replicate_kit
from replicate_kit import Client

HAND_MADE = {"async_map", "async_plan"}
"""Operations of the batch engine, which owns an event loop; their twins return other classes."""


def public_classes() -> Iterator[type]:
    """Every class that a public module of the package offers."""
    for found in pkgutil.walk_packages(replicate_kit.__path__, "replicate_kit."):
        # `compat` is shaped like the official client, whose pairs are not all alike.
        if any(part.startswith("_") or part == "compat" for part in found.name.split(".")):
            continue
        module = importlib.import_module(found.name)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isclass(thing) and thing.__module__ == found.name:
                yield thing


PAIRS = [
    pytest.param(kind, name, id=f"{kind.__qualname__}.{name}")
    for kind in public_classes()
    for name in vars(kind)
    if name.startswith("async_") and name not in HAND_MADE
]


def test_there_are_pairs_to_look_at() -> None:
    assert len(PAIRS) > 40


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_an_operation_and_its_twin_are_alike(kind: type, name: str) -> None:
    twin = getattr(kind, name.removeprefix("async_"), None)
    assert twin is not None, f"{kind.__name__}.{name} has no blocking twin"
    operation = getattr(kind, name)
    assert inspect.signature(twin) == inspect.signature(operation)
    assert twin.__doc__ == operation.__doc__
    assert operation.__doc__, f"{kind.__name__}.{name} has no docstring"
    assert twin.__name__ == name.removeprefix("async_")
    assert twin.__wrapped__ is operation


@pytest.mark.parametrize("name", sorted(HAND_MADE))
def test_the_pairs_of_the_batch_engine_take_the_same(name: str) -> None:
    def parameters(function: Any) -> Any:
        return list(inspect.signature(function).parameters.values())

    assert parameters(getattr(Client, name)) == parameters(getattr(Client, name.removeprefix("async_")))


def test_aclose_is_the_twin_of_close() -> None:
    assert Client.close.__wrapped__ is Client.aclose  # type: ignore[attr-defined]


def test_functions_at_module_level_are_the_default_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    client = replicate_kit.default_client
    for name in replicate_kit.__all__:
        if hasattr(client, name):
            assert getattr(replicate_kit, name) == getattr(client, name), name
        if name.startswith("async_"):
            assert name.removeprefix("async_") in replicate_kit.__all__
