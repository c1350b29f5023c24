"""The options of the accessors: those of `client.map`, and their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args

import pandas as pd

from replicate_kit import Client
from replicate_kit.batch import MapOptions, MapSettings, Options, PlanOptions, Retryable
from replicate_kit.errors import ConfigError
from replicate_kit.messages import did_you_mean, shown_names, whole, without_secrets
from replicate_kit.tables import Files
from replicate_kit_pandas.earlier import is_earlier

__all__ = ["RunOptions", "checked", "for_plan"]

_OF_MAP = MapOptions.__optional_keys__


class RunOptions(MapSettings, total=False):
    """The options of the accessors; see `Accessor.run`. `into` is for a Series."""

    client: Client | None
    retry: Retryable | pd.DataFrame | BaseException
    into: str | None
    files: Files
    limit: int | None


def checked(given: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Copy the options; raises `ConfigError` for one that nobody knows, before anything is spent."""
    if unknown := sorted(set(given) - RunOptions.__optional_keys__):
        raise ConfigError(_unknown(unknown, given, method))
    for name, allowed in (("files", get_args(Files)), ("errors", ("raise", "collect"))):
        value = given.get(name)
        if value is not None and not (isinstance(value, str) and value in allowed):
            raise ConfigError(
                f"{name}={given[name]!r} must be one of {shown_names(map(repr, allowed))}. Nothing was created."
            )
    _check_retry(given.get("retry", ()))
    # What the accessor itself asks of an option comes before client.map checks it, and functions reach that wrapped.
    ours = for_plan(given) if method == "plan" else {key: given[key] for key in given if key in _OF_MAP}
    read_here = {"errors"} if not is_earlier(given.get("retry")) else {"errors", "retry"}
    Options.of({key: value for key, value in ours.items() if key not in read_here})
    if not isinstance(given.get("into"), str | None):
        raise ConfigError(f"into={given['into']!r:.60} must be the name of an input. Nothing was created.")
    if given.get("limit") is not None:
        whole("limit", given["limit"], 0)
    if given.get("client") is not None and not hasattr(given["client"], "async_map"):
        raise ConfigError(f"client={given['client']!r:.60} must be a Client. Nothing was created.")
    return dict(given)


def _check_retry(retry: object) -> None:
    """Refuse a table of another library, and whatever else names no states and is no earlier result."""
    if not (isinstance(retry, str | list | tuple | set | frozenset) or is_earlier(retry)):
        raise ConfigError(
            f"retry= is a {type(retry).__name__}. Pass the error that an accessor raised, a pandas DataFrame that was "
            "made with details=True, or states of the journal, such as ('failed', 'expired'). Nothing was created."
        )


def for_plan(options: Mapping[str, Any]) -> PlanOptions:
    """Those of the options that matter for a plan."""
    kept = {name: value for name, value in options.items() if name in PlanOptions.__optional_keys__}
    return cast("PlanOptions", kept)


def _unknown(names: list[str], given: Mapping[str, Any], method: str) -> str:
    """Say where an unknown keyword belongs."""
    known = sorted(RunOptions.__optional_keys__)
    if "dry_run" in names:
        return "To find out what would be created and paid, use plan(…) instead of dry_run=. Nothing was created."
    shown = without_secrets({name: given[name] for name in names})
    inputs = ", ".join(f"{name!r}: {value!r:.40}" for name, value in shown.items())
    return (
        f"{method} does not know the option{'s' if len(names) > 1 else ''} {shown_names(names)}, and nothing was "
        f"created.{did_you_mean(names[0], known)} Inputs of the model stand in input=: input={{{inputs}}}. "
        f"The options are: {shown_names(known)}."
    )
