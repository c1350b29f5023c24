"""A run on a thread of its own, with an event loop of its own, whoever iterates it."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from replicate_kit._formats.wording import counted
from replicate_kit._runtime.foreign_code import described, said_of
from replicate_kit._runtime.runtimes import new_future, start_thread
from replicate_kit.batch._engine.accounts import check_account
from replicate_kit.batch._engine.engine import Engine
from replicate_kit.batch._engine.setup import Job, Setup, prepared
from replicate_kit.batch._results.progress import Progress
from replicate_kit.errors import BatchError, ConfigError, ReplicateError

if TYPE_CHECKING:
    from replicate_kit.batch._engine.flow import Flow
    from replicate_kit.batch._plan.options import Options
    from replicate_kit.batch._plan.plan import Plan
    from replicate_kit.batch._results.results import Result

__all__ = ["Runner"]

log = logging.getLogger("replicate_kit")


class Runner:
    """Plans and runs a job. Its futures may be waited for from any thread or event loop.

    `plan` is done when the plan is made, `ended` when the run is over and its journal closed.
    """

    def __init__(self, job: Job, *, dry: bool = False) -> None:
        self._job, self._dry = job, dry
        self.plan: Future[Plan] = new_future()
        self.ended: Future[None] = new_future()
        self._setup: Setup | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._leaving = False
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
        setup = self._setup
        if setup is None or not self.plan.done():
            return Progress()
        return setup.tally.now(
            setup.window.in_flight, setup.purse.spent.money if setup.options.cost.known else None
        )

    @property
    def canceled(self) -> int:
        """How many predictions were canceled because the run was stopped."""
        return 0 if self._setup is None else self._setup.tally.canceled

    @property
    def journal(self) -> str | None:
        """The file of the journal."""
        return None if self._setup is None else str(self._setup.path)

    @property
    def lost(self) -> BaseException | None:
        """What a run ended with whose journal was lost, whatever else it has done."""
        lost = self._setup is not None and self._setup.db.lost is not None
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
        assert self._setup is not None
        self._setup.delivery.ask(future)

    def _stop(self, detach: bool) -> None:
        if self._setup is not None:
            self._setup.flow.leave(detach=detach)
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
        async with prepared(self._job) as setup:
            self._setup = setup
            if not self._dry:
                _review(setup.plan, self._job.options)
                await check_account(setup)
            self.plan.set_result(setup.plan)
            if not self._dry and not self._leaving:
                await setup.begin()
                await self._work(setup)

    async def _work(self, setup: Setup) -> None:
        """Run the engine, and give out results to the last."""
        giving = self._giving = asyncio.create_task(setup.delivery.serve())
        giving.add_done_callback(partial(_noticed, setup.flow))
        failure: Exception | None = None
        try:
            if setup.options.errors == "raise" and (known := await setup.results.first_failure()):
                raise known
            await Engine(setup).run()
        except Exception as error:
            failure = error
        if failure is None and setup.rest is not None:
            setup.tally.leave_out_the_rest()
        setup.delivery.over(None if failure else setup.rest)
        if self._leaving:
            giving.cancel()
        await asyncio.wait([giving])
        # The last look comes after the last row. Nobody else would notice a journal that was lost after its last
        # commit, and the next run would pay for its rows again.
        for step in (setup.saver.finish, setup.look):
            try:
                await step()
            except Exception as error:
                setup.flow.fail(error)  # as a failure beside the first one, if there is one
        if (failure := failure or setup.flow.failure) is not None:
            raise await self._explained(setup, failure)
        if not self._leaving:
            giving.result()  # what is no Exception, such as a CancelledError that a plugin has raised

    async def _explained(self, setup: Setup, failure: Exception) -> Exception:
        """Say what there is and what to do next, when a run did not come to its end."""
        try:
            results = await setup.results.so_far()
        except ReplicateError:  # the journal itself is what failed
            results = []
        else:  # some of them may have been written down, and no more been counted
            setup.tally.done, setup.tally.failed = (
                len(results),
                sum(each.error is not None for each in results),
            )
        rescued = await setup.rescue()
        stopped = f"The run stopped with {setup.tally.done} of {counted(setup.tally.total, 'row')} done"
        said = f"{failure}" if isinstance(failure, ReplicateError) else described(failure)
        error = BatchError(
            f"{said}\n{rescued and f'{rescued} '}{stopped} (in .results of this error). {self.next_step}",
            results=results,
            journal=str(setup.path),
        )
        error.__cause__, error.prediction = failure, getattr(failure, "prediction", None)
        return error


def _check_thread() -> None:
    """Refuse to run where asyncio cannot: eventlet makes greenlets of all threads, and their locks hold in one only."""
    if asyncio._get_running_loop() is not None:
        raise ConfigError(
            "Another run goes on, and threads are replaced by greenlets here, of which only one at a time can run "
            "asyncio. Run over the rows one after the other, or use threads or gevent instead of eventlet. Nothing "
            "was created."
        )


def _noticed(flow: Flow, giving: asyncio.Task[None]) -> None:
    """Stop the run if results cannot be given any more."""
    error = None if giving.cancelled() else giving.exception()
    if isinstance(error, Exception):
        flow.fail(error)
    elif giving.cancelled() or error is not None:
        flow.stop()


def _review(plan: Plan, options: Options) -> None:
    """Raise what speaks against a plan, before anything is spent."""
    if options.errors == "raise":
        plan.raise_for_problems()
    if plan.no_files and plan.to_pay:
        log.warning("%s", plan.no_files)
    if options.on_plan is not None:
        with said_of("on_plan=, before anything was created"):
            options.on_plan(plan)
