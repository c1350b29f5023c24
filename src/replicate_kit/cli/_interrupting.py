"""Say at once what Ctrl-C and SIGTERM do: the end of what runs takes a while."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import click

from replicate_kit._formats.wording import counted

__all__ = ["announced"]


@contextlib.contextmanager
def announced(in_flight: Callable[[], int], *, detach: bool) -> Iterator[None]:
    """While the block runs, tell at each Ctrl-C what becomes of the predictions in flight, and interrupt it then.

    SIGTERM stops the run by itself, and is told of in the same words.
    """
    from replicate_kit.batch._runs.terminating import told_by

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    times = 0

    def tell(again: str) -> None:
        nonlocal times
        times += 1
        with contextlib.suppress(RuntimeError):  # it may have come in the middle of printing
            if text := _announcement(in_flight(), times, again, detach=detach):
                # A terminal is in the middle of a line: behind the bar, and behind what it shows for Ctrl-C.
                click.echo(f"\n{text}" if sys.stderr.isatty() else text, err=True)

    with (
        told_by(lambda _: tell("A second SIGTERM leaves")),
        _interrupting(lambda: tell("Press Ctrl-C again to leave")),
    ):
        yield


@contextlib.contextmanager
def _interrupting(tell: Callable[[], None]) -> Iterator[None]:
    """While the block runs, tell at each Ctrl-C, and interrupt it then."""
    # A program that was started to ignore Ctrl-C, as by nohup or in the background, must go on to do so.
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def interrupt(*_: Any) -> None:
        tell()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _announcement(count: int, times: int, again: str, *, detach: bool) -> str | None:
    """What to say at a signal; None where nothing runs. `again` begins to say what another one does."""
    some = counted(count, "prediction")
    if not count or (detach and times > 1):
        return None
    if detach or times > 1:
        return f"Leaving {some} running; run it again to have what they give."
    return f"Canceling {some}. {again} them running for the next run."
