"""What `map` and `async_map` give: results, one after the other."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401 - whose own hook at exit must be older than ours, to run after it
import logging
import math
import os
import sys
import threading
import time
import weakref
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from replicate_kit._formats.wording import counted, with_safe_repr
from replicate_kit._runtime.blocking import blocking, run
from replicate_kit._runtime.foreign_code import described
from replicate_kit._runtime.tracebacks import async_entrance, entrance
from replicate_kit.batch._runs.display import shower
from replicate_kit.batch._runs.runner import Runner
from replicate_kit.batch._runs.terminating import Terminated, begin, end

if TYPE_CHECKING:
    from replicate_kit.batch._plan.plan import Plan
    from replicate_kit.batch._results.progress import Progress
    from replicate_kit.batch._results.results import Result
    from replicate_kit.batch._runs.planned import Job

__all__ = ["AsyncBatch", "Batch"]

log = logging.getLogger("replicate_kit")

_GLANCE = 0.25  # seconds between two looks at the progress, while waiting
_OFTEN = 0.1  # and at least, while results come
# Seconds that a run may take to stop. The engine is done by then; Kubernetes kills 30 seconds after SIGTERM.
_LONGEST_STOP = 25.0

_running: weakref.WeakSet[_Stream] = weakref.WeakSet()
_awaited: weakref.WeakSet[Runner] = (
    weakref.WeakSet()
)  # the program does not end before these; a thread keeps each


@with_safe_repr
class _Stream:
    """Takes results from a run, under whichever driver asks.

    Nothing is sent before the first result is asked for, or the `with` block is entered.
    """

    _started = _over = False  # for one that was not made to its end: it is collected, too
    _thread = 0

    def __init__(self, job: Job) -> None:
        self._runner, self._session, self._options = Runner(job), job.session, job.options
        self._ready: deque[Result] = deque()
        self._started = self._over = self.terminated = False
        self._glanced, self._thread, self._stopped_by = 0.0, 0, math.inf
        self._show = shower(job.options.progress)

    @property
    def plan(self) -> Plan | None:
        """The plan, once it is made."""
        plan = self._runner.plan
        return plan.result() if plan.done() and not plan.exception() else None

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return self._runner.progress

    @property
    def journal(self) -> str | None:
        """The file of the journal, once it is opened; one that nobody asked for goes when all is done."""
        return self._runner.journal

    async def async_start(self) -> None:
        """Make the plan, and begin to run it. Raises what is wrong with it, before anything is spent."""
        if not self._started:
            self._started, self._thread = True, threading.get_ident()
            _running.add(self)
            _awaited.add(self._runner)
            begin(self)
            self._runner.start()
            await self._wait(self._runner.plan)
            if self._runner.plan.exception() is not None:
                end(self)
            self._runner.plan.result()

    async def async_take(self) -> Result:
        """Give the next result; raises StopAsyncIteration at the end."""
        if self.terminated and not self._over:  # the signal came while nobody waited for results
            await self.async_close()
            raise Terminated
        if not self._ready and not self._over:
            await self._fetch()
        if self._ready:
            return self._ready.popleft()
        raise StopAsyncIteration

    async def async_close(self) -> None:
        """Stop the run if it goes on: cancel what is in flight, or leave it, as `on_interrupt` says."""
        if self._started and not self._over:
            self._over = True
            await self._leave(detach=self._detaches)

    def check_journal(self) -> None:
        """Raise what the run ended with if its journal was lost, even if all results were taken by then."""
        if (lost := self._runner.lost) is not None:
            raise lost

    def stop(self) -> bool:
        """Begin to stop the run, if it goes on; tell whether it did."""
        goes_on = self._started and not self._over
        if goes_on:
            self._stop_now(detach=self._detaches)
        return goes_on

    def _stop_now(self, *, detach: bool) -> None:
        """Stop the run; its time begins with the first that asks for it."""
        self._stopped_by = min(self._stopped_by, time.monotonic() + _LONGEST_STOP)
        self._runner.stop(detach=detach)

    def forget(self) -> None:
        """In a forked child: leave the run to the parent."""
        self._over = True
        end(self)

    @property
    def is_running(self) -> bool:
        """Whether the run goes on, also where nobody waits for it any more."""
        return self._started and not self._runner.ended.done()

    def announcement(self) -> str:
        """What becomes of what is in flight when the run is stopped now, and what to do next."""
        if self.plan is None:
            return "the run stops before it has begun, and creates nothing."
        leaves = self._detaches or self.terminated
        what = "leaving {} of {} running" if leaves else "canceling {} of {}"
        said = what.format(counted(self.progress.in_flight, "prediction"), self.plan.model)
        return f"{said}. {self._runner.next_step}"

    def show_end(self) -> None:
        """Show how far the run has come, when the program ends, and how it failed."""
        with suppress(BaseException):
            self._tell_failure()
        with suppress(BaseException):
            self._glance_at_the_end()

    def __repr__(self) -> str:
        plan, progress, kind = self.plan, self.progress, type(self).__name__
        if plan is None:
            return f"<{kind}: {'not started' if not self._started else 'without a plan so far'}>"
        failed = f", {progress.failed} of them failed" if progress.failed else ""
        running = f", {counted(progress.in_flight, 'prediction')} in flight" if progress.in_flight else ""
        return (
            f"<{kind} of {plan.model}: {progress.done} of {counted(plan.rows, 'row')} done{failed}{running}>"
        )

    @property
    def _detaches(self) -> bool:
        """Whether what is in flight is left to the next run."""
        return self._options.on_interrupt == "detach"

    async def _fetch(self) -> None:
        """Get more results; whatever interrupts us stops the run."""
        await self.async_start()
        future = self._runner.ask()
        await self._wait(future)
        self._ready.extend(future.result())
        self._glance()
        if not self._ready:
            self._over = True
            await self._wait(self._runner.ended)
            self._glance(last=True)
            end(self)
            self._runner.ended.result()
            if self.terminated:
                raise Terminated

    async def _wait(self, future: Future[Any]) -> None:
        """Wait for a future, or for the end of the run, and show how far it is meanwhile."""
        try:
            while not await self._session.wait(future, _GLANCE):
                self._glance()
                if self.terminated:
                    raise Terminated
                if self._runner.ended.done() and not future.done():
                    self._over = True
                    self._runner.ended.result()
                    future.set_result([])
        except BaseException as reason:
            if self._runner.ended.done():
                self._glance(last=True)
                end(self)
            else:
                self._over = True
                # Shielded, because we may be in a task that is being cancelled: what is in flight would run on, and
                # cost.
                await self._session.shield(self._interrupted(reason))
            raise

    async def _interrupted(self, reason: BaseException) -> None:
        """Stop the run, and say what became of it."""
        left = self.progress.in_flight
        await self._leave(detach=self._detaches)
        if self.plan is None:
            reason.add_note("The run was stopped before it had begun: it has created nothing.")
            return
        count = counted(left if self._detaches else self._runner.canceled, "prediction")
        reason.add_note(
            f"The run was stopped with {self.progress.done} of {counted(self.progress.total, 'row')} done, and "
            f"{count} {'left in flight' if self._detaches else 'in flight canceled'}. {self._runner.next_step}"
        )

    async def _leave(self, *, detach: bool) -> None:
        """Stop the run and wait for its end; whoever interrupts that leaves things as they are."""
        self._stop_now(detach=detach)
        try:
            while not await self._session.wait(self._runner.ended, _GLANCE):
                if time.monotonic() > self._stopped_by:
                    break
                self._glance()
        except BaseException as reason:
            self._runner.stop(detach=True)
            reason.add_note(f"What is in flight was left running. {self._runner.next_step}")
            raise
        finally:
            _awaited.discard(self._runner)
            self._glance_at_the_end()
            end(self)
        self._tell_failure()

    def _tell_failure(self) -> None:
        """Log how a run failed that nobody takes results from any more; that it was stopped is no failure."""
        ended = self._runner.ended
        # Without a plan, whoever waited for that was told.
        error = ended.exception() if ended.done() and self.plan is not None else None
        if error is not None and not isinstance(error, asyncio.CancelledError):
            log.warning("The run failed while it was being stopped: %s", described(error))

    def _glance_at_the_end(self) -> None:
        """Show how far the run has come, if it has begun: one whose plan was refused has not."""
        if self.plan is not None:
            self._glance(last=True)

    def _glance(self, *, last: bool = False) -> None:
        """Show how far the run is, if that was not done just now."""
        now = time.monotonic()
        if self._show is not None and (last or now - self._glanced >= _OFTEN):
            self._glanced, show, self._show = now, self._show, None
            show(self.progress, last)
            self._show = show  # unless it failed: then it must not keep the run from being stopped in order


class Batch(_Stream):
    """The results of `Client.map`: iterate it with `for`, best in a `with` block.

    Leaving it before its end stops the run.
    """

    start = blocking(_Stream.async_start)
    take = blocking(_Stream.async_take)
    close = blocking(_Stream.async_close)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Result:
        # Most results come with others; a blocking call for each would cost more.
        if self._ready and not self.terminated:
            return self._ready.popleft()
        try:
            return self.take()
        except StopAsyncIteration:
            raise StopIteration from None

    @entrance
    def __enter__(self) -> Self:
        self.start()
        return self

    @entrance
    def __exit__(self, *exc_info: object) -> None:
        self.close()
        if exc_info[0] is None:
            self.check_journal()

    def __del__(self) -> None:
        # `for` drops its iterator as soon as the loop is left; what is in flight must not run on unnoticed.
        # The collector may come along on any thread, the run's own among them, which cannot wait for itself.
        if not self._started or self._over:
            return  # as when the program has ended, and modules are gone
        if threading.get_ident() != self._thread:
            self.stop()
        elif not sys.is_finalizing():
            run(self.async_close())


class AsyncBatch(_Stream):
    """The results of `Client.async_map`: iterate it with `async for`, best in an `async with` block.

    Leaving the block before its end stops the run.
    """

    def __aiter__(self) -> Self:
        return self

    @async_entrance
    async def __anext__(self) -> Result:
        return await self.async_take()

    @async_entrance
    async def __aenter__(self) -> Self:
        await self.async_start()
        return self

    @async_entrance
    async def __aexit__(self, *exc_info: object) -> None:
        await self.async_close()
        if exc_info[0] is None:
            self.check_journal()

    def __del__(self) -> None:
        self.stop()


def _stop_all() -> None:
    """Stop what still goes on when the program ends, as it does after a Ctrl-C in the body of a loop."""
    until = time.monotonic() + _LONGEST_STOP
    stopped = [each for each in list(_running) if each.stop()]
    for runner in list(_awaited):  # nobody may hold the results of an `async for` that was left
        with suppress(BaseException):
            runner.ended.result(max(0.0, until - time.monotonic()))
    for each in stopped:
        each.show_end()


# What `atexit` calls comes too late: no thread can be started for a look at a name server by then.
getattr(threading, "_register_atexit", atexit.register)(_stop_all)


def _forget_all() -> None:
    """In a forked child: its parent's runs are not there, and cannot be waited for."""
    _awaited.clear()
    for each in list(_running):
        each.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
