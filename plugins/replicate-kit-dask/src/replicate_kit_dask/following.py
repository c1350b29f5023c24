"""The progress of a job on the driver: workers say that a partition began or ended, the journal how far all are."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from replicate_kit.partitions import Job

__all__ = ["Follower", "follow", "told"]

_PAUSE = 3.0  # seconds without a partition that runs, after which a job is taken to be over


def follow(job: Job) -> Follower | None:
    """Show the progress of a job on this machine whenever partitions of it run; None where nothing would be shown.

    Whoever runs partitions in this process tells the follower that is given. With a distributed client workers tell it,
    as long as it lives: until the first of them has begun, and after that with the graph and while partitions run.
    """
    if not job.shows_progress:
        return None
    client = _client()
    if client is None:
        return Follower(job, lambda: True)
    follower = Follower(job, lambda: client.status == "running")
    topic = _topic(job.label)
    client.subscribe_topic(topic, _heard_by(follower))
    weakref.finalize(follower, _unsubscribe, weakref.ref(client), topic).atexit = False
    return follower


def _heard_by(follower: Follower) -> Callable[[tuple[float, dict[str, Any]]], None]:
    """Make what notes what workers tell."""
    known, unheard = (
        weakref.ref(follower),
        [follower],
    )  # the graph may be gone before the first partition begins

    def heard(event: tuple[float, dict[str, Any]]) -> None:
        listener = known()
        unheard.clear()
        if listener is not None:
            listener.note(event[1]["key"], event[1]["runs"])

    return heard


def _unsubscribe(known: weakref.ref[Any], topic: str) -> None:
    """Have the scheduler tell no more."""
    client = known()
    if client is not None and client.status == "running":
        client.unsubscribe_topic(topic)


@contextmanager
def told(label: str, worker: Any, key: Any, follower: Follower | None) -> Iterator[None]:
    """Tell the driver while the block runs that a partition runs."""

    def tell(*, runs: bool) -> None:
        if worker is not None:
            worker.log_event(_topic(label), {"key": str(key), "runs": runs})
        elif follower is not None:
            follower.note(str(threading.get_ident()), runs)

    tell(runs=True)
    try:
        yield
    finally:
        tell(runs=False)


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


def _topic(label: str) -> str:
    """The name under which workers tell."""
    return f"replicate-kit-{label}"


def _client() -> Any:
    """The distributed client that this thread would compute with, if there is one."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None
