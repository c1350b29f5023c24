"""Many rows: plan, limits, engine, journal, results. `docs/batches.md` says how they work together.

| room | |
|---|---|
| `_plan` | rows → distinct items, checked, priced and hashed, before anything is spent |
| `_ledger` | the journal: what was intended, created, finished and saved, and which run has it |
| `_money` | numbers, prices and budgets |
| `_engine` | the pace of a run, and each row from its claim to its outcome |
| `_results` | results in order, with their files and the progress |
| `_runs` | a run on its own thread, and the streams of its results |
| `journals` | looking after journals: describe, export, prune, retry, settle |
| `_mapping` | the methods of clients: `map`, `plan` and their async forms |

The six private rooms import one another, so that no contract parts them yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicate_kit._lazy import loader

if TYPE_CHECKING:
    from replicate_kit.batch._money.pricing import Budget
    from replicate_kit.batch._plan.options import MapOptions, Options, PlanOptions
    from replicate_kit.batch._plan.plan import Plan, Problem
    from replicate_kit.batch._results.progress import Progress
    from replicate_kit.batch._results.results import Result
    from replicate_kit.batch._runs.streams import AsyncBatch, Batch

__all__ = [
    "AsyncBatch",
    "Batch",
    "Budget",
    "MapOptions",
    "Options",
    "Plan",
    "PlanOptions",
    "Problem",
    "Progress",
    "Result",
]

# Clients that run single predictions import this package too, and need neither asyncio nor SQLite.
_ORIGINS = {
    "AsyncBatch": "_runs.streams",
    "Batch": "_runs.streams",
    "Budget": "_money.pricing",
    "MapOptions": "_plan.options",
    "Options": "_plan.options",
    "Plan": "_plan.plan",
    "PlanOptions": "_plan.options",
    "Problem": "_plan.plan",
    "Progress": "_results.progress",
    "Result": "_results.results",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = loader(__name__, _ORIGINS)
