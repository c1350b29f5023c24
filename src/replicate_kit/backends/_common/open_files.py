"""How many connections leave files for everything else that a process opens."""

from __future__ import annotations

import functools
import logging
import math
import sys

__all__ = ["most_connections", "tell_of_files"]

log = logging.getLogger("replicate_kit")

_SHARE_OF_FILES = (
    0.75  # for the connections of one loop, of what a process may open: the rest is for all else
)


def most_connections() -> float:
    """How many connections of one event loop leave files for everything else."""
    if sys.platform == "win32":
        return math.inf
    import resource

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if files == resource.RLIM_INFINITY else files * _SHARE_OF_FILES


@functools.cache
def tell_of_files(most: float) -> None:
    """Tell, once, why requests wait."""
    log.warning(
        "Requests wait for one of %d connections, since this process may open no more files. Raise that limit "
        "(ulimit -n), or send fewer requests at a time.",
        most,
    )
