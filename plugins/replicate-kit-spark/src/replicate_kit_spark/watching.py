"""What the driver does while Spark works: it shows progress, and cancels what killed workers have left in flight.

Two seconds after a job was canceled or has failed, Spark kills its Python workers (`spark.python.task.killTimeout`),
and never tells them. So Spark tells us of actions that ended, whose plan names the jobs that are in it. A program that
ends while an action goes on, as by Ctrl-C, ends the action first: what pyspark does at Ctrl-C mostly does not reach the
JVM, since it is sent in the middle of an answer.
"""

# Where types are checked, there is no pyspark.
# pyright: reportMissingImports=false
from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from replicate_kit.batch import journals
from replicate_kit.errors import JournalError, ReplicateError
from replicate_kit.partitions import Job

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["watch"]

log = logging.getLogger("replicate_kit")

_GLANCE = 1.0  # seconds between two looks at whether Spark does anything
_KILL_TIMEOUT = "spark.python.task.killTimeout"
_UNTIL_DEAD = 1.0  # seconds that killing takes

_listeners: dict[str, Listener] = {}
"""By the id of the Spark application: a process has one at a time."""


def watch(df: DataFrame, job: Job, name: str) -> None:
    """Look after a job, whose step of the plan has this name, until the program ends.

    A client of Spark Connect has no driver of its own: there nothing is looked after.
    """
    from pyspark.sql.utils import is_remote

    if is_remote():
        return
    session = df.sparkSession
    id = session.sparkContext.applicationId
    if id not in _listeners:
        _listeners[id] = Listener(session)
    _listeners[id].add(job, name)


class Listener:
    """Looks after the jobs of one Spark application. Spark calls its methods from the JVM."""

    class Java:
        """What it is there, for py4j."""

        implements = ("org.apache.spark.sql.util.QueryExecutionListener",)

    def __init__(self, session: SparkSession) -> None:
        self._context: Any = session.sparkContext  # what it has of the JVM's has no types
        self._dead_after = _UNTIL_DEAD + self._kill_timeout()
        self._jobs: dict[str, Job] = {}
        self._open: set[str] = set()
        """The names of those to cancel in the end: no action of theirs has ended yet, or the last one failed."""
        self._ends = False
        import_module("pyspark.java_gateway").ensure_callback_server_started(self._context._gateway)
        cast("Any", session)._jsparkSession.listenerManager().register(self)
        # No handler of `atexit`: no thread can be started there any more.
        threading.Thread(target=self._end, name="replicate-kit-end").start()
        self._shows = False

    def _kill_timeout(self) -> float:
        """How long Spark lets the worker of a task live that it does not want any more, in seconds."""
        conf = self._context._jsc.sc().conf()
        return float(conf.getTimeAsMs(_KILL_TIMEOUT, "2s")) / 1000

    def add(self, job: Job, name: str) -> None:
        """Look after one more."""
        self._jobs[name] = job
        if _cancels(job):
            self._open.add(name)
        if job.progress is not False and not self._shows:
            self._shows = True
            threading.Thread(target=self._show, name="replicate-kit-spark", daemon=True).start()

    def onSuccess(self, action: str, execution: Any, nanoseconds: int) -> None:  # noqa: N802 - Spark's name
        """An action has its result."""
        self._open -= self._in(execution)

    def onFailure(self, action: str, execution: Any, error: Any) -> None:  # noqa: N802 - Spark's name
        """An action failed, or was canceled."""
        names = self._in(execution)
        self._open |= names
        if not self._ends:  # other listeners wait for us; a program that ends waits for the thread
            threading.Thread(
                target=self._cancel, args=(names, self._active()), name="replicate-kit-cancel"
            ).start()

    def _in(self, execution: Any) -> set[str]:
        """Name the jobs that an action has in its plan."""
        plan = execution.toString()
        return {name for name, job in self._jobs.items() if name in plan and _cancels(job)}

    def _cancel(self, names: set[str], before: set[int]) -> None:
        """Cancel what jobs have in flight, once their workers are dead, which would create it again.

        Work of Spark's that was not there `before` may be the next action, which takes up what is in flight.
        """
        time.sleep(self._dead_after)
        while self._active() - before:
            time.sleep(_GLANCE)
        for name in names & self._open:
            _cancel(self._jobs[name])

    def _active(self) -> set[int]:
        """The ids of what Spark has under way; none once it is stopped."""
        with suppress(Exception):
            return set(self._context.statusTracker().getActiveJobsIds())
        return set()

    def _end(self) -> None:
        """When the program ends: end what goes on, and cancel it."""
        threading.main_thread().join()
        names = {name for name in self._open if _has_in_flight(self._jobs[name])}
        if names:
            self._ends = True
            with suppress(Exception):  # a Spark that is stopped answers nothing
                self._context.cancelAllJobs()
            self._cancel(names, self._active())

    def _show(self) -> None:
        """Show how far jobs are while Spark does something."""
        while self._context._jsc is not None:  # it is stopped then
            time.sleep(_GLANCE)
            if self._active():
                with ExitStack() as stack:
                    for job in [each for each in self._jobs.values() if each.progress is not False]:
                        stack.enter_context(job.watching())
                    while self._active():
                        time.sleep(_GLANCE)


def _cancels(job: Job) -> bool:
    """Whether what a job has in flight is to be canceled."""
    return job.options.get("on_interrupt") != "detach"


def _has_in_flight(job: Job) -> bool:
    """Whether the journal has anything in flight of a job."""
    try:
        return any(each["label"] == job.label for each in journals.entries(job.journal, "created"))
    except JournalError as error:  # there is none before the first run has made it
        log.debug("The journal cannot be read: %s", error)
        return False


def _cancel(job: Job) -> None:
    """Cancel what a job has in flight, and say so in the log."""
    try:
        count = job.cancel()
    except ReplicateError as error:
        log.warning("What %r has in flight could not be canceled: %s", job, error)
    else:
        if count:
            log.warning("Spark has killed its workers: %d predictions of %r were canceled.", count, job)
