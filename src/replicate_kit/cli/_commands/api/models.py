"""`replicate-kit models`: what there is to run, and what it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from replicate_kit.cli import _show
from replicate_kit.cli._aliases import Group
from replicate_kit.cli._asking import check_version, resolved
from replicate_kit.cli._commands.api import _jobs
from replicate_kit.cli._options import COUNT, Function, as_json, confirm, connected, web, yes
from replicate_kit.errors import InvalidReference

if TYPE_CHECKING:
    from replicate_kit.client import Client
    from replicate_kit.resources.models import Description, Model
    from replicate_kit.schema import ModelSchema

__all__ = ["command", "show_models", "show_schema_of"]


def _description(function: Function) -> Function:
    """Add the options that describe a model: those of `Description`, whose module would be slow to load."""
    for name, what in (
        ("cover-image-url", "The picture that stands for it."),
        ("weights-url", "Where its weights are."),
        ("license-url", "Where its license is."),
        ("paper-url", "Where its paper is."),
        ("github-url", "Where its source is."),
        ("readme", "Its README, in Markdown."),
        ("description", "What it does."),
    ):
        function = click.option(f"--{name}", metavar="URL" if name.endswith("url") else "TEXT", help=what)(
            function
        )
    return function


@click.group(
    "models",
    cls=Group,
    aliases={"show": "get", "view": "get", "new": "create"},
    short_help="Find models, see what they take, make your own.",
)
def command() -> None:
    """Find models, look at one, see its inputs; make, change and delete your own."""


@command.command("list")
@click.option("--limit", type=COUNT, default=25, show_default=True, help="How many.")
@click.option(
    "--sort-by", type=click.Choice(["model_created_at", "latest_version_created_at"]), help="By what."
)
@click.option("--sort-direction", type=click.Choice(["asc", "desc"]), help="Which way.")
@as_json
@connected
def list_models(client: Client, limit: int, as_json: bool, **sorting: str | None) -> None:
    """List the public models, those that were changed last first."""
    show_models(islice(client.models.list_all(**sorting), limit), as_json=as_json)


@command.command("search")
@click.argument("words", nargs=-1, required=True, metavar="WORDS...")
@as_json
@connected
def search_models(client: Client, words: tuple[str, ...], as_json: bool) -> None:
    """Find public models by words, the most fitting first: up to 25."""
    found = client.models.search(" ".join(words))
    show_models(found, as_json=as_json)
    if not found.results and not as_json:
        click.echo("No public model has these words. Try fewer, or other ones.", err=True)


@command.command("get")
@click.argument("model")
@web
@as_json
@connected
def get_model(client: Client, model: str, web: bool, as_json: bool) -> None:
    """Show one MODEL (owner/name)."""
    check_version(client.session.hooks.parse_reference(model), model)
    found = client.models.get(model)
    _show_model(found, as_json=as_json)
    if web:
        _show.open_page(found.url)


@command.command("inputs")
@click.argument("model")
@as_json
@connected
def show_inputs(client: Client, model: str, as_json: bool) -> None:
    """Show what a MODEL takes: names, types, defaults and limits."""
    schema = schema_of(client, model)
    if as_json:
        _show.print_json({"properties": schema.properties, "required": schema.required})
        return
    rows = [_input(name, each, schema) for name, each in schema.properties.items()]
    _show.print_table(("input", "type", "default", "allowed", "description"), rows)


@command.command("schema")
@click.argument("model")
@as_json
@connected
def show_schema(client: Client, model: str, as_json: bool) -> None:
    """Show what a MODEL takes and gives; with --json, its whole OpenAPI document."""
    show_schema_of(client, model, as_json=as_json)


@command.command("create")
@click.argument("model")
@click.option(
    "--hardware",
    "--hardware-sku",
    "--sku",
    "hardware",
    metavar="SKU",
    required=True,
    help="What it runs on: a SKU that `hardware list` shows.",
)
@click.option("--public/--private", default=False, show_default=True, help="Who may see and run it.")
@_description
@as_json
@connected
def create_model(
    client: Client, model: str, hardware: str, public: bool, as_json: bool, **description: str | None
) -> None:
    """Make an empty MODEL (owner/name) of your own, to push or train versions for."""
    owner, name = _own(client, model)
    visibility: Literal["public", "private"] = "public" if public else "private"
    made = client.models.create(owner, name, visibility=visibility, hardware=hardware, **_given(description))
    _show_model(made, as_json=as_json)


@command.command("update")
@click.argument("model")
@_description
@as_json
@connected
def update_model(client: Client, model: str, as_json: bool, **description: str | None) -> None:
    """Change what describes a MODEL of yours; what is not given stays as it is."""
    owner, name = _own(client, model)
    if not _given(description):
        raise click.UsageError("There is nothing to change. Pass --description, or another option.")
    _show_model(client.models.update(f"{owner}/{name}", **_given(description)), as_json=as_json)


@command.command("delete")
@click.argument("model")
@yes
@as_json
@connected
def delete_model(client: Client, model: str, yes: bool, as_json: bool) -> None:
    """Delete a MODEL of yours, or, as owner/name:version, one version of it with its predictions and files.

    The API allows it for private models without versions, and for versions of private models.
    """
    reference = client.session.hooks.parse_reference(model)
    check_version(reference, model)
    if reference.version is None:
        _own(client, model)
    what = f"the model {model}" if reference.version is None else f"{model}, with its predictions and files,"
    confirm(f"Delete {what} for good?", yes=yes)
    if reference.version is None:
        client.models.delete(model)
    else:
        client.models.versions(str(reference.model)).delete(reference.version)
    _show.deleted(model, as_json=as_json)


@command.command("versions")
@click.argument("model")
@click.option("--limit", type=COUNT, default=25, show_default=True, help="How many.")
@as_json
@connected
def list_versions(client: Client, model: str, limit: int, as_json: bool) -> None:
    """List the versions of a MODEL, newest first."""
    found = islice(client.models.versions(model).list_all(), limit)
    if as_json:
        _show.print_json([dict(version) for version in found])
        return
    rows = ((version.id, version.created_at, version.cog_version) for version in found)
    _show.print_table(("version", "pushed", "cog"), rows)


@command.command("examples")
@click.argument("model")
@click.option("--limit", type=COUNT, default=20, show_default=True, help="How many.")
@as_json
@connected
def list_examples(client: Client, model: str, limit: int, as_json: bool) -> None:
    """List the predictions that the author of a MODEL shows as examples."""
    from replicate_kit.resources._resource import paginate

    pages = paginate(partial(client.models.examples, model))
    found = (each for page in pages for each in page)
    _jobs.show_list(found, limit, as_json=as_json, none=f"{model} has no examples.")


@command.command("readme")
@click.argument("model")
@as_json
@connected
def show_readme(client: Client, model: str, as_json: bool) -> None:
    """Print the README of a MODEL, in Markdown."""
    text = client.models.readme(model)
    _show.print_json(text) if as_json else click.echo(text)


def show_models(found: Iterable[Model], *, as_json: bool) -> None:
    """Print some models."""
    if as_json:
        _show.print_json([dict(model) for model in found])
        return
    rows = ((model.reference, model.run_count, _show.short(model.description, 80)) for model in found)
    _show.print_table(("model", "runs", "description"), rows)


def schema_of(client: Client, model: str) -> ModelSchema:
    """Find the schema of a model or a deployment."""
    schema = resolved(client, model).schema
    if schema is None:
        raise click.ClickException(
            f"The API shows no schema of {model}. Where that names a version, the model may not have it; its page on "
            "https://replicate.com may say what it takes."
        )
    return schema


def show_schema_of(client: Client, model: str, *, as_json: bool) -> None:
    """Print what a model or a deployment takes and gives."""
    schema = schema_of(client, model)
    if as_json:
        _show.print_json(schema.document)
        return
    rows = [("input", *_input(name, each, schema)) for name, each in schema.properties.items()]
    output = schema.output
    kind = "list of files" if schema.gives_files else _kind("", output, schema)
    rows.append(("output", "", kind, "", _allowed(output), output.get("description", "")))
    _show.print_table(("", "name", "type", "default", "allowed", "description"), rows)


def _show_model(model: Model, *, as_json: bool) -> None:
    """Print one model."""
    _show.print_json(dict(model)) if as_json else _show.print_facts(_facts(model))


def _own(client: Client, model: str) -> tuple[str, str]:
    """Read the name of a model that is to be made or changed: that of no version and no deployment."""
    reference = client.session.hooks.parse_reference(model)
    if reference.deployment or reference.version or not (reference.owner and reference.name):
        raise InvalidReference(f"{model!r} does not name a model. Write owner/name.")
    return reference.owner, reference.name


def _given(description: dict[str, str | None]) -> Description:
    """Leave out what was not given; an empty text is given, and takes away what was there."""
    return cast("Description", {name: text for name, text in description.items() if text is not None})


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
