"""The commands `replicate-kit cog …`."""

from __future__ import annotations

import click


@click.group("cog", short_help="Start and look at Cog servers of your own.")
def command() -> None:
    """Start a model's Cog server on this machine, and look at servers."""
