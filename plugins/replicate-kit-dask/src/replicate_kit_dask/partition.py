"""What Dask calls for each partition, on a worker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from replicate_kit.partitions import Follower, Job
from replicate_kit.tables import Lines, columns_of
from replicate_kit_dask.following import told
from replicate_kit_pandas import frame_of, series_of

__all__ = ["Partition"]


@dataclass(frozen=True, repr=False)
class Partition:
    """Runs a job over one partition: a pandas Series or DataFrame."""

    job: Job
    follower: Follower | None = None

    def __call__(self, data: Any) -> Any:
        """Run it; give a Series or a DataFrame with the same index."""
        table = columns_of(data)
        assert table is not None
        worker, key = _here()
        with told(self.job.label, worker, key, self.follower):
            lines = self.job(table, stopped=None if worker is None else _canceled(worker, key))
        return self._arranged(lines, data.index)

    def meta(self, empty: Any) -> Any:
        """What it gives for a partition without rows, for which nothing is called: all others have its types."""
        table = columns_of(empty)
        assert table is not None
        return self._arranged(self.job(table), empty.index)

    def _arranged(self, lines: Lines, index: Any) -> Any:
        """Make pandas of the lines."""
        index = index if lines.rows is None else index[lines.rows]
        return frame_of(lines, index) if self.job.details else series_of(lines.columns["output"], index)

    def __getstate__(self) -> dict[str, Any]:
        return {"job": self.job, "follower": None}  # which stays here

    def __repr__(self) -> str:
        return f"<{self.job.model} of {self.job.label}>"  # Dask shows it

    def __dask_tokenize__(self) -> tuple[str, str]:
        # Each job has a label of its own. Its options need not be looked at, of which some cannot be.
        return type(self).__name__, self.job.label


def _here() -> tuple[Any, Any]:
    """The worker that runs this, and the key of its task; None where Dask runs without workers."""
    if "distributed.worker" not in sys.modules:
        return None, None
    from distributed.worker import get_worker, thread_state

    try:
        return get_worker(), getattr(thread_state, "key", None)
    except ValueError:
        return None, None


def _canceled(worker: Any, key: Any) -> Callable[[], bool]:
    """Tell whether the scheduler wants a task no more: it leaves one that runs to its end, and forgets the result."""

    def canceled() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return canceled
