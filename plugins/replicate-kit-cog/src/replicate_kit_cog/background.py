"""The event loop in which servers are asked, on a thread of its own, and how callers of any kind wait for it."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["BACKGROUND", "outcome"]

T = TypeVar("T")


class Background:
    """One event loop for all backends of a process. A prediction goes on in it when its caller does something else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0

    def start(self, operation: Coroutine[Any, Any, T]) -> Future[T]:
        """Run an operation in the loop."""
        # Not in the caller's context, whose variables tell of the library that drives the caller.
        return contextvars.Context().run(asyncio.run_coroutine_threadsafe, operation, self._running())

    def _running(self) -> asyncio.AbstractEventLoop:
        """Give the loop; a forked process has none of its parent's threads, and makes its own."""
        with self._lock:
            if self._loop is None or self._process != os.getpid():
                self._loop, self._process = asyncio.new_event_loop(), os.getpid()
                thread = threading.Thread(
                    target=_run, args=(self._loop,), name="replicate-kit-cog", daemon=True
                )
                thread.start()
                atexit.register(_stop, self._loop, thread, self._process)
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    # What still runs is not waited for: to leave a connection cancels the prediction there.
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, process: int) -> None:
    """End the loop with the program."""
    if process == os.getpid():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(2.0)


BACKGROUND = Background()


async def outcome(future: Future[T], *, blocking: bool) -> T:
    """Wait for what runs in the background, under the driver that there is; who is cancelled cancels it."""
    try:
        if not blocking and not future.done():
            await _woken_by(future)
        return future.result()
    except BaseException:
        future.cancel()
        raise


async def _woken_by(future: Future[Any]) -> None:
    """Let the running event loop, asyncio's or trio's, do other things until a future is done."""
    import anyio
    import sniffio

    done = anyio.Event()
    if sniffio.current_async_library() == "trio":
        import trio

        post: Any = trio.lowlevel.current_trio_token().run_sync_soon
    else:
        post = asyncio.get_running_loop().call_soon_threadsafe

    def wake(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop is gone, and nobody waits any more
            post(done.set)

    future.add_done_callback(wake)
    await done.wait()
