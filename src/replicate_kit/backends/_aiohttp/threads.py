"""Connections for blocking code: the same ones, in an event loop on a thread of their own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

from replicate_kit._runtime.runtimes import new_future, start_thread
from replicate_kit.backends._aiohttp.pools import Pool
from replicate_kit.backends._aiohttp.settings import Settings
from replicate_kit.backends._common.unconnected import not_connected
from replicate_kit.errors import ConnectFailed, ConnectionLost
from replicate_kit.transport import Body, Request, Response, received

__all__ = ["BlockingPool"]

T = TypeVar("T")

_PATIENCE = 5.0  # seconds that closing waits for its thread


class BlockingPool:
    """Connections for callers on threads, closed when it is, or when nobody has it any more."""

    def __init__(self, settings: Settings) -> None:
        self._loop = _LoopOnThread(settings)
        self._drop = weakref.finalize(self, self._loop.stop, 0)

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        asked = _Asked(request)
        body = _OfCaller(request.body, asked) if isinstance(request.body, Body) else request.body

        async def whole(pool: Pool) -> Response:
            return await received(await pool.open(request, body), request, stream=False)

        if not stream:
            return self._loop.send(whole, asked)
        response = self._loop.send(lambda pool: pool.open(request, body), asked)
        response.stream = _Stepped(response.stream, request, self._loop)
        return await received(response, request, stream=True)

    async def aclose(self) -> None:
        if self._drop.detach():
            self._loop.stop(_PATIENCE)


_Started: TypeAlias = tuple[asyncio.AbstractEventLoop, Pool]


class _Gone(Exception):
    """The loop does not take any more; why."""


class _LoopOnThread:
    """An event loop that starts with the first request; it holds up no end of a program."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock = settings, threading.Lock()
        self._started: concurrent.futures.Future[_Started] | None = None
        self._over, self._ended = False, new_future()
        self._process = os.getpid()

    def send(self, operation: Callable[[Pool], Coroutine[Any, Any, T]], asked: _Asked) -> T:
        """Run an operation that sends a request, as `run` does. Raises `ConnectFailed` where it cannot begin."""
        try:
            return self.run(operation, asked)
        except _Gone as gone:
            why = f"{gone}"
        raise _unbegun(why, asked.request, temporary=False)

    def run(self, operation: Callable[[Pool], Coroutine[Any, Any, T]], asked: _Asked) -> T:
        """Run an operation there to its end; meanwhile do here what it asks for. Raises `_Gone` where none is taken."""
        self._check_process()
        loop, pool = self._begun(asked.request)
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            tasks.append(loop.create_task(operation(pool)))
            tasks[0].add_done_callback(lambda _: asked.post(None))

        with self._lock:  # what is called later than the last look at what is left would never be done
            if self._over:
                raise _Gone("the client was closed. Make another one.")
            loop.call_soon_threadsafe(start)
        try:
            asked.answer()
        except BaseException:  # a Ctrl-C among them
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_abandon, tasks)
            raise
        try:
            return tasks[0].result()
        except asyncio.CancelledError:
            raise _closed_meanwhile(asked.request) from None

    def stop(self, wait: float) -> None:
        """Close the connections and end the thread; wait for it for so many seconds at most."""
        # A fork has no such thread, and at the end of a program no thread runs but one.
        if os.getpid() != self._process or sys.is_finalizing():
            return
        self._over = True
        if self._started is None:
            return
        self._started.add_done_callback(_stop)  # at once, if it runs
        if wait:
            concurrent.futures.wait([self._ended], wait)

    def _check_process(self) -> None:
        """Refuse to wait for a thread that does not run. No lock is asked for: a fork may have inherited a held one."""
        if os.getpid() != self._process:
            raise _Gone("it belongs to another process, of which this one is a fork. Make a client here.")
        if sys.is_finalizing():
            raise _Gone("the program is over. Send requests before that.")

    def _begun(self, request: Request) -> _Started:
        """The loop and what is in it, started when first asked for. Raises `ConnectFailed` where it cannot start."""
        with self._lock:
            if self._over:
                raise _Gone("the client was closed. Make another one.")
            if self._started is None:
                self._started = self._start(request)
            started = self._started
        try:
            return started.result()
        except Exception as error:
            with self._lock:
                if self._started is started:  # the next request tries again
                    self._started = None
            said, temporary = not_connected(error, request, None, str(error))
            raise _unbegun(said, request, temporary=temporary) from error

    def _start(self, request: Request) -> concurrent.futures.Future[_Started]:
        """Start the thread."""
        started = new_future()
        try:
            start_thread(lambda: self._main(started), "replicate-kit fast")
        except RuntimeError as error:
            said = (
                f"no thread can be started for the backend 'fast' ({error}). Raise that limit (ulimit -u), or "
                "choose Client(backend='http'), which needs none."
            )
            raise _unbegun(said, request, temporary=False) from error
        return started

    def _main(self, started: concurrent.futures.Future[_Started]) -> None:
        """What the thread does."""
        try:
            pool = Pool(self._settings)
            loop = asyncio.new_event_loop()
        except BaseException as error:
            started.set_exception(error)
            return
        try:
            started.set_result((loop, pool))
            loop.run_forever()
        finally:
            with self._lock:
                self._over = True
            try:
                _finish(loop, _cancel_all())
                _finish(loop, loop.shutdown_asyncgens())
            finally:
                loop.close()
                self._ended.set_result(None)


