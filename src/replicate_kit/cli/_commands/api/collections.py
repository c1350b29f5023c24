"""`replicate-kit collections`: models that belong together."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from replicate_kit.cli import _show
from replicate_kit.cli._aliases import Group
from replicate_kit.cli._commands.api.models import show_models
from replicate_kit.cli._options import COUNT, as_json, connected

if TYPE_CHECKING:
    from replicate_kit.client import Client

__all__ = ["command"]


@click.group(
    "collections", cls=Group, aliases={"show": "get"}, short_help="See which models belong together."
)
def command() -> None:
    """List collections of models, and the models of one."""


@command.command("list")
@click.option("--limit", type=COUNT, default=100, show_default=True, help="How many.")
@as_json
@connected
def list_collections(client: Client, limit: int, as_json: bool) -> None:
    """List the collections."""
    found = islice(client.collections.list_all(), limit)
    if as_json:
        _show.print_json([dict(each) for each in found])
        return
    rows = ((each.slug, each.name, _show.short(each.description, 80)) for each in found)
    _show.print_table(("collection", "name", "description"), rows)


@command.command("get")
@click.argument("collection")
@as_json
@connected
def get_collection(client: Client, collection: str, as_json: bool) -> None:
    """List the models of a COLLECTION; with --json, all that the API says of it."""
    found = client.collections.get(collection)
    if as_json:
        _show.print_json(dict(found))
        return
    show_models(found.models or [], as_json=False)
