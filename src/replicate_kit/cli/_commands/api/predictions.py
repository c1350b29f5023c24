"""`replicate-kit predictions`: starting some, what ran, what runs, and stopping it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from replicate_kit._formats.statuses import STATUSES
from replicate_kit.cli._aliases import Group
from replicate_kit.cli._asking import created, model_and_input, prepared
from replicate_kit.cli._commands.api import _jobs
from replicate_kit.cli._options import (
    AMOUNT,
    COUNT,
    as_json,
    cancel_after,
    check_input,
    check_needed,
    connected,
    web,
    webhooks,
)

if TYPE_CHECKING:
    from replicate_kit.client import Client

__all__ = ["command"]


@click.group(
    "predictions",
    cls=Group,
    aliases={"show": "get", "new": "create"},
    short_help="Start predictions, list them, look at one, cancel some.",
)
def command() -> None:
    """Start predictions, list them, look at one, wait for one, cancel some."""


@command.command("create")
@model_and_input
@click.option(
    "--wait/--no-wait", default=False, show_default=True, help="Whether to wait until it has ended."
)
@click.option("--timeout", type=AMOUNT, metavar="SECONDS", help="With --wait: wait no longer; it runs on.")
@cancel_after
@webhooks
@check_input
@web
@as_json
@connected
def create_prediction(
    client: Client,
    model: str,
    inputs: tuple[str, ...],
    given: str | None,
    wait: bool,
    timeout: float | None,
    web: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Start a prediction of MODEL (owner/name, owner/name:version or deployments/owner/name), and show it.

    Inputs are written as for `run`, which waits for the output and prints it alone.
    """
    if not wait:
        check_needed({"timeout": "--timeout"}, without="without --wait. Add it, or leave this out.")
    prediction = created(client, *prepared(client, model, inputs, given), **options)
    if not wait:
        _jobs.show(prediction, as_json=as_json, web=web)
        return
    click.echo(f"{prediction.id} is {prediction.status}", err=True)
    if web:
        _jobs.open_page(prediction)
    _jobs.wait_for(prediction, timeout, as_json=as_json)


@command.command("list")
@click.option("--limit", type=COUNT, default=20, show_default=True, help="How many.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those with this status.")
@click.option(
    "--created-after", metavar="TIME", help="Only those created since, such as 2026-01-31T12:00:00Z."
)
@click.option("--created-before", metavar="TIME", help="Only those created before.")
@click.option("--source", type=click.Choice(["web"]), help="Only those made on the website.")
@as_json
@connected
def list_predictions(
    client: Client, limit: int, status: str | None, as_json: bool, **filters: str | None
) -> None:
    """List predictions, newest first."""
    which = "" if status is None else f" with the status {status!r}"
    which += " that these options leave" if any(filters.values()) else ""
    _jobs.show_list(
        (each for each in client.predictions.list_all(**filters) if status in (None, each.status)),
        limit,
        as_json=as_json,
        none=f"There are no predictions{which} in this account.",
    )


_jobs.add_commands(command, "predictions")
