"""How a command tells what went wrong: one message, and an exit code."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

import click

from replicate_kit.cli._options import is_fleeting
from replicate_kit.cli._paths import said_of
from replicate_kit.cli._wording import as_typed
from replicate_kit.errors import ConfigError, InputError, InvalidReference, ModelError, ReplicateError

__all__ = ["told"]

_WRONG = (
    ConfigError,
    InputError,
    InvalidReference,
)  # what was typed or set cannot be used; nothing was created
_USAGE = 2  # as click ends for an option that it refuses
_INTERRUPTED = 130  # what shells expect of a program that Ctrl-C ended
_TERMINATED = 143  # and of one that SIGTERM ended


@contextlib.contextmanager
def told(ctx: click.Context) -> Iterator[None]:
    """Print what went wrong as one message, without a traceback unless --debug asks for it."""
    try:
        yield
    except SystemExit as error:
        if error.code == _TERMINATED and not ctx.find_root().meta.get("replicate_kit.debug"):
            _tell("Terminated.", error, ctx)
        raise
    except (ReplicateError, OSError, KeyboardInterrupt) as error:
        piped = isinstance(error, OSError) and error.errno == errno.EPIPE  # click ends quietly then
        if piped or ctx.find_root().meta.get("replicate_kit.debug"):
            raise
        interrupted = isinstance(error, KeyboardInterrupt)
        _tell("Interrupted." if interrupted else f"Error: {_text(error, ctx)}", error, ctx)
        ctx.exit(_INTERRUPTED if interrupted else _USAGE if isinstance(error, _WRONG) else 1)


def _tell(text: str, error: BaseException, ctx: click.Context) -> None:
    """Print what happened, and what there is to say of it."""
    click.secho(text, fg="red", err=True)
    for note in getattr(error, "__notes__", ()):
        if said := as_typed(note, ctx.invoked_subcommand):
            click.echo(said, err=True)


def _text(error: BaseException, ctx: click.Context) -> str:
    """Say what an error says, and where its prediction can be looked at."""
    text = (
        f"the model failed: {error}"
        if isinstance(error, ModelError)
        else as_typed(said_of(error) if isinstance(error, OSError) else str(error), ctx.invoked_subcommand)
    )
    prediction = getattr(error, "prediction", None)
    if prediction is not None and not is_fleeting(prediction.session):
        text += f"\nLook at it with: replicate-kit predictions get {prediction.id}"
    return text
