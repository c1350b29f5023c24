"""Many rows: plan, limits, engine, journal, results. `docs/batches.md` says how they work together; its modules are:

mapping      the methods of clients: `map`, `plan` and their async forms
options      what these take, checked
streams      what `map` gives: an iterator of results
terminating  lets SIGTERM stop runs in order
runner       the thread on which a run lives
progress     how far a run is
display      a bar or lines that show it

setup        the parts of a run, put together
preparing    rows as they come → canonical JSON, with what is wrong with them
identity     what makes two rows the same
files        the files of inputs: noted by content, sent once
plan         what a run would do and cost
accounts     whether this account sees what another token left in flight
amounts      the numbers that guard money and pace, checked
pricing      prices, and a budget that is reserved before it is spent
spending     what a journal has spent already

engine       starts rows at the pace that limits, budget and reader allow
flow         where rows wait, and whether the run goes on
rows         one row from its claim to its end
calls        the requests of a run, within the limits
limits       token buckets, and the window of what is in flight
watcher      the poller of everything in flight
endings      what it means how a prediction or a create ended

reconcile    rows that wait for a create of unknown fate, or for another process
lookup       looks for such creates in the API
likeness     which prediction that the API shows is a row's
echoes       how a server shows inputs, learned from those that are known
changes      what servers do to the values that they show
clocks       our clock and the server's

journal      the steps that a row takes in the journal
work         what these steps take and give: a row, what is known of it, how it ended
tables       the tables of the journal, and of one run
database     the thread that owns the connection, and commits in groups
space        room on the disks of this machine, and which one is full
locks        marks a run as living
hashing      hashes in place of inputs, for journals that are to hold none
guard        notices a journal that is deleted, moved or replaced, and copies it
places       where journals are kept
journals     looking after journals: describe, export, prune, retry, settle, hash inputs
settling     rows of unknown fate that somebody settles by hand

results      what a run gives for each row
delivery     results on their way to whoever iterates
saver        stores the files of outputs
backlog      how far that lags behind, and whether more may be created
stored       whether files that were stored are still there
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicate_kit.batch.options import MapOptions, Options, PlanOptions
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
    "Options",
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
    "Options": "options",
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
