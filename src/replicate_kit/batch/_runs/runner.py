"""A run on a thread of its own, with an event loop of its own, whoever iterates it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from replicate_kit._formats.wording import counted
from replicate_kit._runtime.foreign_code import described, said_of
from replicate_kit._runtime.runtimes import new_future, start_thread
from replicate_kit.batch._results.progress import Progress
from replicate_kit.batch._runs.execution import Execution
from replicate_kit.batch._runs.planned import Job, Keeping, planned
from replicate_kit.errors import BatchError, ConfigError, JournalError, ReplicateError

if TYPE_CHECKING:
    from replicate_kit.batch._engine.state import RunState
    from replicate_kit.batch._plan.options import Options
    from replicate_kit.batch._plan.plan import Plan
    from replicate_kit.batch._results.results import Result

__all__ = ["Runner"]

T = TypeVar("T")

log = logging.getLogger("replicate_kit")

_STOPPING = 15.0  # seconds after which a run that is stopped hurries with what is left
_LEAST = 2.0  # seconds that each of its last steps may take then


class Runner:
    """Plans and runs a job. Its futures may be waited for from any thread or event loop.

    `plan` is done when the plan is made, `ended` when the run is over and its journal closed.
    """

    def __init__(self, job: Job, *, dry: bool = False) -> None:
        self._job, self._dry = job, dry
        self.plan: Future[Plan] = new_future()
        self.ended: Future[None] = new_future()
        self._execution: Execution | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._leaving, self._hurries_at = False, math.inf
        self._giving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to plan."""
        start_thread(self._run, "replicate-kit-batch")

    def ask(self) -> Future[list[Result]]:
        """Ask for results; there is an empty list when there are no more."""
        future: Future[list[Result]] = new_future()
        self._call(self._ask, future)
        return future

    def stop(self, *, detach: bool) -> None:
        """Stop the run: cancel what is in flight, or leave it to the next run."""
        self._leaving = True
        self._call(self._stop, detach)

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return Progress() if self._execution is None or not self.plan.done() else self._execution.progress

    @property
    def canceled(self) -> int:
        """How many predictions were canceled because the run was stopped."""
        return 0 if self._execution is None else self._execution.tally.canceled

    @property
    def journal(self) -> str | None:
        """The file of the journal."""
        return None if self._execution is None else self._execution.journal

    @property
    def lost(self) -> BaseException | None:
        """What a run ended with whose journal was lost, whatever else it has done."""
        lost = self._execution is not None and self._execution.lost is not None
        return self.ended.exception() if lost and self.ended.done() else None

    @property
    def next_step(self) -> str:
        """What to do after a run that stopped on its way."""
        outlook = "what is done is free then, and what was in flight is found"
        return f"Run it again with journal={self.journal!r}: {outlook}."

    def _call(self, function: Any, *args: Any) -> None:
        """Call something in the run's own loop, unless that has ended."""
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function, *args)

    def _ask(self, future: Future[list[Result]]) -> None:
        assert self._execution is not None
        self._execution.delivery.ask(future)

    def _stop(self, detach: bool) -> None:
        self._hurries_at = min(self._hurries_at, time.monotonic() + _STOPPING)
        if self._execution is not None:
            self._execution.state.leave(detach=detach)
        elif self._task is not None:
            self._task.cancel()  # it still plans
        if self._giving is not None:
            self._giving.cancel()  # nobody asks any more, also where all rows are done by now

    def _run(self) -> None:
        """Live: this is the thread."""
        try:
            _check_thread()
            asyncio.run(self._main())
        # Nobody else sees what ends a thread: whatever it is, those who wait for the futures must get it.
        except BaseException as error:
            if not self.plan.done():
                self.plan.set_exception(error)
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)

    async def _main(self) -> None:
        """Plan, and unless that is all, run."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        # Somebody stopped the run before it had a loop, and `_call` had nobody to tell.
        if self._leaving:
            raise asyncio.CancelledError
        keeping = Keeping()
        async with planned(self._job, keeping) as run:
            execution = self._execution = Execution(run)
            if not self._dry:
                _review(run.plan, self._job.options)
                await execution.begin()
            self.plan.set_result(run.plan)
            if not self._dry and not self._leaving:
                try:
                    await self._work(execution)
                except BaseException:
                    keeping.needed = execution.has_written
                    raise
            keeping.needed = execution.has_written and execution.is_needed()

    async def _work(self, execution: Execution) -> None:
        """Run the engine, and give out results to the last."""
        giving = self._giving = asyncio.create_task(execution.delivery.serve())
        giving.add_done_callback(partial(_noticed, execution.state))
        failure: Exception | None = None
        try:
            if self._job.options.errors == "raise" and (known := await execution.results.first_failure()):
                raise known
            await execution.work()
        except Exception as error:
            failure = error
        if failure is None and execution.rest is not None:
            execution.tally.leave_out_the_rest()
        execution.delivery.over(None if failure else execution.rest)
        if self._leaving:
            giving.cancel()
        await asyncio.wait([giving])
        # The last look comes after the last row. Nobody else would notice a journal that was lost after its last
        # commit, and the next run would pay for its rows again.
        for step in (execution.saver.finish, execution.look):
            try:
                await self._soon(step())
            except Exception as error:
                execution.state.fail(error)  # as a failure beside the first one, if there is one
        if (failure := failure or execution.state.failure) is not None:
            raise await self._explained(execution, failure)
        if not self._leaving:
            giving.result()  # what is no Exception, such as a CancelledError that a plugin has raised

    async def _soon(self, step: Coroutine[Any, Any, T]) -> T:
        """Do a last step; one that asks a journal that hangs does not hold the end of a stopped run up."""
        left = max(_LEAST, self._hurries_at - time.monotonic())
        limit = asyncio.timeout(None if left == math.inf else left)
        try:
            async with limit:
                return await step
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise JournalError(
                f"The journal {self.journal!r} did not answer when the run was stopped: what happened last may not be "
                "in it. The next run finds it at the API."
            ) from error

    async def _explained(self, execution: Execution, failure: Exception) -> Exception:
        """Say what there is and what to do next, when a run did not come to its end."""
        tally = execution.tally
        try:
            results = await self._soon(execution.results.so_far())
        except ReplicateError:  # the journal itself is what failed
            results = []
        else:  # some of them may have been written down, and no more been counted
            tally.done, tally.failed = len(results), sum(each.error is not None for each in results)
        rescued = await execution.rescue()
        stopped = f"The run stopped with {tally.done} of {counted(tally.total, 'row')} done"
        said = f"{failure}" if isinstance(failure, ReplicateError) else described(failure)
        error = BatchError(
            f"{said}\n{rescued and f'{rescued} '}{stopped} (in .results of this error). {self.next_step}",
            results=results,
            journal=execution.journal,
        )
        error.__cause__, error.prediction = failure, getattr(failure, "prediction", None)
        for note in getattr(
            failure, "__notes__", ()
        ):  # such as whose plugin it was: not everybody sees the cause
            error.add_note(note)
        return error


def _check_thread() -> None:
    """Refuse to run where asyncio cannot: eventlet makes greenlets of all threads, and their locks hold in one only."""
    if asyncio._get_running_loop() is not None:
        raise ConfigError(
            "Another run goes on, and threads are replaced by greenlets here, of which only one at a time can run "
            "asyncio. Run over the rows one after the other, or use threads or gevent instead of eventlet. Nothing "
            "was created."
        )


def _noticed(state: RunState, giving: asyncio.Task[None]) -> None:
    """Stop the run if results cannot be given any more."""
    error = None if giving.cancelled() else giving.exception()
    if isinstance(error, Exception):
        state.fail(error)
    elif giving.cancelled() or error is not None:
        state.stop()


def _review(plan: Plan, options: Options) -> None:
    """Raise what speaks against a plan, before anything is spent."""
    if options.errors == "raise":
        plan.raise_for_problems()
    if plan.no_files and plan.to_pay:
        log.warning("%s", plan.no_files)
    if options.on_plan is not None:
        with said_of("on_plan=, before anything was created"):
            options.on_plan(plan)
