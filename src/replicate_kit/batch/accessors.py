"""What accessors of tables ask for beside `client.map`, checked as each of them has to.

>>> from replicate_kit.batch.accessors import AccessorOptions, check_options
>>> check_options({"journal": "poems.sqlite", "concurrency": 8}, AccessorOptions.__optional_keys__, "run")
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, get_args

from replicate_kit._formats.arguments import whole
from replicate_kit._formats.redacting import without_secrets, without_tokens
from replicate_kit._formats.wording import did_you_mean, shown_names
from replicate_kit._runtime.tracebacks import entrance
from replicate_kit.batch._plan.options import MapOptions, MapSettings, Options
from replicate_kit.errors import ConfigError
from replicate_kit.tables._collecting import Files

if TYPE_CHECKING:
    from replicate_kit.client import Client

__all__ = ["AccessorOptions", "check_options"]

_OF_MAP = MapOptions.__optional_keys__


class AccessorOptions(MapSettings, total=False):
    """The options that accessors share, but for `retry`. `into` is for one column alone."""

    client: Client | None
    into: str | None
    files: Files
    limit: int | None


@entrance
def check_options(
    given: Mapping[str, Any], known: Collection[str], method: str, *, read_elsewhere: Collection[str] = ()
) -> None:
    """Raise `ConfigError` for an option that is not `known`, or cannot be meant, before anything is spent.

    `method` is what the caller called. Options of `client.map` are checked as that does, but for those that are
    `read_elsewhere`.
    """
    if unknown := sorted(set(given) - set(known)):
        raise ConfigError(_unknown(unknown, given, known, method))
    for name, allowed in (("files", get_args(Files)), ("errors", ("raise", "collect"))):
        value = given.get(name)
        if value is not None and not (isinstance(value, str) and value in allowed):
            raise ConfigError(
                f"{name}={without_tokens(repr(value))} must be one of {shown_names(map(repr, allowed))}. Nothing was "
                "created."
            )
    # What is ours may be None where client.map takes no None.
    Options.of(
        {name: given[name] for name in given if name in _OF_MAP and name not in {"errors", *read_elsewhere}}
    )
    if not isinstance(given.get("into"), str | None):
        raise ConfigError(f"into={given['into']!r:.60} must be the name of an input. Nothing was created.")
    if given.get("limit") is not None:
        whole("limit", given["limit"], 0)
    if given.get("client") is not None and not hasattr(given["client"], "async_map"):
        raise ConfigError(
            f"client={without_tokens(repr(given['client'])):.60} must be a Client. Nothing was created."
        )


def _unknown(names: list[str], given: Mapping[str, Any], known: Collection[str], method: str) -> str:
    """Say where an unknown keyword belongs."""
    if "dry_run" in names:
        return "To find out what would be created and paid, use plan(…) instead of dry_run=. Nothing was created."
    shown = without_secrets({name: given[name] for name in names})
    inputs = ", ".join(f"{name!r}: {without_tokens(repr(value)):.40}" for name, value in shown.items())
    return (
        f"{method} does not know the option{'s' if len(names) > 1 else ''} {shown_names(names)}, and nothing was "
        f"created.{did_you_mean(names[0], sorted(known))} Inputs of the model stand in input=: input={{{inputs}}}. "
        f"The options are: {shown_names(sorted(known))}."
    )
