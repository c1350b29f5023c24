"""Shows how far a run is: one line on a terminal's stderr, a bar in a notebook, a few lines in a log."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from replicate_kit.batch.progress import Progress

__all__ = ["Show", "bar_html", "line", "shower"]


class Show(Protocol):
    """Shows a progress; `last` is the final one."""

    def __call__(self, progress: Progress, last: bool, /) -> None:
        """Show it."""


def shower(wanted: bool | Callable[[Progress], None] | None) -> Show | None:
    """What shows the progress: a function of the caller's, or what suits the place; None for nothing.

    None (the default) shows it where somebody looks: in a notebook, and on a terminal.
    """
    if wanted is False:
        return None
    if wanted is None:
        return _Patient(_Notebook() if _in_notebook() else _Terminal()) if _is_watched() else None
    if wanted is True:
        return _Notebook() if _in_notebook() else _Terminal() if _is_terminal() else _Log()
    return _Told(wanted)


def line(progress: Progress) -> str:
    """Say how far it is in one line.

    >>> line(Progress(total=200, done=50, failed=1, cached=20, in_flight=8, seconds=5, rate=10.0, cost=0.25))
    ' 25% 50/200 · 1 failed · 20 cached · 8 in flight · 10/s · cost 0.25 · 15 s left'
    """
    parts = [f"{_share(progress):4.0%} {progress.done}/{progress.total}"]
    parts += [
        f"{count} {what}"
        for count, what in (
            (progress.failed, "failed"),
            (progress.cached, "cached"),
            (progress.in_flight, "in flight"),
        )
        if count
    ]
    if not progress.finished and progress.rate:
        parts.append(f"{progress.rate:.3g}/s")
    if progress.cost is not None:
        parts.append(f"cost {progress.cost:.2f}")
    if progress.finished:
        parts.append(_duration(progress.seconds))
    elif progress.remaining is not None:
        parts.append(f"{_duration(progress.remaining)} left")
    return " · ".join(parts)


def bar_html(progress: Progress) -> str:
    """The same as HTML, with a bar."""
    color = "#c0392b" if progress.failed else "#2e86c1"
    return (
        f'<div style="font-family: sans-serif; font-size: 90%">'
        f'<div style="background: #8883; border-radius: 3px; width: 24em; height: 0.5em">'
        f'<div style="background: {color}; border-radius: 3px; width: {_share(progress):.1%}; height: 100%"></div>'
        f"</div>{line(progress).strip()}</div>"
    )


def _share(progress: Progress) -> float:
    """How much of it is done, from 0 to 1."""
    return progress.done / progress.total if progress.total else 1.0 if progress.seconds else 0.0


def _duration(seconds: float) -> str:
    """Write a length of time.

    >>> _duration(3725)
    '1:02:05'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _is_terminal() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def _is_watched() -> bool:
    """Whether somebody looks."""
    return _in_notebook() or _is_terminal()


def _in_notebook() -> bool:
    """Whether a notebook's kernel runs us."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


class _Told:
    """Tells a function of the caller's."""

    def __init__(self, function: Callable[[Progress], None]) -> None:
        self._function = function

    def __call__(self, progress: Progress, last: bool, /) -> None:
        self._function(progress)


class _Patient:
    """Shows nothing of a run that is over at once."""

    def __init__(self, show: Show) -> None:
        self._show, self._began = show, False

    def __call__(self, progress: Progress, last: bool, /) -> None:
        if self._began or (progress.seconds > 1.0 and not last):
            self._began = True
            self._show(progress, last)


class _Terminal:
    """Writes one line again and again."""

    def __call__(self, progress: Progress, last: bool, /) -> None:
        if not progress.total and not last:
            return
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r\x1b[2K" + line(progress)[:width] + ("\n" if last else ""))
        sys.stderr.flush()


class _Log:
    """Writes a line now and then, where nobody sees it move."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, progress: Progress, last: bool, /) -> None:
        now = time.monotonic()
        if last or (progress.total and now >= self._next):
            self._next = now + 10.0
            sys.stderr.write(line(progress).strip() + "\n")


class _Notebook:
    """Updates one output of the cell."""

    def __init__(self) -> None:
        self._shown: Any = None

    def __call__(self, progress: Progress, last: bool, /) -> None:
        display = sys.modules["IPython"].display
        content = display.HTML(bar_html(progress))
        if self._shown is None:
            self._shown = display.display(content, display_id=True)
        else:
            self._shown.update(content)
