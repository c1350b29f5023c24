"""The progress of a job as long as parts of it run, for engines that tell when one begins and ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

from replicate_kit.partitions._job import Job

__all__ = ["Follower"]

_PAUSE = 3.0  # seconds without a partition that runs, after which a job is taken to be over


class Follower:
    """Watches a job as long as partitions of it run, and shortly after: others may be about to begin."""

    def __init__(self, job: Job, alive: Callable[[], bool]) -> None:
        self._job, self._alive = job, alive
        self._running = set[str]()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def note(self, key: str, runs: bool) -> None:
        """Note that a partition began, or ended. Comes on any thread, and holds none up."""
        with self._changed:
            (self._running.add if runs else self._running.discard)(key)
            self._changed.notify()
            if self._thread is None and self._running:
                self._thread = threading.Thread(target=self._watch, name="replicate-kit-follow", daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        """Watch until nothing has run for a while, or nobody is there any more who would tell."""
        with ExitStack() as stack:
            stack.enter_context(self._job.watching())
            with self._changed:
                while self._alive() and (self._running or self._changed.wait(_PAUSE)):
                    self._changed.wait(_PAUSE)
                self._thread = None
