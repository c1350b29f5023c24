"""A model whose outputs say nothing of its inputs: `replicate-kit serve tests/batch/quiet.py`."""

from __future__ import annotations

from replicate_kit.simulator import model, sleep


@model("acme/quiet", workers=64)
def quiet(prompt: str) -> int:
    """Count letters."""
    sleep(0.05)
    return len(prompt)
