"""Options that several commands share."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from replicate_kit.cli._logs import log_json
from replicate_kit.cli._values import read_json

if TYPE_CHECKING:
    from replicate_kit._http.session import Session

__all__ = [
    "AMOUNT",
    "COUNT",
    "PORT",
    "SECONDS",
    "Amount",
    "Function",
    "as_json",
    "cancel_after",
    "check_input",
    "check_needed",
    "confirm",
    "connected",
    "debug",
    "escape_formulas",
    "is_fleeting",
    "is_given",
    "not_empty",
    "read_duration",
    "storage_options",
    "web",
    "webhooks",
    "yes",
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


web = click.option("--web", is_flag=True, help="Open its page in a browser.")

yes = click.option("--yes", is_flag=True, help="Do not ask.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is done that costs money or cannot be undone; end the command unless the answer is yes."""
    if yes:
        return
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort:
        click.echo("Nothing was done. Pass --yes to answer with yes.", err=True)
        raise


escape_formulas = click.option(
    "--escape-formulas/--no-escape-formulas",
    default=False,
    show_default=True,
    help="In .csv and .tsv, put ' before texts that a spreadsheet would run as formulas.",
)


class Amount(click.FloatRange):
    """A number; what is not a number, or has no end, would undo whatever it bounds."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return float(found)


AMOUNT = Amount(min=0)
"""What an option takes that money, or a rate of it, is given by."""

SECONDS = Amount(min=0, min_open=True)
"""A length of time to wait for: more than 0."""

PORT = click.IntRange(0, 65535)
"""A port; 0 stands for any that is free."""

COUNT = click.IntRange(1, sys.maxsize)
"""How many there may be: what Python can count to."""


def read_duration(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Check how long a prediction may take before anything is done."""
    if value is not None:
        from replicate_kit.errors import InputError
        from replicate_kit.resources._jobs.creating import deadline_seconds

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


def not_empty(_: click.Context, option: click.Parameter, value: Any) -> Any:
    """Refuse a text that is empty, as that of a variable that nobody has set."""
    for each in value if isinstance(value, tuple) else (value,):
        if each is not None and not each.strip():
            raise click.BadParameter("it is empty. Give it a value, or leave the option out.")
    return value


def webhooks(function: Function) -> Function:
    """Add the options that say where the API sends events: `webhook` and `webhook_events_filter`."""
    for add in (
        click.option(
            "--webhook-events", "webhook_events_filter", multiple=True,
            type=click.Choice(["start", "output", "logs", "completed"]),
            callback=lambda _, __, events: list(events) or None,
            help="Only these events; repeatable.",
        ),
        click.option("--webhook", metavar="URL", callback=not_empty, help="Where the API sends events."),
    ):  # fmt: skip
        function = add(function)
    return function


def _read_object(_: click.Context, option: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """Read the JSON object that an option was given, None where it was not or is empty."""
    return read_json(value, option.opts[0]) or None


storage_options = click.option(
    "--storage-options",
    metavar="JSON",
    callback=_read_object,
    help="Options for the filesystem of a store: JSON, or @FILE.",
)


def is_given(name: str) -> bool:
    """Whether an option of the command that runs was typed, and not left to its default."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def check_needed(options: Mapping[str, str], *, without: str) -> None:
    """Refuse options that were typed and do nothing without another one, or beside it.

    `options` are the names of their parameters, each with the name that it is typed by; `without` ends the sentence.
    """
    for name, typed in options.items():
        if is_given(name):
            raise click.UsageError(f"{typed} does nothing {without}")


def connected(function: Function) -> Function:
    """Add the options that say where predictions run; give the command the client that they make."""

    @click.option("--backend", metavar="NAME", help='Where predictions run: "http", "mock", or a plugin\'s.')
    @click.option(
        "--base-url", metavar="URL", help="Root of the API, for a gateway or `replicate-kit serve`."
    )
    @debug
    @log_json
    @functools.wraps(function)
    def wrapper(*args: Any, backend: str | None, base_url: str | None, **kwargs: Any) -> Any:
        from replicate_kit.client import Client

        with Client(backend=backend, base_url=base_url) as client:
            if is_fleeting(client.session):
                check_needed(
                    {"base_url": "--base-url"},
                    without="with the mock, which answers in this process (--backend or REPLICATE_KIT_BACKEND says "
                    "so). Leave it out, or add --backend http.",
                )
            return function(client, *args, **kwargs)

    return wrapper


def is_fleeting(session: Session) -> bool:
    """Whether predictions and files last no longer than this command: those of the simulator in our process."""
    from replicate_kit.backends.mock import MockBackend

    return isinstance(session.backend, MockBackend)
