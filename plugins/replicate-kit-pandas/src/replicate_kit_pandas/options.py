"""The options of the accessors: those of `client.map`, and their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from replicate_kit import Client
from replicate_kit.batch import MapOptions, PlanOptions
from replicate_kit.errors import ConfigError
from replicate_kit_pandas.tables import listed, meant

__all__ = ["Files", "PlanningOptions", "RunOptions", "checked"]

Files: TypeAlias = Literal["auto", "list", "first", "explode"]


class PlanningOptions(PlanOptions, total=False):
    """The options of the accessors' `plan`; see `Accessor.run`. `into` is for a Series."""

    client: Client | None
    into: str | None


class RunOptions(MapOptions, total=False):
    """The options of the accessors' `run` and `iter`; see `Accessor.run`. `into` is for a Series."""

    client: Client | None
    into: str | None
    files: Files


def checked(given: Mapping[str, Any], kind: type, method: str) -> dict[str, Any]:
    """Copy the options; raises `ConfigError` for one that nobody knows, before anything is spent."""
    known: frozenset[str] = getattr(kind, "__optional_keys__")  # noqa: B009 - checkers do not know it of a type
    if unknown := sorted(set(given) - known):
        raise ConfigError(_unknown(unknown, given, sorted(known), method))
    for name, allowed in (("files", get_args(Files)), ("errors", ("raise", "collect"))):
        if given.get(name) is not None and given[name] not in allowed:
            raise ConfigError(
                f"{name}={given[name]!r} must be one of {listed(map(repr, allowed))}. Nothing was created."
            )
    return dict(given)


def _unknown(names: list[str], given: Mapping[str, Any], known: list[str], method: str) -> str:
    """Say where an unknown keyword belongs."""
    inputs = ", ".join(f"{name!r}: {given[name]!r:.40}" for name in names)
    return (
        f"{method} does not know the option{'s' if len(names) > 1 else ''} {listed(names)}, and nothing was "
        f"created.{meant(names[0], known)} Inputs of the model stand in input=: input={{{inputs}}}. "
        f"The options are: {listed(known)}."
    )
