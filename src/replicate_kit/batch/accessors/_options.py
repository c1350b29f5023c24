"""The options of accessors: those of `client.map`, and their own, checked before anything is spent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, cast, get_args

from replicate_kit._formats.arguments import whole
from replicate_kit._formats.redacting import without_secrets, without_tokens
from replicate_kit._formats.wording import did_you_mean, shown_names
from replicate_kit._runtime.tracebacks import entrance
from replicate_kit.batch._plan.options import MapOptions, MapSettings, Options, PlanOptions
from replicate_kit.errors import ConfigError
from replicate_kit.tables._collecting import Files

if TYPE_CHECKING:
    from replicate_kit.batch.accessors._adapter import Adapter
    from replicate_kit.client import Client

__all__ = ["AccessorOptions", "check_options", "checked", "for_plan", "is_earlier"]

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


@entrance
def checked(
    given: Mapping[str, Any], known: Collection[str], method: str, adapter: Adapter | type[Adapter]
) -> dict[str, Any]:
    """Copy the options of an accessor that takes earlier results of its library as `retry`.

    Raises `ConfigError` for an option that is not `known`, or cannot be meant, before anything is spent.
    """
    retry = given.get("retry", ())
    if not (isinstance(retry, str | list | tuple | set | frozenset) or is_earlier(retry, adapter)):
        raise ConfigError(
            f"retry= is a {type(retry).__name__}. Pass the error that an accessor raised, a {adapter.library} "
            "DataFrame that was made with details=True, or states of the journal, such as ('failed', 'expired'). "
            "Nothing was created."
        )
    # What the accessor itself asks of an option comes before client.map checks it, and functions reach that wrapped.
    others = set(known) - PlanOptions.__optional_keys__ if method == "plan" else set[str]()
    read_here = {"retry"} if is_earlier(retry, adapter) else set[str]()
    check_options(given, known, method, read_elsewhere=others | read_here)
    return dict(given)


def is_earlier(retry: object, adapter: Adapter | type[Adapter]) -> bool:
    """Whether `retry=` is meant to be an earlier result, and not states of the journal."""
    return isinstance(retry, adapter.frames | adapter.series | BaseException)


def for_plan(options: Mapping[str, Any]) -> PlanOptions:
    """Those of the options that matter for a plan."""
    kept = {name: value for name, value in options.items() if name in PlanOptions.__optional_keys__}
    return cast("PlanOptions", kept)


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
