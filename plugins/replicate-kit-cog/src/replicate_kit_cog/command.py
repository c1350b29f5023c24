"""The commands `replicate-kit cog …`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import NoReturn

import click


@click.group("cog", short_help="Start and look at Cog servers of your own.")
def command() -> None:
    """Start a model's Cog server on this machine, and look at servers."""


@command.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--python", metavar="PATH", help="The Python that has cog; else the folder's .venv, ours, or python3."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where it listens.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Left out: 5000, or another one if that is taken."
)
def serve(folder: Path, python: str | None, host: str, port: int | None) -> None:
    """Run the model in FOLDER without Docker, for development, until Ctrl-C.

    FOLDER has the model's cog.yaml, or a predict.py with a Predictor. Cog has to be installed: it is started in the
    Python that has it. What the server prints goes to standard error.
    """
    from replicate_kit_cog.serving import model_in, running

    signal.signal(signal.SIGTERM, _end)  # else it would be the end of us, and not of the server
    model = model_in(folder.resolve(), python)
    click.echo(f"Starting {model.predictor} with cog {model.cog} of {model.python}", err=True)
    with running(model, host=host, port=port, log=2) as server:
        if not model.has_schema:
            click.echo(
                "The folder has no .cog/openapi_schema.json, which `cog build` writes: inputs are not checked, and "
                "output does not stream.",
                err=True,
            )
        click.echo(f"Ready at {server.url}. In Python:")
        click.echo(f'  client = replicate_kit.Client(backend="cog", base_url="{server.url}")')
        click.echo("Ctrl-C stops it.")
        try:
            code = server.process.wait()
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            return
    raise click.ClickException(f"The server ended by itself, with {code}. What it printed says why.")


@command.command()
@click.argument("urls", nargs=-1, metavar="[URL]...")
def status(urls: tuple[str, ...]) -> None:
    """Say how servers are, and end with 1 where one cannot be used.

    Without URLs they are those that the environment names: REPLICATE_KIT_COG_SERVERS, or REPLICATE_BASE_URL.
    """
    from replicate_kit.config import Config
    from replicate_kit_cog import locations
    from replicate_kit_cog.serving import looked_at

    servers = [looked_at(url) for url in (locations.urls(urls) if urls else locations.servers_of(Config()))]
    for server in servers:
        health = server.health
        said = "" if health is None else f"{health.status}, Cog {health.coglet or 'before 0.17'}"
        inputs = ", ".join(server.inputs) if server.schema else "unknown, as it has no schema"
        streams = "; streams" if server.streams else ""
        told = (
            f"{said}; inputs: {inputs}{streams}"
            if server.usable
            else f"{said or 'not there'}: {server.fault}"
        )
        click.echo(f"{server.url}  {told}")
    if not all(server.usable for server in servers):
        raise SystemExit(1)


def _end(*signal: object) -> NoReturn:
    sys.exit(143)
