"""The group of all commands: ours are imported when they are asked for, plugins add theirs, errors are told plainly."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from replicate_kit.cli._aliases import Group
from replicate_kit.cli._encoding import any_text
from replicate_kit.cli._logs import logged
from replicate_kit.cli._show import expect_json
from replicate_kit.cli._telling import told
from replicate_kit.cli._wording import logs_as_typed
from replicate_kit.errors import ReplicateError

__all__ = ["BUILTIN", "OURS", "CommandLine"]

_OF_THE_API = (
    "models", "predictions", "trainings", "deployments", "collections", "hardware", "account", "webhooks"
)  # fmt: skip
"""Those that are resources of the API, whose modules are in a folder of their own."""

BUILTIN = (
    "demo",
    "run",
    "stream",
    "train",
    "map",
    "journal",
    "files",
    "serve",
    *_OF_THE_API,
    "auth",
    "plugins",
    "doctor",
    "completion",
)
"""Our own commands, in the order of the help: each is `command` in the module of its name."""

_ALIASES = {
    **{name.removesuffix("s"): name for name in _OF_THE_API if name.endswith("s")},
    "p": "predictions",
    "m": "models",
    "t": "trainings",
    "hw": "hardware",
}
"""Other names of ours: Replicate's own command line has the names of groups in the singular and the plural."""

OURS = (*BUILTIN, *_ALIASES)
"""All names that no plugin's command can have."""

_ELSEWHERE = {
    "scaffold": "It makes a project for Node.js or Python, and only Replicate's own command line has it: `replicate "
    "scaffold`. To start with this package, see https://github.com/replicate-kit/replicate-kit/blob/main/docs/quickstart.md."
}
"""What to do instead of commands of Replicate's own command line that are not here."""


class CommandLine(Group):
    """Finds commands by name: ours first, so that no plugin is asked, nor can change them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, aliases=_ALIASES, elsewhere=_ELSEWHERE, **options)

    def main(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        """Run a command line from its arguments; print whatever text there is to print."""
        with any_text(), logged(sys.argv[1:] if args is None else args):
            return super().main(args, *more, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands: ours in their order, then those of plugins."""
        return [*BUILTIN, *sorted(self._added())]

    def named(self, ctx: click.Context, name: str) -> click.Command | None:
        """Find a command by its first name; None if there is none."""
        if name in BUILTIN:
            room = "_commands.api" if name in (*_OF_THE_API, "train") else "_commands"
            found = import_module(f"replicate_kit.cli.{room}.{name}").command
            assert isinstance(found, click.Command)
            return found
        return self._added().get(name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options that stand before the command."""
        expect_json(ctx, args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and tell its errors."""
        with logs_as_typed(lambda: ctx.invoked_subcommand), told(ctx):
            return super().invoke(ctx)

    def _added(self) -> Mapping[str, click.Command]:
        """The commands of plugins, asked for once. One that is broken must not take the others along."""
        if not hasattr(self, "_plugins"):
            from replicate_kit._plugins.registry import Plugins
            from replicate_kit.config import Config

            try:
                self._plugins = Plugins(Config(backend="mock"))
                self._plugins.add_commands(self, OURS)
            except ReplicateError as error:
                click.echo(f"The plugins' commands are missing: {error}", err=True)
        return self.commands
