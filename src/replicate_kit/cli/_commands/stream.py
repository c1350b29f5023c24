"""`replicate-kit stream`: the events of a prediction as they come."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from replicate_kit.cli import _show
from replicate_kit.cli._asking import model_and_input, prepared
from replicate_kit.cli._options import cancel_after, check_input, connected

if TYPE_CHECKING:
    from replicate_kit.client import Client

__all__ = ["command", "print_events"]


@click.command("stream", short_help="Run a model and print its output while it works.")
@model_and_input
@cancel_after
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON.")
@check_input
@connected
def command(
    client: Client,
    model: str,
    inputs: tuple[str, ...],
    given: str | None,
    cancel_after: str | None,
    as_json: bool,
    check_input: bool,
) -> None:
    """Run MODEL and print the text that it streams, as it comes. Inputs are written as for `run`.

    \b
    replicate-kit stream demo/poet prompt="the sea" --backend mock
    """
    _, input = prepared(client, model, inputs, given)
    print_events(client, model, input, as_json=as_json, cancel_after=cancel_after, check_input=check_input)


def print_events(client: Client, model: str, input: dict[str, Any], *, as_json: bool, **options: Any) -> None:
    """Run a model with these options of `stream`, and print its events as they come."""
    events = client.stream(model, input, **options)
    with _show.found_again():
        for event in events:
            if as_json:
                _show.print_json(asdict(event), indent=None)
            else:
                click.echo(str(event), nl=False)
        if not as_json:
            click.echo()
