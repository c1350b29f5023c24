"""`replicate-kit plugins`: what is loaded, what each adds, and what failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from traceback import format_exception
from typing import TYPE_CHECKING

import click

from replicate_kit.cli import _show
from replicate_kit.cli._aliases import Group
from replicate_kit.cli._commands.plugins_new import new
from replicate_kit.cli._group import OURS
from replicate_kit.cli._options import as_json, debug

if TYPE_CHECKING:
    from replicate_kit._plugins.listing import Listed

__all__ = ["command"]

_HOOKS = {
    "resources": "replicate_resources",
    "backends": "replicate_backends",
    "layers": "replicate_transport_layer",
    "stores": "replicate_store_output",
    "commands": "replicate_commands",
}
"""The hooks that need no mention where it is told what they add."""


@click.group(
    "plugins",
    cls=Group,
    invoke_without_command=True,
    short_help="List what plugins add, and those that fail.",
)
@as_json
@debug
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List what installed packages add: plugins, accessors of dataframes, and stores of journals.

    Each hook that adds something is called, and each package is loaded: what fails is shown with its reason (--debug:
    and its traceback). Exits with 1 if something failed. Set REPLICATE_KIT_DISABLE_PLUGINS=name,name to leave plugins
    out.
    """
    if context.invoked_subcommand is not None:
        return
    from replicate_kit._plugins.listing import listed
    from replicate_kit.client import OWN_NAMES

    found = listed(lambda plugins: plugins.add_commands(click.Group(), OURS), OWN_NAMES)
    if as_json:
        _show.print_json([_for_programs(each) for each in found])
    else:
        rows = [(each.name, each.distribution, each.status, _said(each)) for each in found]
        _show.print_table(("plugin", "package", "status", "adds, or why it failed"), rows)
    failed = [each for each in found if each.status == "failed"]
    if context.find_root().meta.get("replicate_kit.debug"):
        _show.remarks("".join(format_exception(error)) for each in failed for error in each.errors)
    _show.remarks(_advice(failed))
    raise SystemExit(1 if failed else 0)


def _for_programs(each: Listed) -> dict[str, object]:
    """What is known of one, without what only Python has."""
    return {name: value for name, value in each._asdict().items() if name != "errors"}


def _said(each: Listed) -> str:
    """Say in one cell what a package adds, or why it does not."""
    if each.reason:
        return each.reason
    adds = [f"{noun} {', '.join(names)}" for noun, names in each.adds.items() if names]
    told = {_HOOKS.get(noun) for noun, names in each.adds.items() if names}
    others = [hook for hook in each.hooks if hook not in told]
    return "; ".join([*adds, *([f"hooks {', '.join(others)}"] if others else [])])


def _advice(failed: Sequence[Listed]) -> Iterator[str]:
    """Say what to do about what failed."""
    if failed:
        packages = sorted({each.distribution for each in failed})
        yield f"Update or uninstall {', '.join(packages)}. With --debug this shows where each failed."
    if names := sorted({each.name for each in failed if each.kind == "plugin"}):
        yield f"Or set REPLICATE_KIT_DISABLE_PLUGINS={','.join(names)} to do without."


command.add_command(new)
