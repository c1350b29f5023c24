"""Replicate's API in a box, for tests and for work without a network: models are Python functions.

`Simulator` answers HTTP requests without sockets; `default()` is one with a few models that make real things.
Inside a model function, `log`, `progress`, `sleep`, `canceled` and `metric` reach the prediction that it works for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replicate_kit.simulator._core import Seen, Simulator
from replicate_kit.simulator._faults.faults import Fault
from replicate_kit.simulator._models.functions import Canceled
from replicate_kit.simulator._models.loading import model
from replicate_kit.simulator._service.context import canceled, log, metric, progress, sleep
from replicate_kit.simulator._service.limits import RateLimits
from replicate_kit.simulator._state.clock import Clock
from replicate_kit.simulator.defaults import default, install

if TYPE_CHECKING:
    from replicate_kit.simulator._transport import SimulatorTransport

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Load what needs httpx when it is first used."""
        if name != "SimulatorTransport":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from replicate_kit.simulator._transport import SimulatorTransport

        return SimulatorTransport


__all__ = [
    "Canceled",
    "Clock",
    "Fault",
    "RateLimits",
    "Seen",
    "Simulator",
    "SimulatorTransport",
    "canceled",
    "default",
    "install",
    "log",
    "metric",
    "model",
    "progress",
    "sleep",
]
