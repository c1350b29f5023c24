"""Things to do later, on a thread that lives hardly longer than there are any."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future

from replicate_kit.simulator._state.clock import Clock
from replicate_kit.simulator._state.workers import abandoned

__all__ = ["Scheduler", "Task"]

_LOOK_UP = 0.25  # seconds, real ones, between two looks at whether there is anything left to wait for


class Task:
    """Something to do at a time of the clock (unix seconds)."""

    def __init__(self, due: float, action: Callable[[], None]) -> None:
        self.due, self.action, self.dropped = due, action, False


class Scheduler:
    """Runs each task when the clock reaches its time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = itertools.count()
        self.reset()

    def reset(self) -> None:
        """Forget everything, as a forked process has no thread for it."""
        self._lock = threading.Lock()
        self._tasks: list[tuple[float, int, Task]] = []
        self._news: Future[None] = Future()
        self._running = False

    def at(self, due: float, action: Callable[[], None]) -> Task:
        """Do `action` at `due`."""
        task = Task(due, action)
        with self._lock:
            news = self._news
            if first := not self._tasks or due < self._tasks[0][0]:
                self._news = Future()
            heapq.heappush(self._tasks, (due, next(self._count), task))
            start, self._running = not self._running, True
        if start:
            threading.Thread(target=self._work, name="simulator-scheduler").start()
        elif first:
            news.set_result(None)
        return task

    def drop(self, task: Task) -> None:
        """Do not do it after all; the thread ends soon after if nothing else is left."""
        # It is not woken: most deadlines are dropped as soon as they are set, and each would need a thread of its own.
        with self._lock:
            task.dropped = True

    def _work(self) -> None:
        while (step := self._next()) is not None:
            task, news = step
            if task.due <= self._clock.now():
                self._finish(task)
            else:
                self._clock.wait_until(news, task.due, at_most=_LOOK_UP)

    def _next(self) -> tuple[Task, Future[None]] | None:
        """The earliest task that is still wanted, or None when this thread is to end."""
        with self._lock:
            while self._tasks and (self._tasks[0][2].dropped or abandoned()):
                heapq.heappop(self._tasks)
            if not self._tasks:
                self._running = False
                return None
            return self._tasks[0][2], self._news

    def _finish(self, task: Task) -> None:
        with self._lock:
            taken = not task.dropped
            task.dropped = True
        if taken:
            task.action()
