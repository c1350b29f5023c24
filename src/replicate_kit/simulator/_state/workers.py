"""Threads that live hardly longer than there is something to run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from replicate_kit.simulator._state.clock import Clock

__all__ = ["Workers", "abandoned"]

_LINGER = (
    0.005  # seconds that a thread waits for another job: to start one takes longer than most quick models
)


def abandoned() -> bool:
    """Whether the main thread has come to its end: the interpreter then waits for the threads that are left."""
    return not threading.main_thread().is_alive()


class Workers:
    """Runs jobs in order on at most `limit` threads; each thread ends soon after nothing is left to do.

    A thread begins with its first job `cold_start` seconds of `clock` after it was asked for, as a machine has to
    start before its first prediction; where that takes any time, a thread ends at once.
    """

    def __init__(self, name: str, limit: int, clock: Clock, *, cold_start: float = 0.0) -> None:
        self._name, self._limit, self._clock, self._cold_start = name, limit, clock, cold_start
        self._jobs: deque[Callable[[], None]] = deque()
        self.reset()

    def reset(self) -> None:
        """Forget threads and jobs, of which a forked process has none."""
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._jobs.clear()
        # Threads that there are, those that wait for a job, and how many of them were told that there is one.
        self._active = self._idle = self._called = 0

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job` as soon as a thread is free."""
        with self._lock:
            self._jobs.append(job)
            if self._idle > self._called:
                self._called += 1
                self._news.notify()
                return
            if self._active >= self._limit:
                return
            self._active += 1
        # The time is taken here, not on the thread, which may begin later than a test moves the clock.
        ready = self._clock.now() + self._cold_start
        threading.Thread(target=self._work, args=(ready,), name=f"simulator-{self._name}").start()

    def _work(self, ready: float) -> None:
        if self._cold_start:
            self._clock.wait_until(Future(), ready)
        while (job := self._next()) is not None:
            job()
            del job  # it holds a prediction, which may be forgotten while this thread waits

    def _next(self) -> Callable[[], None] | None:
        """Take the next job, or give up this thread's place."""
        with self._lock:
            if not self._jobs and not self._cold_start and not abandoned():
                self._linger()
            if self._jobs and not abandoned():
                return self._jobs.popleft()
            self._active -= 1
            return None

    def _linger(self) -> None:
        """Wait a moment for another job."""
        self._idle += 1
        self._news.wait(_LINGER)
        self._idle -= 1
        # One that was called may have waited in vain by then, and takes the job all the same.
        self._called = max(0, self._called - 1)
