"""Waiting for what another thread does, and interrupting then; the time limit of tests ends what waits for ever."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

__all__ = ["interrupt_when", "until"]


def until(done: Callable[[], object]) -> None:
    """Wait until something is so."""
    while not done():
        time.sleep(0.0005)


def interrupt_when(done: Callable[[], object]) -> threading.Thread:
    """Send SIGINT to the main thread once something is so. The test needs the fixture `interruptible`."""

    main = threading.main_thread().ident or 0

    def interrupt() -> None:
        until(done)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread
