"""`replicate-kit account`: whose token it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from replicate_kit.cli import _show
from replicate_kit.cli._options import as_json, connected

if TYPE_CHECKING:
    from replicate_kit.client import Client

__all__ = ["command"]


@click.command("account", short_help="Show the account that the token belongs to.")
@click.argument("which", type=click.Choice(["current"]), default="current", metavar="[current]")
@as_json
@connected
def command(client: Client, which: str, as_json: bool) -> None:
    """Show the account that the token belongs to; there is no other that could be shown."""
    account = client.accounts.current()
    if as_json:
        _show.print_json(dict(account))
        return
    _show.print_facts((name.replace("_", " "), value) for name, value in dict(account).items())
