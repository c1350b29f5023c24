"""`replicate-kit plugins new`: the package of a plugin, to begin with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from replicate_kit.cli import _scaffold
from replicate_kit.cli._options import debug

__all__ = ["new"]


def _kinds(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each kind."""
    for kind, meaning in reversed(_scaffold.KINDS.items()):
        function = click.option(f"--{kind}", is_flag=True, help=f"It adds {meaning}.")(function)
    return function


@click.command("new", short_help="Write the package of a new plugin.")
@click.argument("name")
@_kinds
@click.option(
    "--into", type=click.Path(path_type=Path), help="The folder to make. [default: ./replicate-kit-NAME]"
)
@debug
def new(name: str, into: Path | None, **kinds: bool) -> None:
    """Write a package that works, with tests that pass, to be changed into yours.

    \b
      replicate-kit plugins new boards --store --resource

    Say with options what it adds; several go together. An existing folder is not written to.
    """
    chosen = [kind for kind in _scaffold.KINDS if kinds[kind]]
    if not chosen:
        raise click.UsageError(
            f"Say what the plugin adds: {', '.join(f'--{kind}' for kind in _scaffold.KINDS)}. Several go together."
        )
    names = _scaffold.names_of(name)
    folder = into or Path(names.distribution)
    files = _scaffold.write(folder, names, chosen)
    click.echo(f"{names.distribution} is in {folder}:")
    for file in files:
        click.echo(f"  {file}")
    click.echo(
        "\nTry it:\n"
        f"  cd {folder}\n"
        "  python -m venv .venv && . .venv/bin/activate\n"
        "  pip install --upgrade pip\n"
        "  pip install --group dev -e .\n"
        "  pytest\n"
        "\nThen change it, and choose a licence: "
        "https://github.com/replicate-kit/replicate-kit/blob/main/docs/plugins.md"
    )
