"""What a command that runs a model once is told: the model and its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from replicate_kit._formats.references import is_version_id
from replicate_kit.cli._options import Function
from replicate_kit.cli._values import read_input, read_json
from replicate_kit.errors import InvalidReference

if TYPE_CHECKING:
    from replicate_kit._formats.references import Reference
    from replicate_kit.client import Client
    from replicate_kit.resources._running.running import Runnable

__all__ = ["check_version", "model_and_input", "prepared", "resolved"]


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


def resolved(client: Client, model: str) -> Runnable:
    """Find a model. Raises `InvalidReference` for a version that none can be: the API only says that it has none."""
    reference = client.session.hooks.parse_reference(model)
    runnable = client.models.resolve(reference)
    if runnable.schema is None:
        check_version(reference, model)
    return runnable


def check_version(reference: Reference, typed: str) -> None:
    """Raise `InvalidReference` for a version that is no id of one."""
    if reference.version is not None and not is_version_id(reference.version):
        raise InvalidReference(
            f"{typed!r} names no version: {reference.version!r} is not 64 hexadecimal digits. Write the whole id, or "
            f"{reference.model!r} for the latest version."
        )


def prepared(
    client: Client, model: str, inputs: tuple[str, ...], given: str | None
) -> tuple[Runnable, dict[str, Any]]:
    """Find the model, and read its input from the command line."""
    base = read_json(given)
    runnable = resolved(client, model)
    return runnable, read_input(inputs, runnable.schema, base)
