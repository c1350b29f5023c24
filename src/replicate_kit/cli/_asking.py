"""What a command that runs a model once is told: the model and its input."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from replicate_kit._formats.references import is_version_id
from replicate_kit.cli._options import Function
from replicate_kit.cli._piping import filled, has_templates, piped_input, piped_prediction
from replicate_kit.cli._values import read_input, read_json
from replicate_kit.errors import InvalidReference

if TYPE_CHECKING:
    from replicate_kit._formats.references import Reference
    from replicate_kit.client import Client
    from replicate_kit.resources._running.running import Runnable
    from replicate_kit.resources.predictions import Prediction
    from replicate_kit.schema import ModelSchema

__all__ = ["asked", "check_version", "created", "model_and_input", "prepared", "resolved"]

T = TypeVar("T")


def model_and_input(function: Function) -> Function:
    """Add the arguments and the option that `prepared` reads: `model`, `inputs` and `given`."""
    for add in (
        click.option(
            "--input", "given", metavar="JSON", help="The whole input: JSON, @FILE, or - for standard input."
        ),
        click.option(
            "--separator", default="=", show_default=True, is_eager=True, expose_value=False,
            callback=_remember_separator, help="What stands between the name and the value of an input.",
        ),
        click.argument("inputs", nargs=-1, metavar="[NAME=VALUE]...", callback=_pairs),
        click.argument("model"),
    ):  # fmt: skip
        function = add(function)
    return function


def _remember_separator(ctx: click.Context, _: click.Parameter, value: str) -> None:
    """Keep what stands between names and values where they are read."""
    if not value:
        raise click.BadParameter("it is empty. Write what stands between the name and the value of an input.")
    ctx.meta["replicate_kit.separator"] = value


def _pairs(ctx: click.Context, _: click.Parameter, pairs: tuple[str, ...]) -> tuple[str, ...]:
    """Write inputs with the separator that all others know."""
    separator = ctx.meta["replicate_kit.separator"]
    for pair in pairs if separator != "=" else ():
        if separator not in pair:
            raise click.UsageError(
                f"{pair!r} is not an input. Write NAME{separator}VALUE, as --separator says."
            )
    return tuple("=".join(pair.split(separator, 1)) for pair in pairs) if separator != "=" else pairs


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
    """Find the model, and read its input from the command line, and from standard input."""
    return asked(inputs, given, lambda: _with_schema(resolved(client, model)))


def _with_schema(runnable: Runnable) -> tuple[Runnable, ModelSchema | None]:
    """Give a model beside its schema."""
    return runnable, runnable.schema


def asked(
    inputs: tuple[str, ...], given: str | None, find: Callable[[], tuple[T, ModelSchema | None]]
) -> tuple[T, dict[str, Any]]:
    """Read an input that was typed or piped in, once `find` gave what it is for, and its schema.

    Whatever can be wrong with what was typed is told before anything is sent.
    """
    typed = given is not None and given != "-" and not given.startswith("@")
    texts = [each for each in inputs if not re.match(r"[^=]*=@(?!@)", each)]
    prediction = None
    if has_templates([*texts, given or ""] if typed else texts):
        if given == "-" or any(each.endswith("=@-") for each in inputs):
            raise click.UsageError(
                "Standard input holds the prediction that templates such as {{.output}} are filled from. Give the "
                "input in another way, such as @FILE."
            )
        prediction = piped_prediction()
    base = read_json(given)
    if prediction is not None and typed:
        base = filled(base, prediction)
    found, schema = find()
    if prediction is None:
        return found, read_input(inputs, schema, piped_input(inputs) if given is None else base)
    return found, read_input(inputs, schema, base, lambda value: filled(value, prediction))


def created(client: Client, runnable: Runnable, input: dict[str, Any], **options: Any) -> Prediction:
    """Start a prediction with these options of `run`, and give it at once."""
    from replicate_kit._runtime.blocking import run
    from replicate_kit.resources._running.running import Run

    return run(Run.with_options(**options).create(runnable, input, client.session))
