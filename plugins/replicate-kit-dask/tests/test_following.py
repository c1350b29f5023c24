"""Who is told of a job's progress, and for how long."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from replicate_kit import Client
from replicate_kit.partitions import Job
from replicate_kit_dask import following

from .test_cluster import until

Handler = Callable[[Any], None]


class FakeClient:
    """What `follow` asks of a client of distributed's."""

    def __init__(self) -> None:
        self.status = "running"
        self.handlers: dict[str, Handler] = {}
        self.unsubscribed: list[str] = []

    def subscribe_topic(self, topic: str, handler: Handler) -> None:
        self.handlers[topic] = handler

    def unsubscribe_topic(self, topic: str) -> None:
        self.unsubscribed.append(topic)  # and it keeps the handler, as distributed 2026.8 does


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    fake = FakeClient()
    monkeypatch.setattr(following, "_client", lambda: fake)
    monkeypatch.setattr("replicate_kit.partitions._following._PAUSE", 0.01)
    return fake


def job(progress: bool | None) -> Job:
    options = {"client": Client(backend="mock"), "journal": f"memory://{uuid4().hex}", "progress": progress}
    return Job.of("demo/poet", None, options, "run")


@pytest.mark.parametrize("progress", [False, None])  # no terminal is here
def test_nobody_is_told_where_nothing_is_shown(fake: FakeClient, progress: bool | None) -> None:
    assert following.follow(job(progress)) is None
    assert not fake.handlers


@pytest.mark.parametrize("first", ["the graph goes", "a partition runs"])
def test_a_job_is_held_until_its_partitions_and_its_graph_are_gone(fake: FakeClient, first: str) -> None:
    made = job(True)
    held = weakref.ref(made)
    follower = following.follow(made)
    ((topic, heard),) = fake.handlers.items()
    del made
    if first == "the graph goes":
        follower = None
        gc.collect()
    heard((0.0, {"key": "a", "runs": True}))
    if first != "the graph goes":
        assert follower is not None
        follower = None
    gc.collect()
    assert held() is not None  # a partition runs
    heard((0.0, {"key": "a", "runs": False}))
    until(lambda: gc.collect() is not None and held() is None)
    assert fake.unsubscribed == [topic]
    heard((0.0, {"key": "b", "runs": True}))  # which was on its way
