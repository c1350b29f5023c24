"""`replicate-kit deployments`: a model version on machines of one's own, behind a fixed name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from replicate_kit._formats.references import Reference
from replicate_kit.cli import _show
from replicate_kit.cli._aliases import Group
from replicate_kit.cli._asking import check_version
from replicate_kit.cli._commands.api.models import show_schema_of
from replicate_kit.cli._options import COUNT, Function, as_json, confirm, connected, not_empty, web, yes

if TYPE_CHECKING:
    from replicate_kit.client import Client
    from replicate_kit.resources.deployments import Deployment

__all__ = ["command"]


@click.group(
    "deployments",
    cls=Group,
    aliases={"show": "get", "view": "get", "new": "create"},
    short_help="List deployments, make and change them.",
)
def command() -> None:
    """List deployments, look at one, make, change and delete some."""


def _machines(function: Function) -> Function:
    """Add the options that say what runs, and on how many machines; the limits are those of the API's description."""
    for add in (
        click.option("--max-instances", type=click.IntRange(0, 20), help="The most machines that run at once."),
        click.option(
            "--min-instances", type=click.IntRange(0, 5),
            help="The machines that run always, and cost money always.",
        ),
        click.option("--hardware", "--sku", "hardware", metavar="SKU", callback=not_empty,
                     help="What it runs on: a SKU that `hardware list` shows."),
        click.option("--version", metavar="ID", callback=not_empty, help="The version of the model."),
    ):  # fmt: skip
        function = add(function)
    return function


@command.command("list")
@click.option("--limit", type=COUNT, default=25, show_default=True, help="How many.")
@as_json
@connected
def list_deployments(client: Client, limit: int, as_json: bool) -> None:
    """List the account's deployments."""
    found = islice(client.deployments.list_all(), limit)
    if as_json:
        _show.print_json([dict(each) for each in found])
        return
    rows = list(map(_row, found))
    if rows:
        columns = ("deployment", "model", "hardware", "instances", "released", "version")
        _show.print_table(columns, rows)
    else:
        click.echo("There are no deployments in this account.", err=True)


@command.command("get")
@click.argument("deployment")
@web
@as_json
@connected
def get_deployment(client: Client, deployment: str, web: bool, as_json: bool) -> None:
    """Show one DEPLOYMENT (owner/name)."""
    found = client.deployments.get(deployment)
    _show_one(found, as_json=as_json)
    if web:
        _show.open_page(f"https://replicate.com/deployments/{found.id}")


@command.command("schema")
@click.argument("deployment")
@as_json
@connected
def show_schema(client: Client, deployment: str, as_json: bool) -> None:
    """Show what a DEPLOYMENT takes and gives; with --json, its whole OpenAPI document."""
    prefix = "" if deployment.startswith("deployments/") else "deployments/"
    show_schema_of(client, prefix + deployment, as_json=as_json)


@command.command("create")
@click.argument("name")
@click.option("--model", required=True, metavar="OWNER/NAME", callback=not_empty,
              help="The model, or owner/name:version; without a version its latest one.")  # fmt: skip
@_machines
@yes
@as_json
@connected
def create_deployment(
    client: Client,
    name: str,
    model: str,
    version: str | None,
    hardware: str | None,
    min_instances: int | None,
    max_instances: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Make a deployment with this NAME; none of its machines runs always unless --min-instances says so."""
    if hardware is None:
        raise click.UsageError(
            "Which machines? Pass --hardware SKU; `replicate-kit hardware list` shows them."
        )
    reference = client.session.hooks.parse_reference(model)
    if version is not None and reference.version is not None:
        raise click.UsageError("The version is named twice. Leave out --version, or the one in --model.")
    chosen = version or reference.version or _latest(client, reference, model)
    check_version(Reference(reference.owner, reference.name, chosen), f"{reference.model}:{chosen}")
    _ask_for_machines(min_instances, yes=yes)
    made = client.deployments.create(
        name.rpartition("/")[2],
        model=reference.model,
        version=chosen,
        hardware=hardware,
        min_instances=min_instances or 0,
        max_instances=max(min_instances or 0, 1) if max_instances is None else max_instances,
    )
    _show_one(made, as_json=as_json)


@command.command("update")
@click.argument("deployment")
@_machines
@yes
@as_json
@connected
def update_deployment(
    client: Client,
    deployment: str,
    version: str | None,
    hardware: str | None,
    min_instances: int | None,
    max_instances: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Change a DEPLOYMENT (owner/name), which makes a new release of it; what is not given stays as it is."""
    if {version, hardware, min_instances, max_instances} == {None}:
        raise click.UsageError(
            "There is nothing to change. Pass --version, --hardware or a number of instances."
        )
    least = min_instances
    if least is None and hardware is not None and not yes:  # those that run move to it
        release = client.deployments.get(deployment).current_release
        least = None if release is None else release.configuration.get("min_instances")
    _ask_for_machines(least, yes=yes)
    changed = client.deployments.update(
        deployment,
        version=version,
        hardware=hardware,
        min_instances=min_instances,
        max_instances=max_instances,
    )
    _show_one(changed, as_json=as_json)


@command.command("delete")
@click.argument("deployment")
@yes
@as_json
@connected
def delete_deployment(client: Client, deployment: str, yes: bool, as_json: bool) -> None:
    """Delete a DEPLOYMENT (owner/name). The API asks that it was not used for 15 minutes."""
    confirm(f"Delete the deployment {deployment} for good?", yes=yes)
    client.deployments.delete(deployment)
    _show.deleted(deployment, as_json=as_json)


def _latest(client: Client, reference: Reference, model: str) -> str:
    """Find the latest version of a model."""
    latest = client.models.get(str(reference)).latest_version
    if latest is None:
        raise click.UsageError(
            f"{model} has no version that could be deployed. Push one, or name another model."
        )
    return latest.id


def _ask_for_machines(least: int | None, *, yes: bool) -> None:
    """Ask before machines run that cost money whether they are used or not."""
    if least:
        confirm(f"With {least} instances at the least, machines run and cost money always. Go on?", yes=yes)


def _row(deployment: Deployment) -> tuple[object, ...]:
    """One row of the list."""
    facts = dict(_facts(deployment))
    instances = f"{facts.get('min instances', '')}-{facts.get('max instances', '')}".strip("-")
    return (
        deployment.id, facts.get("model"), facts.get("hardware"), instances, facts.get("released"), facts.get("version")
    )  # fmt: skip


def _facts(deployment: Deployment) -> Iterator[tuple[str, object]]:
    """What is worth knowing of one."""
    yield "deployment", deployment.id
    release = deployment.current_release
    if release is None:
        return
    yield "release", release.number
    yield "model", release.model
    yield "version", release.version
    yield "released", release.created_at
    yield from ((name.replace("_", " "), value) for name, value in release.configuration.items())


def _show_one(deployment: Deployment, *, as_json: bool) -> None:
    """Print one."""
    _show.print_json(dict(deployment)) if as_json else _show.print_facts(_facts(deployment))
