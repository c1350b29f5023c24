"""`replicate-kit plugins`: what is loaded, what each adds, and what failed."""

from __future__ import annotations

import click

from replicate_kit.cli import _show
from replicate_kit.cli._aliases import Group
from replicate_kit.cli._options import as_json, debug

__all__ = ["command"]


@click.group(
    "plugins",
    cls=Group,
    invoke_without_command=True,
    short_help="List plugins, and those that failed to load.",
)
@as_json
@debug
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the plugins that are installed, what each adds, and those that failed to load.

    Exits with 1 if one failed. Set REPLICATE_KIT_DISABLE_PLUGINS=name,name to leave some out.
    """
    if context.invoked_subcommand is None:
        _list(as_json)


def _list(as_json: bool) -> None:
    """Print what is loaded and what failed."""
    from replicate_kit._plugins.registry import Plugins
    from replicate_kit.config import Config

    plugins = Plugins(Config(backend="mock"))
    if as_json:
        _show.print_json([each._asdict() for some in (plugins.loaded, plugins.failures) for each in some])
    else:
        rows = [(each.name, each.distribution, "loaded", ", ".join(each.hooks)) for each in plugins.loaded]
        failed = [(each.name, each.distribution, "failed", each.reason) for each in plugins.failures]
        _show.print_table(("plugin", "package", "status", "hooks, or why it failed"), [*rows, *failed])
    raise SystemExit(1 if plugins.failures else 0)
