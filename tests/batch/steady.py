"""A model that takes a moment: `replicate-kit serve tests/batch/steady.py`."""

from __future__ import annotations

import random

from replicate_kit.simulator import model, sleep


@model("acme/steady", workers=64)
def steady(n: int, salt: str = "", delay: float = 0.05) -> int:
    """Double a number."""
    sleep(delay * random.uniform(0.5, 1.5))
    return 2 * n
