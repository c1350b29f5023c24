"""The options of the accessors: those of `client.map`, and their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, cast, get_args

from replicate_kit import Client
from replicate_kit.batch import MapOptions, PlanOptions
from replicate_kit.errors import ConfigError
from replicate_kit.wording import did_you_mean
from replicate_kit_pandas.tables import listed

__all__ = ["Files", "RunOptions", "checked", "for_plan"]

Files: TypeAlias = Literal["auto", "list", "first", "explode"]


class RunOptions(MapOptions, total=False):
    """The options of the accessors; see `Accessor.run`. `into` is for a Series."""

    client: Client | None
    into: str | None
    files: Files


def checked(given: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Copy the options; raises `ConfigError` for one that nobody knows, before anything is spent."""
    if unknown := sorted(set(given) - RunOptions.__optional_keys__):
        raise ConfigError(_unknown(unknown, given, method))
    for name, allowed in (("files", get_args(Files)), ("errors", ("raise", "collect"))):
        if given.get(name) is not None and given[name] not in allowed:
            raise ConfigError(
                f"{name}={given[name]!r} must be one of {listed(map(repr, allowed))}. Nothing was created."
            )
    return dict(given)


def for_plan(options: Mapping[str, Any]) -> PlanOptions:
    """Those of the options that matter for a plan."""
    kept = {name: value for name, value in options.items() if name in PlanOptions.__optional_keys__}
    return cast("PlanOptions", kept)


def _unknown(names: list[str], given: Mapping[str, Any], method: str) -> str:
    """Say where an unknown keyword belongs."""
    known = sorted(RunOptions.__optional_keys__)
    if "dry_run" in names:
        return "To find out what would be created and paid, use plan(…) in place of dry_run=. Nothing was created."
    inputs = ", ".join(f"{name!r}: {given[name]!r:.40}" for name in names)
    return (
        f"{method} does not know the option{'s' if len(names) > 1 else ''} {listed(names)}, and nothing was "
        f"created.{did_you_mean(names[0], known)} Inputs of the model stand in input=: input={{{inputs}}}. "
        f"The options are: {listed(known)}."
    )
