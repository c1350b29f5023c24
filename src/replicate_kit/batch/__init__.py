"""Many rows: plan, limits, engine, journal, results. `docs/batches.md` explains it on one page."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicate_kit.batch.options import MapOptions, PlanOptions
    from replicate_kit.batch.plan import Plan, Problem
    from replicate_kit.batch.pricing import Budget
    from replicate_kit.batch.progress import Progress
    from replicate_kit.batch.results import Result
    from replicate_kit.batch.streams import AsyncBatch, Batch

__all__ = [
    "AsyncBatch",
    "Batch",
    "Budget",
    "MapOptions",
    "Plan",
    "PlanOptions",
    "Problem",
    "Progress",
    "Result",
]

_WHERE = {
    "AsyncBatch": "streams",
    "Batch": "streams",
    "Budget": "pricing",
    "MapOptions": "options",
    "Plan": "plan",
    "PlanOptions": "options",
    "Problem": "plan",
    "Progress": "progress",
    "Result": "results",
}

if not TYPE_CHECKING:
    # Clients that run single predictions import this package too, and need neither asyncio nor SQLite.
    def __getattr__(name):
        """Load a name when it is first used."""
        if name in _WHERE:
            return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
