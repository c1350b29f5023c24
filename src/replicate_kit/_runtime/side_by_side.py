"""Operations that run at the same time, under whichever driver: what waits for many things at once is an event loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from replicate_kit._runtime.blocking import is_blocking
from replicate_kit._runtime.runtimes import new_future, start_thread

if TYPE_CHECKING:
    import asyncio

__all__ = ["Operation", "side_by_side"]

Operation: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Driver(Protocol):
    """What an operation awaits: a session."""

    async def wait(self, future: Any, timeout: float | None, /) -> bool: ...


async def side_by_side(driver: Driver, *operations: Operation) -> None:
    """Run operations at the same time, to the end of all of them; in blocking code in an event loop on a thread.

    Where one fails, or we are cancelled or interrupted, the others are cancelled.

    >>> from replicate_kit import Client
    >>> from replicate_kit._runtime.blocking import run
    >>> done = []
    >>> async def work():
    ...     done.append(1)
    >>> run(side_by_side(Client(backend="mock").session, work, work)), done
    (None, [1, 1])
    """
    if not is_blocking():
        await _in_this_loop(operations)
        return
    # Tasks can be cancelled, unlike threads: Ctrl-C leaves nothing half-done.
    loop = _Loop(operations)
    try:
        start_thread(loop.run, "replicate-kit side by side")
        await driver.wait(loop.ended, None)
    except BaseException:
        loop.cancel()
        if loop.began:  # Ctrl-C may come before the thread is there
            await driver.wait(loop.ended, None)
        raise
    loop.ended.result()


async def _in_this_loop(operations: tuple[Operation, ...]) -> None:
    """Run them as tasks of the loop that runs, asyncio's or trio's."""
    import anyio

    failures: list[Exception] = []
    async with anyio.create_task_group() as tasks:

        async def told(operation: Operation) -> None:
            # A group of exceptions would reach the caller otherwise.
            try:
                await operation()
            except Exception as error:
                failures.append(error)
                tasks.cancel_scope.cancel()

        for each in operations:
            tasks.start_soon(told, each)
    if failures:
        raise failures[0]


class _Loop:
    """An event loop on a thread of its own."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self.ended = new_future()
        self.began = False
        self._operations = operations
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._cancelled = False

    def run(self) -> None:
        """Live: this is the thread."""
        import asyncio

        self.began = True
        try:
            asyncio.run(self._main())
        except BaseException as error:  # nobody else sees what ends a thread
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)

    def cancel(self) -> None:
        """Cancel the operations, from another thread."""
        self._cancelled = True
        if self._running is not None:
            loop, task = self._running
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(task.cancel)

    async def _main(self) -> None:
        import asyncio

        task = asyncio.current_task()
        assert task is not None
        self._running = asyncio.get_running_loop(), task
        if not self._cancelled:  # before there was anything to cancel
            await _in_this_loop(self._operations)
