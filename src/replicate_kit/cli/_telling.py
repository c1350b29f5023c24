"""How a command tells what went wrong: one message, as a JSON object too where JSON was asked for, and an exit code."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import Any

import click

from replicate_kit.cli._logs import is_json, say
from replicate_kit.cli._options import is_fleeting
from replicate_kit.cli._paths import said_of
from replicate_kit.cli._show import is_json_expected, is_output_taken, print_json
from replicate_kit.cli._wording import as_typed
from replicate_kit.errors import (
    APIError,
    ConfigError,
    InputError,
    InvalidReference,
    ModelError,
    ReplicateError,
)

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
            _tell("Terminated.", error, ctx, _TERMINATED)
        raise
    except click.ClickException as error:  # click itself prints the message
        _print_error(error, error.format_message(), error.exit_code)
        raise
    except click.Abort as error:
        _print_error(error, "A question was not answered with yes. Pass --yes to answer it.", 1)
        raise
    except (ReplicateError, OSError, KeyboardInterrupt) as error:
        piped = isinstance(error, OSError) and error.errno == errno.EPIPE  # click ends quietly then
        if piped or ctx.find_root().meta.get("replicate_kit.debug"):
            raise
        interrupted = isinstance(error, KeyboardInterrupt)
        code = _INTERRUPTED if interrupted else _USAGE if isinstance(error, _WRONG) else 1
        _tell("Interrupted." if interrupted else f"Error: {_text(error, ctx)}", error, ctx, code)
        ctx.exit(code)


def _tell(text: str, error: BaseException, ctx: click.Context, code: int) -> None:
    """Print what happened, and what there is to say of it."""
    notes = [as_typed(note, ctx.invoked_subcommand) for note in getattr(error, "__notes__", ())]
    _print_error(error, text.removeprefix("Error: "), code, notes=[note for note in notes if note])
    if is_json():
        _say(text, error, code, [note for note in notes if note])
        return
    click.secho(text, fg="red", err=True)
    for note in filter(None, notes):
        click.echo(note, err=True)


def _say(text: str, error: BaseException, code: int, notes: list[str]) -> None:
    """Write what happened as one object of the log."""
    prediction = getattr(error, "prediction", None)
    fields = {"kind": type(error).__name__, "exit_code": code}
    if prediction is not None:
        fields |= {"prediction": prediction.id, "model": prediction.model}
    say("error", "\n".join([text.removeprefix("Error: "), *notes]), level="error", **fields)


def _print_error(error: BaseException, message: str, code: int, **more: Any) -> None:
    """Print an error as JSON where JSON was asked for, unless that would be a second document."""
    if not is_json_expected():
        return
    said = {name: getattr(error, name, None) for name in ("status", "type", "title", "detail", "instance")}
    known = {
        "kind": type(error).__name__,
        "message": message,
        **(said if isinstance(error, APIError) else {}),
        "prediction": getattr(getattr(error, "prediction", None), "id", None),
        **more,
        "exit_code": code,
    }
    with contextlib.suppress(OSError):  # which may be what went wrong
        found = {name: each for name, each in known.items() if each not in (None, [])}
        print_json({"error": found}, indent=None, err=is_output_taken())


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
