"""`replicate-kit hardware`: what models and deployments can run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from replicate_kit.cli import _show
from replicate_kit.cli._aliases import Group
from replicate_kit.cli._options import as_json, connected

if TYPE_CHECKING:
    from replicate_kit.client import Client

__all__ = ["command"]


@click.group("hardware", cls=Group, short_help="List the kinds of machines.")
def command() -> None:
    """See what models and deployments can run on."""


@command.command("list")
@as_json
@connected
def list_hardware(client: Client, as_json: bool) -> None:
    """List the kinds of machines, by the SKU that `models create` and `deployments create` take."""
    found = client.hardware.list()
    if as_json:
        _show.print_json([dict(each) for each in found])
        return
    _show.print_table(("sku", "name"), ((each.sku, each.name) for each in found))
