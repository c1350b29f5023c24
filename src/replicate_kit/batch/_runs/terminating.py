"""SIGTERM, by which schedulers and containers end a program, stops a run in order as Ctrl-C does.

Left alone it ends Python at once: nothing is canceled, and nobody is told how to go on. Kubernetes gives a program 30
seconds by default after it (terminationGracePeriodSeconds), then it kills.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

__all__ = ["Stoppable", "Terminated", "begin", "end", "told_by"]

EXIT_STATUS = 128 + signal.SIGTERM  # what shells expect of a program that SIGTERM ended


class Terminated(SystemExit):
    """SIGTERM came. Ends the program, in order, with the exit status that shells expect of it."""

    def __init__(self) -> None:
        super().__init__(EXIT_STATUS)


class Stoppable(Protocol):
    """A run that the signal stops."""

    terminated: bool

    @property
    def is_running(self) -> bool:
        """Whether there is anything to stop."""
        ...

    def announcement(self) -> str:
        """What is about to happen to it, and what to do next; a second signal leaves at once."""
        ...

    def stop(self) -> bool:
        """Begin to stop it."""
        ...


Tell = Callable[[list[str]], None]

_runs: weakref.WeakSet[Any] = weakref.WeakSet()


def begin(run: Stoppable) -> None:
    """Let SIGTERM stop a run, unless the program has a way of its own with it, or this is not the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        with suppress(ValueError):  # a subinterpreter takes no signals
            signal.signal(signal.SIGTERM, _terminate)
    _runs.add(run)


def end(run: Stoppable) -> None:
    """Let SIGTERM do again what it did before, when no other run needs it."""
    _runs.discard(run)
    if not _runs:
        _restore()


@contextmanager
def told_by(tell: Tell) -> Iterator[None]:
    """While the block runs, let `tell` say what becomes of the runs, once for each signal."""
    global _tell
    before, _tell = _tell, tell
    try:
        yield
    finally:
        _tell = before


def _restore() -> None:
    """Take our handler away, unless somebody has put another in its place."""
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is _terminate
    ):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: Any) -> None:
    """Say what happens and stop: by an exception, as Ctrl-C does, or as the event loop allows."""
    runs = [each for each in list(_runs) if each.is_running]
    if not runs:
        # Nobody iterates what is left: what would have happened without us, happens. Python calls this on the main
        # thread, whatever gevent calls it. Where somebody else's handler calls us, it decides what happens next.
        if signal.getsignal(number) is _terminate:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        return
    with suppress(RuntimeError, OSError):  # it may have come in the middle of printing
        _tell([each.announcement() for each in runs])
    for each in runs:  # all at once: the time until the program is killed is the same for all
        each.terminated = True
        each.stop()
    if (loop := _asyncio_loop()) is not None:
        # `asyncio.run` cancels all tasks then, which stop their runs, and raises it.
        loop.call_soon_threadsafe(_raise)
    elif not _is_in_trio():  # an exception inside of trio would break it: what waits for results raises it
        _raise()


def _raise() -> None:
    """Leave."""
    raise Terminated


def _print(announcements: list[str]) -> None:
    """Tell whoever reads the log of the program."""
    sys.stderr.write("".join(f"SIGTERM: {each}\n" for each in announcements))
    sys.stderr.flush()


_tell: Tell = _print


def _asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """The loop of asyncio that runs on this thread, if there is one."""
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    return asyncio._get_running_loop()


def _is_in_trio() -> bool:
    """Whether trio runs on this thread."""
    if "trio" not in sys.modules:
        return False
    import trio

    return trio.lowlevel.in_trio_run()
