"""Groups whose commands answer to more than one name: those of Replicate's own command line, singular and plural."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from replicate_kit._formats.wording import did_you_mean

__all__ = ["Group"]


class Group(click.Group):
    """A group that knows other names of its commands, which its help leaves out, and says which one was meant.

    `elsewhere` says what to do instead of commands that are somebody else's.
    """

    def __init__(
        self,
        *args: Any,
        aliases: Mapping[str, str] | None = None,
        elsewhere: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.aliases, self.elsewhere = dict(aliases or {}), dict(elsewhere or {})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command by one of its names; None if there is none."""
        return self.named(ctx, self.aliases.get(cmd_name, cmd_name))

    def named(self, ctx: click.Context, name: str) -> click.Command | None:
        """Find a command by its first name; None if there is none."""
        return super().get_command(ctx, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that arguments begin with, or say which was meant."""
        if not self.get_command(ctx, args[0]) and not args[0].startswith("-"):
            hint = f" {self.elsewhere[args[0]]}" if args[0] in self.elsewhere else ""
            hint = hint or did_you_mean(args[0], [*self.list_commands(ctx), *self.aliases])
            hint = hint or f" `{_typed(ctx)} --help` lists what there is."
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


def _typed(ctx: click.Context) -> str:
    """Write a group as it is typed, whatever the program was started as."""
    return "replicate-kit" if ctx.parent is None else f"{_typed(ctx.parent)} {ctx.info_name}"
