"""A thread that does one call after the other, and that no program waits for when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

__all__ = ["Worker"]

T = TypeVar("T")


class Worker:
    """Does calls in their order. The threads of `concurrent.futures` would hold the end of the program up."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Call a function when it is its turn; the future has what it gives or raises."""
        future: Future[T] = Future()
        self._calls.put(lambda: _call(function, future))
        return future

    def end(self) -> None:
        """End when all that was asked for is done."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _call(function: Callable[[], T], future: Future[Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        found = function()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(found)
