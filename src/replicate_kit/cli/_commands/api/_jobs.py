"""What the commands of predictions and trainings have in common: showing some, and waiting for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from replicate_kit._formats.redacting import without_secrets
from replicate_kit.cli import _show
from replicate_kit.cli._options import AMOUNT, as_json, connected, is_fleeting, web

if TYPE_CHECKING:
    from replicate_kit.client import Client
    from replicate_kit.resources._jobs.lifecycle import Job

__all__ = ["add_commands", "open_page", "show", "show_list", "wait_for"]


def add_commands(group: click.Group, kind: str) -> None:
    """Add what is alike for predictions and trainings, to the group of a `kind`: to look at one, wait, and cancel."""
    one = kind.removesuffix("s")

    def get(client: Client, id: str) -> Job:
        found: Job = getattr(client, kind).get(id)
        return found

    @group.command("get", help=f"Show the {one} with this ID.")
    @click.argument("id")
    @web
    @as_json
    @connected
    def get_one(client: Client, id: str, web: bool, as_json: bool) -> None:
        show(get(client, id), as_json=as_json, web=web)

    @group.command("wait", help=f"Wait until the {one} with this ID has ended, and show it.")
    @click.argument("id")
    @click.option("--timeout", type=AMOUNT, metavar="SECONDS", help=f"Wait no longer; the {one} runs on.")
    @as_json
    @connected
    def wait_for_one(client: Client, id: str, timeout: float | None, as_json: bool) -> None:
        wait_for(get(client, id), timeout, as_json=as_json)

    @group.command(
        "watch",
        help=f"Tell how the {one} with this ID goes, with its logs, until it has ended; then show it.",
    )
    @click.argument("id")
    @click.option("--timeout", type=AMOUNT, metavar="SECONDS", help=f"Watch no longer; the {one} runs on.")
    @as_json
    @connected
    def watch_one(client: Client, id: str, timeout: float | None, as_json: bool) -> None:
        wait_for(get(client, id), timeout, as_json=as_json, told=True)

    @group.command(
        "cancel", help=f"Cancel the {kind} with these IDs; those that have ended stay as they are."
    )
    @click.argument("ids", nargs=-1, required=True, metavar="ID...")
    @as_json
    @connected
    def cancel_some(client: Client, ids: tuple[str, ...], as_json: bool) -> None:
        _cancel(getattr(client, kind).cancel, ids, as_json=as_json)


def show_list(jobs: Iterable[Job], limit: int, *, as_json: bool, none: str) -> None:
    """Print some of those that the API lists; `none` says that there are none."""
    found = islice(jobs, limit)
    if as_json:
        _show.print_json([dict(each) for each in found])
        return
    rows = list(map(_row, found))
    if rows:
        _show.print_table(("id", "model", "status", "created", "seconds"), rows)
    else:
        click.echo(none, err=True)


def show(job: Job, *, as_json: bool, web: bool = False) -> None:
    """Print one, and open its page where that was asked for."""
    _show.print_json(dict(job)) if as_json else _show.print_facts(_facts(job))
    if web:
        open_page(job)


def open_page(job: Job) -> None:
    """Open the page on which people look at one."""
    _show.open_page(job.urls.get("web"))


def _cancel(cancel: Callable[[str], Job], ids: Iterable[str], *, as_json: bool) -> None:
    """Cancel some, and print what each is then: a line for each as soon as it is known, of JSON where that is asked."""
    for id in ids:
        job = cancel(id)
        _show.print_json(dict(job), indent=None) if as_json else click.echo(f"{id}\t{job.status}")


def wait_for(job: Job, timeout: float | None, *, as_json: bool, told: bool = False) -> None:
    """Wait until one has ended, and print it; `told` has its statuses and logs printed meanwhile.

    Raises what tells of one that has no output.
    """
    kind, tell = type(job).__name__.lower(), _Teller(job) if told else None
    with _show.working(f"{job.id} is {job.status}…"):
        try:
            job.wait(timeout, progress=tell)
        except KeyboardInterrupt as reason:
            if not is_fleeting(job.session):
                reason.add_note(
                    f"The {kind} {job.id} runs on. Stop it with: replicate-kit {kind}s cancel {job.id}"
                )
            raise
    show(job, as_json=as_json)
    job.raise_for_status()


class _Teller:
    """Prints what is new of one whenever it was looked at."""

    def __init__(self, job: Job) -> None:
        self._status, self._logs = "", ""
        self(job)

    def __call__(self, job: Job) -> None:
        logs = job.without_secrets(job.logs)
        # What logs have is mostly added to; where it was written anew, all of it is new.
        new = logs.removeprefix(self._logs).strip("\n")
        if job.status != self._status:
            click.echo(f"{job.id}: {job.status}", err=True)
        if new:
            click.echo(new, err=True)
        self._status, self._logs = job.status, logs


def _row(job: Job) -> tuple[object, ...]:
    """One row of the list."""
    seconds = job.metrics.get("predict_time")
    taken = f"{seconds:.1f}" if isinstance(seconds, int | float) else seconds or ""
    return job.id, job.model or job.version, job.status, job.created_at, taken


def _facts(job: Job) -> Iterator[tuple[str, object]]:
    """What is worth knowing of one."""
    yield "id", job.id
    yield "model", job.model or job.version
    if destination := dict(job).get("destination"):
        yield "destination", destination
    yield "status", job.status
    yield "created", job.created_at
    yield from (
        (f"input {name}", _show.short(value, 200)) for name, value in without_secrets(job.input).items()
    )
    for name, value in _outputs(job):
        yield name, "(removed)" if job.data_removed else value
    error = job.error and job.without_secrets(str(job.error))
    seconds = job.metrics.get("predict_time")
    yield from ((name, value) for name, value in (("error", error), ("seconds", seconds)) if value)
    if job.logs:
        yield "logs", job.without_secrets(job.logs.rstrip().rpartition("\n")[2])


def _outputs(job: Job) -> Iterator[tuple[str, object]]:
    """What it gave: a text, the items of a list, or what a training has by name."""
    output = getattr(job, "output", None)
    if isinstance(output, list) and output and all(type(each) is str for each in output):
        output = "".join(output)
    if isinstance(output, dict):
        yield from ((f"output {name}", value) for name, value in output.items())
        return
    yield from (("output", each) for each in (output if isinstance(output, list) else [output]))
