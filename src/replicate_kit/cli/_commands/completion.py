"""`replicate-kit completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import click

__all__ = ["command"]

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", short_help="Print the completion for a shell.")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what SHELL runs to complete commands and options.

    \b
    eval "$(replicate-kit completion bash)"                # in ~/.bashrc; in ~/.zshrc with zsh
    replicate-kit completion fish > ~/.config/fish/completions/replicate-kit.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = ctx.find_root().command
    click.echo(kind(root, {}, "replicate-kit", "_REPLICATE_KIT_COMPLETE").source())
