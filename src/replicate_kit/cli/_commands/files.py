"""`replicate-kit files verify`: are the stored files what their records say?"""

from __future__ import annotations

from pathlib import Path

import click

from replicate_kit.cli import _show
from replicate_kit.cli._options import as_json, debug, storage_options
from replicate_kit.cli._paths import read_location

__all__ = ["command"]


@click.group("files", short_help="Check stored output files.")
def command() -> None:
    """Look after stored output files."""


def _read_folder(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Check a folder that must be there, where it is one of this machine."""
    from replicate_kit._formats.store_urls import local_path

    read_location(ctx, param, value)
    folder = local_path(value)
    if folder is not None and not Path(folder).is_dir():
        raise click.BadParameter(f"there is no folder {folder!r}. Name the one that --save-to named.")
    return value


@command.command(short_help="Compare stored files with their manifest.")
@click.argument("folder", callback=_read_folder)
@click.option("--quick", is_flag=True, help="Compare sizes alone, without reading the files.")
@storage_options
@as_json
@debug
def verify(folder: str, quick: bool, storage_options: dict[str, object], as_json: bool) -> None:
    """Compare the files in FOLDER, which may be the URL of a store, with the manifest beside them.

    Prints those that are missing or differ, and exits with 1 if there are any. The manifest is kept where
    files were stored with save_to=SaveTo(FOLDER, manifest=True).
    """
    from replicate_kit._plugins.registry import Plugins
    from replicate_kit.config import Config
    from replicate_kit.stores import manifest

    bad, count = 0, 0
    location = Plugins(Config(backend="mock")).hooks.open_folder(folder, storage_options or {})
    for verdict in manifest.verify(location, quick=quick):
        count += 1
        bad += verdict.problem is not None
        if as_json:
            line = {"problem": verdict.problem, "name": verdict.name, **verdict.file.to_json()}
            _show.print_json(line, indent=None)
        elif verdict.problem is not None:
            click.echo(f"{verdict.name}: {verdict.problem}")
    click.echo(f"{count} files, {bad} of them missing or changed.", err=True)
    raise SystemExit(1 if bad else 0)
