"""The reference of the command line: each command as its help tells it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

__all__ = ["page"]


def page(cli: click.Group) -> str:
    """Write the page of all commands and their options."""
    said = "What `--help` says of each command. [The command line](../command-line.md) tells how to use them."
    return (
        "\n\n".join(["# Every command", said, *_commands(click.Context(cli, info_name="replicate-kit"))])
        + "\n"
    )


def _commands(context: click.Context) -> Iterator[str]:
    """Describe the command of a context, and those below it."""
    command = context.command
    yield f"## {context.command_path}"
    yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    yield _text(command.help or "")
    rows = [
        found for each in command.get_params(context) if (found := each.get_help_record(context)) and found[1]
    ]
    if rows:
        yield "\n".join(
            ["| option | |", "|---|---|", *(f"| `{_cell(name)}` | {_cell(said)} |" for name, said in rows)]
        )
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(click.Context(below, info_name=name, parent=context))


def _text(said: str) -> str:
    """Write a help as Markdown: what click keeps in lines is code."""
    return re.sub(
        r"^\x08\n(.*?)(?=\n\n|\Z)", lambda found: f"```text\n{found[1]}\n```", said, flags=re.M | re.S
    )


def _cell(said: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", said).replace("\n", " ")
