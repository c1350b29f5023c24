"""The simulator that a process shares, and the demo models in it."""

from __future__ import annotations

import functools

from replicate_kit.simulator.core import Simulator
from replicate_kit.simulator.demo.models import flaky, musician, painter, poet, slow

__all__ = ["default", "install"]


def install(simulator: Simulator) -> Simulator:
    """Publish the demo models: `demo/painter`, `demo/poet`, `demo/musician`, `demo/flaky` and `demo/slow`."""
    for function in (painter, poet, musician, flaky, slow):
        simulator.model(f"demo/{function.__name__}", readme=f"# {function.__name__}\n\n{function.__doc__}")(
            function
        )
    simulator.collection(
        "demo",
        models=[f"demo/{each.__name__}" for each in (painter, poet, musician)],
        description="Real things, offline.",
    )
    return simulator


@functools.cache
def default() -> Simulator:
    """The simulator that this process shares, with the demo models; made when first asked for."""
    return install(Simulator())
