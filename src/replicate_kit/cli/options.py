"""Options that several commands share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from replicate_kit.cli.values import read_json

if TYPE_CHECKING:
    from replicate_kit.session import Session

__all__ = [
    "AMOUNT",
    "Function",
    "as_json",
    "cancel_after",
    "check_input",
    "connected",
    "debug",
    "escape_formulas",
    "is_fleeting",
    "read_duration",
    "storage_options",
]

Function = Callable[..., Any]


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Keep the wish for a traceback where the error is told."""
    if value:
        ctx.find_root().meta["replicate_kit.debug"] = True


debug = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_remember,
    help="Show the traceback of an error.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


escape_formulas = click.option(
    "--escape-formulas/--no-escape-formulas",
    default=False,
    show_default=True,
    help="In .csv and .tsv, put ' before texts that a spreadsheet would run as formulas.",
)


class _Amount(click.FloatRange):
    """A number of 0 or more; what is not a number, or has no end, would undo whatever it bounds."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return float(found)


AMOUNT = _Amount(min=0)
"""What an option takes that money, or a rate of it, is given by."""


def read_duration(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Check how long a prediction may take before anything is done."""
    if value is not None:
        from replicate_kit.errors import InputError
        from replicate_kit.resources.creating import deadline_seconds

        try:
            deadline_seconds(value)
        except InputError:
            raise click.BadParameter(
                f"{value!r} is no time of 5 seconds or more. Write seconds, such as 90, or a time such as 1h30m45s."
            ) from None
    return value


cancel_after = click.option(
    "--cancel-after",
    metavar="TIME",
    callback=read_duration,
    help="Have the API end it after so long, such as 1m30s.",
)

check_input = click.option(
    "--check-input/--no-check-input",
    default=True,
    show_default=True,
    help="Check the input by the model's schema before anything is spent.",
)


def _read_object(_: click.Context, option: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """Read the JSON object that an option was given, None where it was not or is empty."""
    return read_json(value, option.opts[0]) or None


storage_options = click.option(
    "--storage-options",
    metavar="JSON",
    callback=_read_object,
    help="Options for the filesystem of a store: JSON, or @FILE.",
)


def connected(function: Function) -> Function:
    """Add the options that say where predictions run; give the command the client that they make."""

    @click.option("--backend", metavar="NAME", help='Where predictions run: "http", "mock", or a plugin\'s.')
    @click.option(
        "--base-url", metavar="URL", help="Root of the API, for a gateway or `replicate-kit serve`."
    )
    @debug
    @functools.wraps(function)
    def wrapper(*args: Any, backend: str | None, base_url: str | None, **kwargs: Any) -> Any:
        from replicate_kit.client import Client

        with Client(backend=backend, base_url=base_url) as client:
            return function(client, *args, **kwargs)

    return wrapper


def is_fleeting(session: Session) -> bool:
    """Whether predictions and files last no longer than this command: those of the simulator in our process."""
    from replicate_kit.backends.mock import MockBackend

    return isinstance(session.backend, MockBackend)
