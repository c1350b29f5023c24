"""The hooks of this plugin. What they need is imported when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from replicate_kit import hookimpl

if TYPE_CHECKING:
    import click

    from replicate_kit.transport import Backend


@hookimpl
def replicate_backends() -> Mapping[str, type[Backend]]:
    """Add `Client(backend="cog")`."""
    from replicate_kit_cog.backend import CogBackend

    return {"cog": CogBackend}


@hookimpl
def replicate_commands(cli: click.Group) -> None:
    """Add `replicate-kit cog`."""
    from replicate_kit_cog.command import command

    cli.add_command(command)
