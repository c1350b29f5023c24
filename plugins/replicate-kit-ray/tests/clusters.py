"""Ray on this machine."""

from __future__ import annotations

import ray
import ray.data

__all__ = ["start", "stop"]

_TRIES = 4


def start() -> None:
    """Start it. Ray gives one of its processes 15 seconds to come up, which a busy machine may not have."""
    for left in reversed(range(_TRIES)):
        try:
            ray.init(
                num_cpus=2, include_dashboard=False, object_store_memory=100 * 1024**2, log_to_driver=False
            )
        except Exception:
            ray.shutdown()
            if not left:
                raise
        else:
            break
    ray.data.DataContext.get_current().enable_progress_bars = False


def stop() -> None:
    """Stop it."""
    ray.shutdown()
