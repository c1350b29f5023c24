"""Waiting for what another thread does; a test that waits for ever is ended by its time limit."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["until"]


def until(done: Callable[[], object]) -> None:
    """Wait until something is so."""
    while not done():
        time.sleep(0.0005)
