"""`replicate-kit files verify`: are the stored files what their records say?"""

from __future__ import annotations

import json

import click

__all__ = ["add_to"]


def add_to(cli: click.Group) -> None:
    """Add the commands to the group `files`, which is made where there is none."""
    files = cli.commands.get("files")
    if not isinstance(files, click.Group):
        files = click.Group("files", help="Look after stored output files.", short_help="Check stored files.")
        cli.add_command(files)
    files.add_command(verify)


@click.command(short_help="Compare stored files with their manifest.")
@click.argument("folder")
@click.option("--quick", is_flag=True, help="Compare sizes alone, without reading the files.")
@click.option(
    "--storage-options", metavar="JSON", default="{}", help="What the filesystem needs, as a JSON object."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def verify(folder: str, quick: bool, storage_options: str, as_json: bool) -> None:
    """Compare the files in FOLDER, which may be any fsspec URL, with the manifest beside them.

    Prints those that are missing or differ, and exits with 1 if there are any. The manifest is kept where
    files were stored with save_to=SaveTo(FOLDER, manifest=True).
    """
    from replicate_kit_fsspec import manifest

    bad, count = 0, 0
    for verdict in manifest.verify(folder, _options(storage_options), quick=quick):
        count += 1
        bad += verdict.problem is not None
        if as_json:
            click.echo(
                json.dumps({"problem": verdict.problem, "name": verdict.name, **verdict.file.to_json()})
            )
        elif verdict.problem is not None:
            click.echo(f"{verdict.name}: {verdict.problem}")
    click.echo(f"{count} files, {bad} of them missing or changed.", err=True)
    raise SystemExit(1 if bad else 0)


def _options(text: str) -> dict[str, object]:
    """Read the storage options."""
    try:
        options = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}", param_hint="--storage-options") from None
    if not isinstance(options, dict):
        raise click.BadParameter("is not a JSON object", param_hint="--storage-options")
    return options
