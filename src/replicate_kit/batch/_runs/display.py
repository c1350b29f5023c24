"""Shows how far a run is: a bar of tqdm's on a terminal and in a notebook, a line now and then in a log."""

from __future__ import annotations

import logging
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import Any, Protocol

from replicate_kit._formats.wording import money
from replicate_kit._runtime.foreign_code import described, said_of
from replicate_kit.batch._results.progress import Progress
from replicate_kit.errors import MissingExtraError

__all__ = ["Show", "as_line", "shower"]

log = logging.getLogger("replicate_kit")

_PATIENCE = 1.0  # seconds; a run that is over by then shows nothing that nobody asked for
_NOW_AND_THEN = 10.0  # seconds between two lines in a log
_ROWS = 20  # of bars above each other at most


class Show(Protocol):
    """Shows a progress; `last` is the final one."""

    def __call__(self, progress: Progress, last: bool, /) -> None:
        """Show it."""


def shower(wanted: bool | Callable[[Progress], None] | None) -> Show | None:
    """What shows the progress: a function of the caller's, or what suits the place; None for nothing.

    None (the default) shows it where somebody looks, in a notebook and on a terminal, if tqdm is installed. True
    raises `MissingExtraError` without it.
    """
    if callable(wanted):
        return _told(wanted)
    watched, able = _in_notebook() or _is_terminal(), find_spec("tqdm") is not None
    if wanted and not able:
        raise MissingExtraError("progress=True", "progress")
    if wanted:
        return _Shown(_bar if watched else _Lines, 0.0)
    return _Shown(_bar, _PATIENCE) if wanted is None and watched and able else None


def _told(function: Callable[[Progress], None]) -> Show:
    """Tell a function of the caller's; what it raises stops the run, and says whose it is."""

    def tell(progress: Progress, last: bool, /) -> None:
        with said_of("progress="):
            function(progress)

    return tell


def _is_terminal() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def _in_notebook() -> bool:
    """Whether a notebook's kernel runs us."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


class _Meter(Protocol):
    """What can be seen."""

    def show(self, progress: Progress, /) -> None: ...

    def close(self) -> None: ...


class _Shown:
    """Shows a meter from when it is worth it to the end; what goes wrong with it is no matter of the run's."""

    def __init__(self, make: Callable[[Progress], _Meter], patience: float) -> None:
        self._make, self._patience = make, patience
        self._meter: _Meter | None = None
        self._over = False

    def __call__(self, progress: Progress, last: bool, /) -> None:
        over = True  # as when drawing fails, or Ctrl-C comes in the middle of it
        try:
            self._draw(progress, last)
            over = last
        except Exception as error:
            with suppress(Exception):  # a log may go to the same terminal
                log.warning("The progress cannot be shown any more (%s). The run goes on.", described(error))
        finally:
            if over:
                self._end()

    def _draw(self, progress: Progress, last: bool) -> None:
        """Show it, if it is time to."""
        if self._over or not progress.total:
            return
        if self._meter is None and (not self._patience or (progress.seconds > self._patience and not last)):
            self._meter = self._make(progress)
        if self._meter is not None:
            self._meter.show(progress)

    def _end(self) -> None:
        """Leave what is shown as it is."""
        self._over, meter, self._meter = True, self._meter, None
        with suppress(Exception):
            if meter is not None:
                meter.close()


class _Lines:
    """A line now and then, for logs."""

    def __init__(self, progress: Progress) -> None:
        self._line, self._written, self._next = "", "", 0.0

    def show(self, progress: Progress, /) -> None:
        """Write it, if the last line is some time ago."""
        self._line = as_line(progress)
        if time.monotonic() >= self._next:
            self._write()

    def close(self) -> None:
        """Write how it ended."""
        if self._line != self._written:
            self._write()

    def _write(self) -> None:
        """Write the line."""
        self._written, self._next = self._line, time.monotonic() + _NOW_AND_THEN
        sys.stderr.write(self._line + "\n")
        sys.stderr.flush()


def as_line(progress: Progress) -> str:
    """Write it in a line, as tqdm does.

    >>> from replicate_kit.batch import Progress
    >>> from replicate_kit.batch._runs.display import as_line
    >>> as_line(Progress(total=10, done=4, seconds=2.0, rate=2.0, in_flight=3))
    '40% 4/10 [00:02<00:03,  2.00row/s, 3 in flight]'
    """
    from tqdm.std import tqdm

    return tqdm.format_meter(**_figures(progress), ncols=0).strip()


def _figures(progress: Progress) -> dict[str, Any]:
    """What tqdm is to show, by its own names. What matters most comes first: a narrow terminal cuts the rest."""
    parts = [
        f"{progress.failed} failed" if progress.failed else "",
        f"{progress.skipped} skipped" if progress.skipped else "",
        "" if progress.cost is None else f"cost {money(progress.cost)}",
        f"{progress.in_flight} in flight" if progress.in_flight else "",
        f"{progress.cached} cached" if progress.cached else "",
    ]
    return {
        "n": progress.done,
        "total": progress.total,
        "elapsed": progress.seconds,
        "rate": progress.rate,
        "unit": "row",
        "postfix": ", ".join(filter(None, parts)),
    }


def _bar(progress: Progress) -> _Meter:
    """Make a bar, in a notebook as wide as the cell. What goes to stderr there is painted red."""
    file = sys.stdout if _in_notebook() else sys.stderr
    bar: _Meter = _bar_type()(progress, file=file, ncols="100%", nrows=_ROWS)
    return bar


@cache
def _bar_type() -> Any:
    """Load tqdm, which is optional, and have it show our counts: its own do not know what is cached."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where ipywidgets is missing tqdm says so, and draws its bar as text
        from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]  # generic in its stubs only
        """A bar that is drawn when we say so."""

        monitor_interval = 0  # so that no thread watches over it

        def __init__(self, progress: Progress, **options: Any) -> None:
            self.progress = progress
            super().__init__(total=progress.total, **options)

        @property
        def format_dict(self) -> Any:
            """What is shown; tqdm takes terminals that do not know their width to have none, and draws nothing."""
            width = None if self.gui else shutil.get_terminal_size().columns - 1
            return {**super().format_dict, **_figures(self.progress), "ncols": width}

        def show(self, progress: Progress) -> None:
            """Show how far it is."""
            self.progress, self.n = progress, progress.done
            self.refresh()

        def refresh(self, *_: Any, **__: Any) -> None:
            """Draw. Unlike tqdm's own, it cannot leave the lock of all bars locked when that fails."""
            with self.get_lock():  # type: ignore[no-untyped-call]
                if not self.disable:
                    self.display()

    return Bar