def _stop(started: concurrent.futures.Future[_Started]) -> None:
    """Close the connections of a loop that runs, and have it stop."""
    if started.exception() is not None:
        return
    loop, pool = started.result()

    async def close() -> None:
        try:
            await pool.aclose()
        finally:
            loop.stop()

    with suppress(RuntimeError):  # it was stopped before
        loop.call_soon_threadsafe(lambda: loop.create_task(close()))


def _finish(loop: asyncio.AbstractEventLoop, operation: Coroutine[Any, Any, None]) -> None:
    """Come to the end of something in a loop that others may stop meanwhile: whoever closes the client does."""
    task = loop.create_task(operation)
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        loop.run_forever()
    task.result()


async def _cancel_all() -> None:
    """Cancel what is left, so that nobody waits for ever; what was called last begins first."""
    await asyncio.sleep(0)
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        for each in left:
            each.cancel()
        await asyncio.wait(left)


def _closed_meanwhile(request: Request) -> ConnectionLost:
    """Make the error of a request that was under way when somebody closed the client."""
    said = f"{request.named}: the client was closed while this was on its way. Close it later."
    return ConnectionLost(said, request=request)


def _unbegun(why: str, request: Request, *, temporary: bool) -> ConnectFailed:
    """Make the error of a request of which nothing was sent."""
    failed = ConnectFailed(f"{request.named}: could not connect: {why}", request=request)
    failed.temporary = temporary
    return failed


def _abandon(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel what nobody waits for any more, or let its answer go."""
    (task,) = tasks
    if not task.cancel() and not task.cancelled() and task.exception() is None:
        with suppress(AttributeError):
            asyncio.get_running_loop().create_task(task.result().aclose())


class _Asked:
    """What the loop asks, for a request, of the thread that waits for it, one thing after another; None is the end."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._things: deque[Callable[[], None] | None] = deque()
        self._news = new_future()

    def post(self, thing: Callable[[], None] | None) -> None:
        """Ask, from the loop."""
        self._things.append(thing)
        with suppress(concurrent.futures.InvalidStateError):  # it knows of something that was asked before
            self._news.set_result(None)

    def answer(self) -> None:
        """Do what is asked until the end."""
        while (thing := self._next()) is not None:
            thing()

    def _next(self) -> Callable[[], None] | None:
        while True:
            news = self._news
            if self._things:
                return self._things.popleft()
            news.result()
            self._news = new_future()


class _OfCaller:
    """The chunks of a body, which the caller's own thread reads: a source may belong to it, or take its time."""

    def __init__(self, body: Body, asked: _Asked) -> None:
        self._chunks, self._asked = body.blocking(), asked

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        answer: concurrent.futures.Future[bytes | None] = new_future()

        def read() -> None:
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(next(self._chunks, None))
                except Exception as error:
                    answer.set_exception(error)

        self._asked.post(read)
        chunk = await asyncio.wrap_future(answer)
        if chunk is None:
            raise StopAsyncIteration
        return chunk


class _Stepped:
    """The body of an answer, of which each step is taken in the loop while the caller waits."""

    def __init__(self, source: Any, request: Request, loop: _LoopOnThread) -> None:
        self._source, self._request, self._loop = source, request, loop

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = self._loop.run(lambda _: _next_of(self._source), _Asked(self._request))
        except _Gone as gone:
            why = f"{self._request.named}: the rest of the answer cannot be read: {gone}"
            raise ConnectionLost(why, request=self._request) from None
        if chunk:
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Let the connection go."""
        with suppress(ConnectionLost, _Gone):  # the client was closed, and this with it
            self._loop.run(lambda _: self._source.aclose(), _Asked(self._request))


async def _next_of(source: AsyncIterator[bytes]) -> bytes:
    """Give the next chunk, or nothing."""
    return await anext(source, b"")
