"""How far a run is, on standard error: a bar on a terminal, a line now and then elsewhere, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from replicate_kit._formats.wording import counted
from replicate_kit.cli._cells import as_json
from replicate_kit.cli._logs import is_json
from replicate_kit.errors import MissingExtraError

if TYPE_CHECKING:
    from replicate_kit.batch import Progress

__all__ = ["WAYS", "Lines", "shown_as"]

WAYS = ("auto", "lines", "json", "off")
"""How the progress may be shown: `auto` is a bar on a terminal, and elsewhere lines once a run takes its time."""

_NOW_AND_THEN = 10.0  # seconds between two lines
_IN_LOGS = 5.0  # the same where a log collector reads them


def shown_as(
    way: str, label: str | None = None, model: str | None = None
) -> bool | Callable[[Progress], None] | None:
    """Give what `Client.map` shows its progress by."""
    if is_json() and way != "off":
        return Lines(partial(_as_record, label, model), every=_IN_LOGS)
    if way == "json":
        return Lines(partial(_as_object, label))
    if way == "lines":
        if find_spec("tqdm") is None:
            raise MissingExtraError("--progress lines", "progress")
        return Lines(_as_text)
    if way == "auto" and not sys.stderr.isatty() and find_spec("tqdm") is not None:
        return Lines(_as_text, whole=False)
    return None if way == "auto" else False


class Lines:
    """Writes a line now and then in a run; if all of it is wanted, one at its beginning and its end, too."""

    def __init__(
        self, write: Callable[[Progress], str], *, whole: bool = True, every: float = _NOW_AND_THEN
    ) -> None:
        self._write, self._whole, self._every = write, whole, every
        self._next = 0.0 if whole else every

    def __call__(self, progress: Progress) -> None:
        """Write it, if it is time to."""
        ends = self._whole and progress.finished
        if not progress.total or not (ends or progress.seconds >= self._next):
            return
        self._whole = self._whole and not ends
        self._next = float("inf") if progress.finished else progress.seconds + self._every
        with suppress(OSError, ValueError):  # where nobody listens any more, the run goes on all the same
            click.echo(self._write(progress), err=True)


def _as_text(progress: Progress) -> str:
    """Write it for people."""
    from replicate_kit.batch._runs.display import as_line

    return as_line(progress)


def _as_record(label: str | None, model: str | None, progress: Progress) -> str:
    """Write it for log collectors."""
    message = f"{progress.done} of {counted(progress.total, 'row')} done, {progress.failed} failed"
    known = {"event": "progress", "message": message, "model": model, "label": label}
    return as_json({**known, **asdict(progress), "remaining": progress.remaining})


def _as_object(label: str | None, progress: Progress) -> str:
    """Write it for programs, which tell it from what else is on standard error by its first letter."""
    return as_json({"event": "progress", "label": label, **asdict(progress), "remaining": progress.remaining})
