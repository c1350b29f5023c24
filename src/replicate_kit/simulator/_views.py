"""What somebody sees who looks at the simulated service from outside of its API."""

from __future__ import annotations

import heapq
from typing import Any

from replicate_kit.simulator._service.service import Service

__all__ = ["published", "recent"]


def recent(service: Service, count: int) -> list[dict[str, Any]]:
    """The newest predictions and trainings of all accounts, newest first, as the API writes them."""
    with service.lock:
        newest = heapq.nlargest(count, service.store.latest(count), key=lambda each: each.created)
        for each in newest:
            service.lifecycle.refresh(each)
        return [{**service.wire.prediction(each), "kind": each.kind} for each in newest]


def published(service: Service) -> list[dict[str, Any]]:
    """All models, with their latest version, as the API writes them, but without what changes with every run."""
    with service.lock:
        models = [service.wire.model(each) for each in service.store.models.values()]
    return [{key: value for key, value in each.items() if key != "run_count"} for each in models]
