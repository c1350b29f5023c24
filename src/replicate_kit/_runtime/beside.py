"""Work that goes on beside an operation: steps that block or compute, on a thread of their own."""

from __future__ import annotations

import contextvars
import functools
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from replicate_kit._runtime.blocking import is_blocking
from replicate_kit._runtime.runtimes import is_preemptive, new_thread, runtime

__all__ = ["Beside"]

_MOST_THREADS = 32  # of the process; where there are more, steps are waited for
_free = threading.BoundedSemaphore(_MOST_THREADS)


def _after_fork() -> None:
    """Begin anew: the parent's threads are not here, and one of them may have held the lock of the semaphore."""
    global _free
    _free = threading.BoundedSemaphore(_MOST_THREADS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Driver(Protocol):
    """What an operation awaits: a session."""

    async def in_thread(self, function: Any, /) -> Any: ...
    async def shield(self, operation: Any, /) -> Any: ...
    async def wait(self, future: Any, timeout: float | None, /) -> bool: ...


class Beside:
    """Does steps one at a time on a thread of its own, while the operation that begins them goes on.

    In blocking code it does each at once, unless they are `brief`: steps that compute, and wait for nothing.
    """

    def __init__(self, driver: Driver, *, brief: bool = False) -> None:
        self._driver, self._brief = driver, brief
        self._steps: queue.SimpleQueue[Callable[[], None] | None] | None = None
        self._under_way: Future[None] | None = None

    async def begin(self, step: Callable[[], object]) -> None:
        """Begin a step once the one before has ended; raise what that one raised."""
        await self.end()
        if self._steps is None and not self._start():
            await self._driver.shield(self._driver.in_thread(step))
            return
        assert self._steps is not None
        future: Future[None] = Future()
        context = contextvars.copy_context()
        # One right after the other: a Ctrl-C between them would have `aclose` wait for what nobody does.
        self._under_way = future
        self._steps.put(lambda: context.run(_settle, future, step))

    async def end(self) -> None:
        """Wait for the step that is under way; raise what it raised."""
        if (future := self._under_way) is not None:
            await self._driver.wait(future, None)
            self._under_way = None
            future.result()

    @property
    def is_used(self) -> bool:
        """Whether there is a thread to let go."""
        return self._steps is not None

    async def aclose(self) -> None:
        """Let the thread go, and wait for what it does; what that raises is no news any more."""
        assert self._steps is not None
        self._steps.put(None)
        if self._under_way is not None:
            await self._driver.wait(self._under_way, None)

    def _start(self) -> bool:
        """Start the thread, if there may be one more. In blocking code there is none for what may wait: it could not be
        ended by Ctrl-C.
        """
        if (is_blocking() and not self._may_have_thread()) or not _free.acquire(blocking=False):
            return False
        # Known before the thread is there, so that a Ctrl-C while it starts leaves it to be let go.
        self._steps = queue.SimpleQueue()
        try:
            new_thread(functools.partial(_serve, self._steps), "replicate-kit beside").start()
        except RuntimeError:  # the system gives no more, or the program ends
            self._steps = None
            _free.release()
            return False
        return True

    def _may_have_thread(self) -> bool:
        """Whether there may be a thread in blocking code: a greenlet would do nothing while others compute."""
        return self._brief and is_preemptive(runtime(blocking=True))


def _serve(steps: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    """Do steps until there are no more."""
    try:
        while (step := steps.get()) is not None:
            step()
    finally:
        _free.release()


def _settle(future: Future[None], step: Callable[[], object]) -> None:
    """Do a step, and tell how it ended."""
    try:
        step()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(None)
