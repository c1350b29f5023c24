"""Tell whether the program is ending, so that what runs for nobody does not keep it alive."""

from __future__ import annotations

import threading

__all__ = ["abandoned"]


def abandoned() -> bool:
    """Whether the main thread has come to its end: the interpreter then waits for the threads that are left."""
    return not threading.main_thread().is_alive()
