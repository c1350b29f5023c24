"""`replicate-kit predictions`: what ran, what runs, and stopping it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from replicate_kit._formats.redacting import without_secrets
from replicate_kit._formats.statuses import STATUSES
from replicate_kit.cli import _show as show
from replicate_kit.cli._aliases import Group
from replicate_kit.cli._options import AMOUNT, COUNT, as_json, connected

if TYPE_CHECKING:
    from replicate_kit.client import Client
    from replicate_kit.resources.predictions import Prediction

__all__ = ["command"]


@click.group(
    "predictions",
    cls=Group,
    aliases={"show": "get"},
    short_help="List predictions, look at one, cancel some.",
)
def command() -> None:
    """List predictions, look at one, wait for one, cancel some."""


@command.command("list")
@click.option("--limit", type=COUNT, default=20, show_default=True, help="How many.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those with this status.")
@as_json
@connected
def list_predictions(client: Client, limit: int, status: str | None, as_json: bool) -> None:
    """List predictions, newest first."""
    found = islice((each for each in client.predictions.list_all() if status in (None, each.status)), limit)
    if as_json:
        show.print_json([dict(each) for each in found])
        return
    rows = list(map(_row, found))
    if rows:
        show.print_table(("id", "model", "status", "created", "seconds"), rows)
    else:
        which = "" if status is None else f" with the status {status!r}"
        click.echo(f"There are no predictions{which} in this account.", err=True)


@command.command("get")
@click.argument("id")
@as_json
@connected
def get_prediction(client: Client, id: str, as_json: bool) -> None:
    """Show the prediction with this ID."""
    _show(client.predictions.get(id), as_json)


@command.command("wait")
@click.argument("id")
@click.option("--timeout", type=AMOUNT, metavar="SECONDS", help="Wait no longer; the prediction runs on.")
@as_json
@connected
def wait_for_prediction(client: Client, id: str, timeout: float | None, as_json: bool) -> None:
    """Wait until the prediction with this ID has ended, and show it."""
    prediction = client.predictions.get(id)
    with show.working(f"{id} is {prediction.status}…"):
        prediction.wait(timeout)
    _show(prediction, as_json)
    prediction.raise_for_status()


@command.command("cancel")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@connected
def cancel_predictions(client: Client, ids: tuple[str, ...]) -> None:
    """Cancel the predictions with these IDs; those that have ended stay as they are."""
    for id in ids:
        click.echo(f"{id}\t{client.predictions.cancel(id).status}")


def _row(prediction: Prediction) -> tuple[object, ...]:
    """One row of the list."""
    seconds = prediction.metrics.get("predict_time")
    model = prediction.model or prediction.version
    taken = f"{seconds:.1f}" if isinstance(seconds, int | float) else seconds or ""
    return prediction.id, model, prediction.status, prediction.created_at, taken


def _show(prediction: Prediction, as_json: bool) -> None:
    """Print one prediction."""
    if as_json:
        show.print_json(dict(prediction))
        return
    show.print_facts(_facts(prediction))


def _facts(prediction: Prediction) -> Iterator[tuple[str, object]]:
    """What is worth knowing of a prediction."""
    seconds = prediction.metrics.get("predict_time")
    output = prediction.output
    yield "id", prediction.id
    yield "model", prediction.model or prediction.version
    yield "status", prediction.status
    yield "created", prediction.created_at
    yield from (
        (f"input {name}", show.short(value, 200)) for name, value in without_secrets(prediction.input).items()
    )
    if isinstance(output, list) and output and all(type(each) is str for each in output):
        output = "".join(output)
    for each in output if isinstance(output, list) else [output]:
        yield "output", "(removed)" if prediction.data_removed else each
    error = prediction.error and prediction.without_secrets(str(prediction.error))
    yield from ((name, value) for name, value in (("error", error), ("seconds", seconds)) if value)
    if prediction.logs:
        yield "logs", prediction.without_secrets(prediction.logs.rstrip().rpartition("\n")[2])
