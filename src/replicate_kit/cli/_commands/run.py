"""`replicate-kit run`: one prediction, its output printed or saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from replicate_kit.cli import _show
from replicate_kit.cli._asking import created, model_and_input, prepared
from replicate_kit.cli._commands.api._jobs import show
from replicate_kit.cli._commands.stream import print_events
from replicate_kit.cli._options import (
    SECONDS,
    as_json,
    cancel_after,
    check_input,
    check_needed,
    connected,
    is_fleeting,
    is_given,
    storage_options,
    web,
)
from replicate_kit.cli._paths import read_location

if TYPE_CHECKING:
    from rich.status import Status

    from replicate_kit.client import Client
    from replicate_kit.resources._running.running import Runnable
    from replicate_kit.resources.predictions import Prediction

__all__ = ["command"]

_OWN_FOLDER = "./{prediction_id}/{index}{ext}"
"""Where --save saves."""

_HOLD = 1  # seconds for which the API may hold its answer: until it comes there is no progress, and no id to cancel


@click.command("run", short_help="Run a model and print its output.")
@model_and_input
@click.option(
    "--save-to",
    "--output-directory",
    "save_to",
    metavar="FOLDER",
    callback=read_location,
    help="Save output files in this folder or fsspec URL.",
)
@click.option("--save", is_flag=True, help="Save output files in a folder with the prediction's id.")
@storage_options
@click.option("--wait/--no-wait", default=True, show_default=True,
              help="Whether to wait for the output; else the prediction is shown.")  # fmt: skip
@click.option("--stream", is_flag=True, help="Print the output while the model works, as `stream` does.")
@web
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Cancel the prediction after so long.")
@cancel_after
@check_input
@as_json
@connected
def command(
    client: Client,
    model: str,
    inputs: tuple[str, ...],
    given: str | None,
    as_json: bool,
    save: bool,
    wait: bool,
    stream: bool,
    web: bool,
    **options: Any,
) -> None:
    """Run MODEL (owner/name, owner/name:version or deployments/owner/name) and print its output.

    \b
    NAME=VALUE   an input, converted to the type that the model wants; twice makes a list
    NAME=@FILE   a file to upload, or the text in it where the model wants text
    NAME:=JSON   an input as JSON
    {{.output}}  in a value: what the prediction that is piped in has there

    \b
    replicate-kit run demo/painter prompt="a wombat" num_outputs=2 --save-to pictures --backend mock
    """
    if save and options["save_to"] is None:
        options["save_to"] = _OWN_FOLDER
    if options["save_to"] is None:
        check_needed(
            {"storage_options": "--storage-options"},
            without="without --save-to, which says where files are saved. Add it, or leave this out.",
        )
    if not wait or stream or web:
        _check_left(stream=stream, wait=wait, web=web, **options)
        kept = {name: options[name] for name in ("cancel_after", "check_input")}
        runnable, input = prepared(client, model, inputs, given)
        if stream:
            print_events(client, model, input, as_json=as_json, **kept)
        else:
            show(created(client, runnable, input, **kept), as_json=as_json, web=web)
        return
    runnable, input = prepared(client, model, inputs, given)
    if _is_text(runnable) and not as_json and not options["save_to"] and options["timeout"] is None:
        chunks = client.run(model, input, **options)
        with _show.found_again(chunks.prediction):
            _print_chunks(chunks)
        return
    with _waiting(model) as status:
        progress = _Progress(status, model)
        output = client.run(model, input, progress=progress, wait=_HOLD, **options)
    with _show.found_again(progress.prediction):
        if as_json:
            # What a model made comes as it does without --json: a text whole, files where they are now.
            _show.print_json({**(progress.prediction or {}), "output": output})
        else:
            _print(output)
    if (
        is_fleeting(client.session)
        and not options["save_to"]
        and runnable.schema
        and runnable.schema.has_files
    ):
        _show.notes().print(
            "Files of the mock last as long as this command. Keep them with --save-to FOLDER."
        )


def _check_left(*, stream: bool, wait: bool, web: bool, **_: Any) -> None:
    """Refuse what has nothing to do where nobody waits for the output, or where it is printed as it comes."""
    which = "--stream" if stream else "--no-wait" if not wait else "--web"
    if stream and (web or not wait):
        raise click.UsageError(
            f"--stream waits for the output; {'--web' if web else '--no-wait'} does not. Pass one."
        )
    if web and wait and is_given("wait"):
        raise click.UsageError("--web opens the prediction's page, and does not wait. Leave out --wait.")
    saving = "--save" if is_given("save") else "--save-to"
    refused = {"save": saving, "save_to": saving, "timeout": "--timeout"}
    check_needed(refused, without=f"with {which}, which takes no output. Leave one of the two out.")


def _is_text(runnable: Runnable) -> bool:
    """Whether the output is one text that comes in chunks."""
    return runnable.is_iterator and runnable.is_concatenated


def _print_chunks(chunks: Any) -> None:
    """Print a text while the model writes it."""
    for chunk in chunks:
        click.echo(chunk, nl=False)
    click.echo()


def _print(output: Any) -> None:
    """Print an output: texts and files as lines, anything deeper as JSON."""
    flat = output if isinstance(output, list) else [output]
    if any(isinstance(each, dict | list) for each in flat):
        _show.print_json(output)
        return
    for each in flat:
        click.echo("" if each is None else str(each))


def _waiting(model: str) -> Status:
    """Show on a terminal that something is going on."""
    return _show.working(f"{model} is starting…")


class _Progress:
    """Shows what is known of the prediction whenever it was looked at."""

    def __init__(self, status: Status, model: str) -> None:
        self._status, self._model = status, model
        self.prediction: Prediction | None = None

    def __call__(self, prediction: Prediction) -> None:
        self.prediction = prediction
        done = "" if prediction.progress is None else f", {prediction.progress:.0%} done"
        self._status.update(f"{self._model}: {prediction.status}{done}")
