"""What somebody sees who looks at the simulated service from outside of its API."""

from __future__ import annotations

import heapq
from typing import Any

from replicate_kit.simulator._service.world import World

__all__ = ["published", "recent"]


def recent(world: World, count: int) -> list[dict[str, Any]]:
    """The newest predictions and trainings of all accounts, newest first, as the API writes them."""
    with world.lock:
        newest = heapq.nlargest(count, world.store.latest(count), key=lambda each: each.created)
        for each in newest:
            world.lifecycle.refresh(each)
        return [{**world.wire.prediction(each), "kind": each.kind} for each in newest]


def published(world: World) -> list[dict[str, Any]]:
    """All models, with their latest version, as the API writes them, but without what changes with every run."""
    with world.lock:
        models = [world.wire.model(each) for each in world.store.models.values()]
    return [{key: value for key, value in each.items() if key != "run_count"} for each in models]
