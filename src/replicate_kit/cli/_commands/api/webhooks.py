"""`replicate-kit webhooks`: what a server that gets events needs to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from replicate_kit.cli import _show
from replicate_kit.cli._aliases import Group
from replicate_kit.cli._options import as_json, connected

if TYPE_CHECKING:
    from replicate_kit.client import Client

__all__ = ["command"]


@click.group("webhooks", cls=Group, short_help="Print the secret that signs webhooks.")
def command() -> None:
    """Look after webhooks."""


@command.command("secret")
@as_json
@connected
def show_secret(client: Client, as_json: bool) -> None:
    """Print the secret that signs the account's webhooks: whoever has it can sign them, too."""
    secret = client.webhooks.default.secret()
    _show.print_json(dict(secret)) if as_json else click.echo(secret.key)
