"""Who drives an operation: the caller's thread, or an event loop of asyncio or trio."""

from __future__ import annotations

import concurrent.futures
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

__all__ = ["Runtime", "is_preemptive", "library", "new_thread", "runtime", "start_thread"]

T = TypeVar("T")


class Runtime(Protocol):
    """Who drives: the caller's thread or an event loop."""

    async def sleep(self, seconds: float, /) -> None:
        """Pause for `seconds`."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    async def in_thread(self, function: Callable[[], T], /) -> T:
        """Call a function that blocks, without blocking an event loop."""
        ...

    async def shield(self, operation: Coroutine[Any, Any, T], /) -> T:
        """Run `operation` to its end even if we are being cancelled."""
        ...

    async def wait(self, future: concurrent.futures.Future[Any], timeout: float | None, /) -> bool:
        """Wait until `future` is done, or `timeout` seconds; tell which. Any thread may complete the
        future.
        """
        ...


class _BlockingRuntime:
    """The caller's thread."""

    async def sleep(self, seconds: float, /) -> None:
        # Blocking is what this driver is for. To sleep for no time lets other threads go on.
        time.sleep(max(seconds, 0.0))  # noqa: ASYNC251

    def now(self) -> float:
        return time.monotonic()

    async def in_thread(self, function: Callable[[], T], /) -> T:
        return function()

    async def shield(self, operation: Coroutine[Any, Any, T], /) -> T:
        return await operation

    async def wait(self, future: concurrent.futures.Future[Any], timeout: float | None, /) -> bool:
        if _gevent() is None:
            with suppress(TimeoutError, concurrent.futures.CancelledError):
                future.exception(timeout)
            return future.done()
        # gevent ends a wait for a lock by an exception. Ctrl-C can break off the wait and leave its timer behind; the
        # exception then comes in the middle of the next wait. A timer that wakes us can be late, and does no harm.
        woken = threading.Event()
        with _when_done(future, woken.set):
            timer = None if timeout is None else sys.modules["gevent"].get_hub().loop.timer(timeout)
            try:
                if timer is not None:
                    timer.start(woken.set)
                woken.wait()
            finally:
                if timer is not None:
                    timer.close()
        return future.done()


class _AsyncRuntime:
    """The running event loop, asyncio's or trio's."""

    async def sleep(self, seconds: float, /) -> None:
        import anyio

        await anyio.sleep(seconds)

    def now(self) -> float:
        return time.monotonic()

    async def in_thread(self, function: Callable[[], T], /) -> T:
        from anyio import to_thread

        return await to_thread.run_sync(function)

    async def shield(self, operation: Coroutine[Any, Any, T], /) -> T:
        import anyio

        with anyio.CancelScope(shield=True):
            return await (operation if library() == "trio" else _to_its_end(operation))
        raise AssertionError("nobody cancels this scope")

    async def wait(self, future: concurrent.futures.Future[Any], timeout: float | None, /) -> bool:
        import anyio

        if future.done():
            return True
        done, wake = anyio.Event(), _waker()
        with _when_done(future, lambda: wake(done.set)), anyio.move_on_after(timeout):
            await done.wait()
        return future.done()


_BLOCKING, _ASYNC = _BlockingRuntime(), _AsyncRuntime()


def is_preemptive(runtime: Runtime) -> bool:
    """Whether others get their turn without being given it: threads do, but not where they are greenlets."""
    return runtime is _BLOCKING and getattr(time.sleep, "__module__", "") == "time"


def runtime(blocking: bool) -> Runtime:
    """The runtime of the caller's thread, or of whichever event loop runs."""
    return _BLOCKING if blocking else _ASYNC


_waiting: weakref.WeakKeyDictionary[concurrent.futures.Future[Any], list[Callable[[], None]]] = (
    weakref.WeakKeyDictionary()
)


@contextmanager
def _when_done(future: concurrent.futures.Future[Any], wake: Callable[[], None]) -> Iterator[None]:
    """Within the block, `wake` is called once `future` is done, on the thread that completes it; at once if it is.

    A future cannot forget a callback. So each has a single one, however often it is waited for.
    """
    if (those := _waiting.get(future)) is None:
        those = _waiting.setdefault(future, [])
        future.add_done_callback(lambda _: [each() for each in tuple(those)])
    those.append(wake)
    try:
        if future.done():  # before we were among those
            wake()
        yield
    finally:
        those.remove(wake)


def _waker() -> Callable[[Callable[[], None]], None]:
    """Make the function by which another thread calls something in the running loop; a loop that is gone
    ignores it.
    """
    if library() == "trio":
        import trio

        post: Callable[[Callable[[], None]], object] = trio.lowlevel.current_trio_token().run_sync_soon
        gone: type[Exception] = trio.RunFinishedError
    else:
        import asyncio

        post, gone = asyncio.get_running_loop().call_soon_threadsafe, RuntimeError

    def wake(callback: Callable[[], None]) -> None:
        with suppress(gone):  # nobody waits any more
            post(callback)

    return wake


async def _to_its_end(operation: Coroutine[Any, Any, T]) -> T:
    """Run `operation` in a task of its own: a task's cancellation in asyncio passes through every scope."""
    import asyncio

    task, cancelled = asyncio.create_task(operation), None
    while not task.done():
        try:
            # Not `await task`, which would pass our own cancellation on to it.
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from (None if task.cancelled() else task.exception())
    return task.result()


def start_thread(function: Callable[[], object], name: str) -> None:
    """Call a function on a thread of its own, which the end of the program does not wait for.

    Where gevent or eventlet have replaced threads by greenlets, it is a thread all the same: asyncio runs one event
    loop in each, and SQLite would hold up the others.
    """
    start = _thread_of_the_system()
    if start is None:
        new_thread(function, name).start()
    else:
        start(function, ())


def new_future() -> concurrent.futures.Future[Any]:
    """Make a future that threads of `start_thread` share with those that wait for it.

    Where gevent has replaced locks, its own is one of the system, which is held for moments only: gevent's can lose
    the news that another thread has released them, and wait for ever (26.9, once in a hundred runs on a busy machine).
    """
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    if (monkey := _gevent()) is not None:
        future._condition = threading.Condition(monkey.get_original("_thread", "RLock")())
    return future


def new_thread(function: Callable[[], object], name: str) -> threading.Thread:
    """Make a thread that the end of the program does not wait for; subinterpreters have none of these."""
    try:
        return threading.Thread(target=function, name=name, daemon=True)
    except RuntimeError:
        return threading.Thread(target=function, name=name, daemon=False)


def _thread_of_the_system() -> Callable[[Callable[[], object], tuple[()]], object] | None:
    """What starts a thread where `threading` starts something else; None where it does."""
    if (monkey := _gevent()) is None:
        return None
    # Each thread has a hub of gevent's, whose making imports modules under locks which are gevent's, too, and need a
    # hub: where two threads do that at once, they end in a deadlock or a RecursionError (gevent 26.9 on Python 3.12).
    # Once this thread has its hub, the other finds these modules imported.
    sys.modules["gevent"].get_hub()
    start: Callable[[Callable[[], object], tuple[()]], object] = monkey.get_original(
        "_thread", "start_new_thread"
    )
    return start


def _gevent() -> Any:
    """Give gevent's `monkey`, where it has replaced threads by greenlets; else None."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey if monkey is not None and monkey.is_module_patched("threading") else None


def library() -> str:
    """The library whose event loop runs: asyncio or trio."""
    import sniffio

    try:
        return sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        raise RuntimeError(
            "An async_ form was used without an event loop. Await it in asyncio or trio, or call its "
            "blocking twin."
        ) from None
