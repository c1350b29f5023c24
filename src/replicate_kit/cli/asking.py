"""What a command that runs a model once is told: the model and its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from replicate_kit.cli.options import Function
from replicate_kit.cli.values import read_input, read_json

if TYPE_CHECKING:
    from replicate_kit.client import Client
    from replicate_kit.resources.running import Runnable

__all__ = ["model_and_input", "prepared"]


def model_and_input(function: Function) -> Function:
    """Add the arguments and the option that `prepared` reads: `model`, `inputs` and `given`."""
    for add in (
        click.option(
            "--input", "given", metavar="JSON", help="The whole input: JSON, @FILE, or - for standard input."
        ),
        click.argument("inputs", nargs=-1, metavar="[NAME=VALUE]..."),
        click.argument("model"),
    ):
        function = add(function)
    return function


def prepared(
    client: Client, model: str, inputs: tuple[str, ...], given: str | None
) -> tuple[Runnable, dict[str, Any]]:
    """Find the model, and read its input from the command line."""
    base = read_json(given)
    runnable = client.models.resolve(client.plugins.parse_reference(model))
    return runnable, read_input(inputs, runnable.schema, base)
