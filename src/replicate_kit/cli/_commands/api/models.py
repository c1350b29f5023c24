"""`replicate-kit models`: what there is to run, and what it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from replicate_kit.cli import _show
from replicate_kit.cli._aliases import Group
from replicate_kit.cli._asking import check_version, resolved
from replicate_kit.cli._options import COUNT, as_json, connected

if TYPE_CHECKING:
    from replicate_kit.client import Client
    from replicate_kit.resources.models import Model
    from replicate_kit.schema import ModelSchema

__all__ = ["command"]


@click.group("models", cls=Group, aliases={"show": "get"}, short_help="List models, and see what they take.")
def command() -> None:
    """List models, look at one, see its inputs."""


@command.command("list")
@click.option("--limit", type=COUNT, default=25, show_default=True, help="How many.")
@as_json
@connected
def list_models(client: Client, limit: int, as_json: bool) -> None:
    """List the public models, those that were changed last first."""
    found = islice(client.models.list_all(), limit)
    if as_json:
        _show.print_json([dict(model) for model in found])
        return
    rows = ((model.reference, model.run_count, _show.short(model.description, 80)) for model in found)
    _show.print_table(("model", "runs", "description"), rows)


@command.command("get")
@click.argument("model")
@as_json
@connected
def get_model(client: Client, model: str, as_json: bool) -> None:
    """Show one MODEL (owner/name)."""
    check_version(client.session.hooks.parse_reference(model), model)
    found = client.models.get(model)
    if as_json:
        _show.print_json(dict(found))
        return
    _show.print_facts(_facts(found))


@command.command("inputs")
@click.argument("model")
@as_json
@connected
def show_inputs(client: Client, model: str, as_json: bool) -> None:
    """Show what a MODEL takes: names, types, defaults and limits."""
    schema = resolved(client, model).schema
    if schema is None:
        raise click.ClickException(
            f"The API shows no schema of {model}. Where that names a version, the model may not have it; its page on "
            "https://replicate.com may say what it takes."
        )
    if as_json:
        _show.print_json({"properties": schema.properties, "required": schema.required})
        return
    rows = [_input(name, each, schema) for name, each in schema.properties.items()]
    _show.print_table(("input", "type", "default", "allowed", "description"), rows)


def _facts(model: Model) -> Iterator[tuple[str, object]]:
    """What is worth knowing of a model."""
    version = model.latest_version
    yield "model", model.reference
    for name in ("description", "visibility", "is_official", "run_count", "url"):
        if (value := getattr(model, name)) not in (None, ""):
            yield name.replace("_", " "), value
    if version is not None:
        yield "latest version", version.id
        yield "pushed", version.created_at


def _input(name: str, schema: Mapping[str, Any], whole: ModelSchema) -> tuple[object, ...]:
    """One row of the table of inputs."""
    required = name in whole.required
    default = "required" if required else _show.short(schema.get("default", ""), 30)
    return name, _kind(name, schema, whole), default, _allowed(schema), schema.get("description", "")


def _kind(name: str, schema: Mapping[str, Any], whole: ModelSchema) -> str:
    """Name the type of an input."""
    kind = "file" if name in whole.file_inputs else str(schema.get("type", "any"))
    if schema.get("type") != "array":
        return kind
    return f"list of {kind if kind == 'file' else schema.get('items', {}).get('type', 'any')}s"


def _allowed(schema: Mapping[str, Any]) -> str:
    """Say which values are allowed."""
    if choices := schema.get("enum"):
        return ", ".join(str(choice) for choice in choices)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return ""
    return f"{'' if low is None else low}…{'' if high is None else high}"
