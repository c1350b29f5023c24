"""The simulator that a process shares, and the demo models in it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

from replicate_kit.simulator.core import Simulator
from replicate_kit.simulator.demo.models import flaky, musician, painter, poet, slow, study

__all__ = ["default", "install", "replaced"]


def install(simulator: Simulator) -> Simulator:
    """Publish the demo models: `demo/painter`, `demo/poet`, `demo/musician`, `demo/flaky` and `demo/slow`."""
    for function in (painter, poet, musician, flaky, slow):
        simulator.model(f"demo/{function.__name__}", readme=f"# {function.__name__}\n\n{function.__doc__}")(
            function
        )
    simulator.trainer("demo/painter")(study)
    simulator.collection(
        "demo",
        models=[f"demo/{each.__name__}" for each in (painter, poet, musician)],
        description="Real things, offline.",
    )
    return simulator


def default() -> Simulator:
    """The simulator that this process shares, with the demo models; made when first asked for."""
    return _instead[-1] if _instead else _shared()


@functools.cache
def _shared() -> Simulator:
    return install(Simulator())


_instead: list[Simulator] = []


@contextlib.contextmanager
def replaced(simulator: Simulator) -> Iterator[None]:
    """While the block runs, have the process share another simulator."""
    _instead.append(simulator)
    try:
        yield
    finally:
        _instead.remove(simulator)
