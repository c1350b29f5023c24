"""`replicate-kit predictions`: starting some, what ran, what runs, stopping it, and saving its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from replicate_kit._formats.statuses import STATUSES
from replicate_kit.cli import _show
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
    storage_options,
    web,
    webhooks,
)
from replicate_kit.cli._paths import read_location

if TYPE_CHECKING:
    from replicate_kit.client import Client

__all__ = ["command"]

_LOST = 3  # as `map` ends where rows have failed


@click.group(
    "predictions",
    cls=Group,
    aliases={"show": "get", "new": "create"},
    short_help="Start predictions, list them, look at one, cancel or save some.",
)
def command() -> None:
    """Start predictions, list them, look at one, wait for one, cancel some, save the files of some."""


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


@command.command("save", short_help="Save files of predictions before the API removes them.")
@click.option(
    "--to",
    "--save-to",
    "to",
    required=True,
    metavar="FOLDER",
    callback=read_location,
    help="Where to: a folder or fsspec URL, with a template of names if it has braces.",
)
@click.option("--since", default="2h", show_default=True, metavar="TIME",
              help="Only those since: so long ago (90m, 2h, 1d), a day of UTC, or a time (ISO 8601).")  # fmt: skip
@click.option("--until", metavar="TIME", help="Only those created before.")
@click.option(
    "--model", metavar="MODEL", help="Only those of owner/name, owner/name:version or deployments/owner/name."
)
@click.option("--status", multiple=True, type=click.Choice(["succeeded", "failed", "canceled"]), default=["succeeded"],
              show_default=True, help="Only those with this status; repeatable.")  # fmt: skip
@click.option("--limit", type=COUNT, help="No more than the newest so many.")
@storage_options
@click.option("--dry-run", is_flag=True, help="Show what would be saved, and save nothing.")
@as_json
@connected
def save_predictions(client: Client, to: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Save the output files of predictions that have run, before the API removes them: an hour after their end.

    The oldest come first. Run it again, also after it was killed, and only what is missing is saved: it keeps
    manifest.jsonl beside the files, which `replicate-kit files verify` compares with them.

    
    replicate-kit predictions save --since 2h --to s3://bucket/
    replicate-kit predictions save --to "rescued/{model}/{status}/{prediction_id}-{index}{ext}"

    
    Exit codes: 0 all is there · 1 stopped by an error · 2 wrong usage
                3 files are gone, or could not be saved
    """
    from replicate_kit.cli._saved import LOST, Shown, as_objects, tell_saved

    with _show.working("Listing predictions…") as status:
        try:
            outputs = client.predictions.save(to, dry_run=dry_run, progress=Shown(status), **options)
        except KeyboardInterrupt as reason:
            reason.add_note("What is saved stays. Run it again soon for the rest.")
            raise
    if as_json:
        _show.print_json({"dry_run": dry_run, "predictions": as_objects(outputs)})
    else:
        tell_saved(outputs, to, dry=dry_run)
    raise SystemExit(_LOST if any(each.outcome in LOST for each in outputs) else 0)


_jobs.add_commands(command, "predictions")
