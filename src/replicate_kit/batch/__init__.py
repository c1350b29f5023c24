"""Many rows: plan, limits, engine, journal, results. `docs/batches-inside.md` says how they work.

| room | |
|---|---|
| `_engine` | the pace of a run, and each row from what the ledger knows of it to its result |
| `_ledger` | the door to a ledger, its types, and the ledger in an SQLite file |
| `_money` | numbers, prices, and the account of a budget |
| `_plan` | rows → distinct items on the run's own spool, checked, priced and hashed, before anything is spent |
| `_results` | results in order, with their files; what came of a prediction |
| `_runs` | a run on its own thread, and the streams of its results |
| `journals` | looking after journals: describe, export, prune, retry, settle |
| `ledgers` | the names that another ledger needs |
| `accessors` | what accessors of tables share: options, jobs, failures, retries |
| `_mapping` | the methods of clients: `map`, `plan` and their async forms |

A room may import those below it, as a contract checks: `_mapping` and `accessors`, `_runs`, `_engine`, `_results`,
`_plan`, `journals` and `ledgers`, `_ledger`, `_money`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicate_kit._lazy import loader

if TYPE_CHECKING:
    from replicate_kit.batch._ledger.entries import Retryable
    from replicate_kit.batch._money.pricing import Budget
    from replicate_kit.batch._plan.options import MapOptions, MapSettings, Options, PlanOptions
    from replicate_kit.batch._plan.plan import Plan, Problem
    from replicate_kit.batch._results.progress import Progress
    from replicate_kit.batch._results.results import Result
    from replicate_kit.batch._runs.streams import AsyncBatch, Batch

__all__ = [
    "AsyncBatch",
    "Batch",
    "Budget",
    "MapOptions",
    "MapSettings",
    "Options",
    "Plan",
    "PlanOptions",
    "Problem",
    "Progress",
    "Result",
    "Retryable",
]

# Clients that run single predictions import this package too, and need neither asyncio nor SQLite.
_ORIGINS = {
    "AsyncBatch": "_runs.streams",
    "Batch": "_runs.streams",
    "Budget": "_money.pricing",
    "MapOptions": "_plan.options",
    "MapSettings": "_plan.options",
    "Options": "_plan.options",
    "Plan": "_plan.plan",
    "PlanOptions": "_plan.options",
    "Problem": "_plan.plan",
    "Progress": "_results.progress",
    "Result": "_results.results",
    "Retryable": "_ledger.entries",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = loader(__name__, _ORIGINS)
