"""Connections for blocking code: the same ones, in an event loop on a thread of their own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from replicate_kit._runtime.runtimes import new_future, start_thread
from replicate_kit.backends._aiohttp.pools import Pool
from replicate_kit.backends._aiohttp.settings import Settings
from replicate_kit.errors import ConnectionLost
from replicate_kit.transport import Body, Request, Response, received

__all__ = ["BlockingPool"]

T = TypeVar("T")

_PATIENCE = 5.0  # seconds that closing waits for its thread


class BlockingPool:
    """Connections for callers on threads, closed when it is, or when nobody has it any more."""

    def __init__(self, settings: Settings) -> None:
        self._loop = _LoopOnThread(settings)
        self._process = os.getpid()
        self._drop = weakref.finalize(self, _stop_in, self._process, self._loop)

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        asked = _Asked(request)
        body = _OfCaller(request.body, asked) if isinstance(request.body, Body) else request.body

        async def whole(pool: Pool) -> Response:
            return await received(await pool.open(request, body), request, stream=False)

        if not stream:
            return self._loop.run(whole, asked)
        response = self._loop.run(lambda pool: pool.open(request, body), asked)
        response.stream = _Stepped(response.stream, request, self._loop)
        return await received(response, request, stream=True)

    async def aclose(self) -> None:
        if self._drop.detach() and os.getpid() == self._process:
            self._loop.stop(_PATIENCE)


def _stop_in(process: int, loop: _LoopOnThread) -> None:
    """Stop a loop in the process that started it: a fork has no such thread."""
    if os.getpid() == process:
        loop.stop(0)


class _LoopOnThread:
    """An event loop that starts with the first request; it holds up no end of a program."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock = settings, threading.Lock()
        self._started: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, Pool]] | None = None
        self._over, self._ended = False, new_future()

    def run(self, operation: Callable[[Pool], Coroutine[Any, Any, T]], asked: _Asked) -> T:
        """Run an operation there to its end; meanwhile do here what it asks for."""
        loop, pool = self._begun()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            tasks.append(loop.create_task(operation(pool)))
            tasks[0].add_done_callback(lambda _: asked.post(None))

        with self._lock:  # what is called later than the last look at what is left would never be done
            if self._over:
                raise _closed_meanwhile(asked.request)
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
        """Close the connections and end the thread; wait for it for so many seconds."""
        if self._started is None:
            return
        loop, pool = self._started.result()

        async def close() -> None:
            await pool.aclose()
            loop.stop()

        with suppress(RuntimeError):  # it was stopped before
            loop.call_soon_threadsafe(lambda: loop.create_task(close()))
        if wait:
            concurrent.futures.wait([self._ended], wait)

    def _begun(self) -> tuple[asyncio.AbstractEventLoop, Pool]:
        """The loop and what is in it, started when first asked for."""
        with self._lock:
            if self._started is None:
                self._started = new_future()
                start_thread(self._main, "replicate-kit fast")
        return self._started.result()

    def _main(self) -> None:
        """What the thread does."""
        loop, started = asyncio.new_event_loop(), self._started
        assert started is not None
        started.set_result((loop, Pool(self._settings)))
        try:
            loop.run_forever()
            with self._lock:
                self._over = True
            loop.run_until_complete(_cancel_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
            self._ended.set_result(None)


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
        chunk = self._loop.run(lambda _: _next_of(self._source), _Asked(self._request))
        if chunk:
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Let the connection go."""
        with suppress(ConnectionLost):  # the client was closed, and this with it
            self._loop.run(lambda _: self._source.aclose(), _Asked(self._request))


async def _next_of(source: AsyncIterator[bytes]) -> bytes:
    """Give the next chunk, or nothing."""
    return await anext(source, b"")
