"""The command line: `replicate-kit …`, one module a command.

>>> from click.testing import CliRunner
>>> from replicate_kit.cli import cli
>>> CliRunner().invoke(cli, ["run", "demo/flaky", "prompt=sea", "failure_rate=1", "--backend", "mock"]).exit_code
1
"""

from __future__ import annotations

from importlib.util import find_spec

from replicate_kit import __version__
from replicate_kit.errors import MissingExtraError

try:
    import click

    if (
        find_spec("rich") is None
    ):  # it is loaded once there is something to print; that it is missing is told at once
        raise ModuleNotFoundError(name="rich")
except ModuleNotFoundError as error:
    if error.name not in ("click", "rich"):
        raise
    raise MissingExtraError(f"The command line ({error.name})", "cli") from None

from replicate_kit.cli._group import CommandLine
from replicate_kit.cli._logs import log_json
from replicate_kit.cli._options import debug

__all__ = ["cli"]


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="replicate-kit")
@debug
@log_json
def cli() -> None:
    """Run AI models on Replicate, on one input or on a table of them.

    \b
    Try it without a token or a network:
      replicate-kit demo
      replicate-kit run demo/painter prompt="a wombat at sea" --backend mock

    Predictions run on Replicate with the token in REPLICATE_API_TOKEN, or the one that `replicate-kit auth login`
    kept, or wherever --backend or REPLICATE_KIT_BACKEND says.

    \b
    Completion for your shell (bash, zsh or fish):
      eval "$(replicate-kit completion bash)"
    """
