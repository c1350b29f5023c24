"""What happens on the driver, each time that a Dataset with a step of ours is executed."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import ExitStack
from threading import Lock
from typing import Any, Self

from replicate_kit.errors import JournalError, ReplicateError
from replicate_kit.partitions import Job

__all__ = ["Executions"]

log = logging.getLogger("replicate_kit")

# Seconds for workers to cancel what they have in flight. Then the driver does it: a worker may be dead.
_GRACE = 20.0

_running: Counter[str] = Counter()
"""How many executions of a job this process has."""
_lock = Lock()


class Executions:
    """Makes what Ray tells of an execution; stands where Ray expects a class without parameters."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __call__(self) -> _Execution:
        """Begin to follow an execution."""
        return _Execution(self._job)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # Ray copies the context of a Dataset now and then; the driver's client stays the same


class _Execution:
    """One execution: shows its progress, and leaves nothing in flight when it ends.

    The names are those of Ray's `ExecutionCallback`. Ray has canceled the tasks of workers by the time that it says
    that an execution is over, and does not wait for them.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._shown = ExitStack()

    def before_execution_starts(self, executor: object) -> None:
        """Begin to show progress."""
        with _lock:
            _running[self._job.label] += 1
        self._shown.enter_context(self._job.watching())

    def on_execution_step(self, executor: object) -> None:
        """Ray calls this many times a second."""

    def after_execution_succeeds(self, executor: object) -> None:
        """Cancel what is left, as where limit() or take() had enough rows."""
        self._end()

    def after_execution_fails(self, executor: object, error: BaseException) -> None:
        """Cancel what is in flight: a worker failed, or somebody stopped the job."""
        self._end()

    def _end(self) -> None:
        """Wait for workers that cancel, and cancel what the dead ones have left."""
        try:
            with _lock:
                _running[self._job.label] -= 1
                is_last = not _running[self._job.label]
            if is_last and self._job.options.get("on_interrupt") != "detach":
                self._job.cancel(grace=_GRACE)
        except JournalError as error:  # there is none where no worker has begun
            log.debug("What is in flight cannot be read: %s", error)
        except ReplicateError as error:
            log.warning("Some predictions could not be canceled: %s", error)
        finally:
            self._shown.close()
