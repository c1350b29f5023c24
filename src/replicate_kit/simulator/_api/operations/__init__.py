"""The API's operations, by the resource that they belong to. Each room is loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module

from replicate_kit.simulator._api.routing import Operation

__all__ = ["NOUNS", "every_operation", "operations_of"]

# By the first part of their paths, below the API's root: the rooms that have operations there.
NOUNS: Mapping[str, tuple[str, ...]] = {
    "predictions": ("predictions",),
    "trainings": ("trainings",),
    "models": ("predictions", "trainings", "models"),
    "deployments": ("predictions", "deployments"),
    "files": ("files",),
    "collections": ("discovery",),
    "search": ("discovery",),
    "account": ("accounts",),
    "hardware": ("accounts",),
    "webhooks": ("accounts",),
}
_SITES: Mapping[str, tuple[str, ...]] = {"streams": ("streams",), "files": ("files",)}
_ROOMS = ("streams", "predictions", "trainings", "models", "deployments", "files", "discovery", "accounts")


def operations_of(sites: frozenset[str], noun: str) -> list[Operation]:
    """The operations of some sites, of those below the API's root the ones whose paths begin with `noun`."""
    rooms = {room for site in sites for room in (NOUNS.get(noun, ()) if site == "api" else _SITES[site])}
    return [
        each
        for each in _in(room for room in _ROOMS if room in rooms)
        if each.site in sites and (each.site != "api" or each.segments[0] == noun)
    ]


def every_operation() -> list[Operation]:
    """All that there are."""
    return _in(_ROOMS)


def _in(rooms: Iterable[str]) -> list[Operation]:
    """The operations of some rooms."""
    found: list[Operation] = []
    for room in rooms:
        found += import_module(f"{__name__}.{room}").operations.all
    return found
