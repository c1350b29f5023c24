"""Say at once what Ctrl-C does: the end of what runs takes a while."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import click

from replicate_kit.wording import counted

__all__ = ["announced"]


@contextlib.contextmanager
def announced(in_flight: Callable[[], int], *, detach: bool) -> Iterator[None]:
    """While the block runs, tell at each Ctrl-C what becomes of the predictions in flight, and interrupt it then."""
    # A program that was started to ignore Ctrl-C must go on to do so.
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    times = 0

    def interrupt(*_: Any) -> None:
        nonlocal times
        times += 1
        with contextlib.suppress(RuntimeError):  # it may have come in the middle of printing
            if text := _announcement(in_flight(), times, detach=detach):
                # A terminal is in the middle of a line: behind the bar, and behind what it shows for Ctrl-C.
                click.echo(f"\n{text}" if sys.stderr.isatty() else text, err=True)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _announcement(count: int, times: int, *, detach: bool) -> str | None:
    """What to say at a Ctrl-C; None where nothing runs."""
    some = counted(count, "prediction")
    if not count or (detach and times > 1):
        return None
    if detach or times > 1:
        return f"Leaving {some} running; run it again to have what they give."
    return f"Canceling {some}. Press Ctrl-C again to leave them running for the next run."
