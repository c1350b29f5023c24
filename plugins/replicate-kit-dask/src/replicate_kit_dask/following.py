"""The progress of a job on the driver: workers say that a partition began or ended, the journal how far all are."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from replicate_kit.partitions import Follower, Job

__all__ = ["follow", "told"]


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
