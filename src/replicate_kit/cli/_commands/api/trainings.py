"""`replicate-kit trainings`: starting some, how they go, and stopping them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from replicate_kit.cli._aliases import Group
from replicate_kit.cli._asking import asked, check_version, model_and_input
from replicate_kit.cli._commands.api import _jobs
from replicate_kit.cli._options import (
    COUNT,
    Function,
    as_json,
    check_input,
    connected,
    not_empty,
    web,
    webhooks,
)
from replicate_kit.errors import InvalidReference

if TYPE_CHECKING:
    from replicate_kit.client import Client
    from replicate_kit.resources.versions import Version
    from replicate_kit.schema import ModelSchema

__all__ = ["command", "create_training"]


@click.group(
    "trainings",
    cls=Group,
    aliases={"show": "get", "new": "create"},
    short_help="Start trainings, list them, look at one, cancel some.",
)
def command() -> None:
    """Start trainings, list them, look at one, wait for one, cancel some."""


def _options(function: Function) -> Function:
    """Add what is told to start a training."""
    for add in (
        connected,
        as_json,
        web,
        webhooks,
        check_input,
        click.option(
            "--destination", required=True, metavar="OWNER/NAME", callback=not_empty,
            help="The model of yours that the new version goes to.",
        ),
        model_and_input,
    ):  # fmt: skip
        function = add(function)
    return function


@command.command("create")
@_options
def create_training(
    client: Client,
    model: str,
    inputs: tuple[str, ...],
    given: str | None,
    destination: str,
    web: bool,
    as_json: bool,
    check_input: bool,
    **options: Any,
) -> None:
    """Start a training of MODEL (owner/name for its latest version, or owner/name:version), which costs money, and
    show it.

    Inputs are written as for `run`. The new version goes to the model that --destination names; `models create`
    makes one.
    """
    from replicate_kit.resources._running.running import Runnable, check

    (version, schema), input = asked(inputs, given, lambda: _version_and_schema(client, model))
    if check_input:
        check(Runnable(client.session.hooks.parse_reference(model), schema=schema), input)
    training = client.trainings.create(version, input=input, destination=destination, **options)
    _jobs.show(training, as_json=as_json, web=web)


@command.command("list")
@click.option("--limit", type=COUNT, default=20, show_default=True, help="How many.")
@as_json
@connected
def list_trainings(client: Client, limit: int, as_json: bool) -> None:
    """List trainings, newest first."""
    none = "There are no trainings in this account."
    _jobs.show_list(client.trainings.list_all(), limit, as_json=as_json, none=none)


_jobs.add_commands(command, "trainings")


def _version(client: Client, model: str) -> Version:
    """Find the version that is trained."""
    reference = client.session.hooks.parse_reference(model)
    check_version(reference, model)
    if reference.version is not None and reference.model is not None:
        return client.models.versions(reference.model).get(reference.version)
    version = client.models.get(model).latest_version
    if version is None:
        raise InvalidReference(f"{model} has no version that could be trained. Name another model.")
    return version


def _version_and_schema(
    client: Client, model: str
) -> tuple[tuple[Version, ModelSchema | None], ModelSchema | None]:
    """Find the version that is trained with what it takes, and beside them what it takes."""
    version = _version(client, model)
    schema = _schema(version)
    return (version, schema), schema


def _schema(version: Version) -> ModelSchema | None:
    """Find what a version takes to be trained; None where the API does not say."""
    from replicate_kit.schema import ModelSchema

    document = version.openapi_schema or {}
    schemas = document.get("components", {}).get("schemas", {})
    if "TrainingInput" not in schemas:
        return None
    return ModelSchema(
        {**document, "components": {"schemas": {**schemas, "Input": schemas["TrainingInput"]}}}
    )
