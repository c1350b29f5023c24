"""Replicate's API in a box, for tests and for work without a network: models are Python functions.

`Simulator` answers HTTP requests without sockets; `default()` is one with a few models that make real things.
Inside a model function, `log`, `progress`, `sleep`, `canceled` and `metric` reach the prediction that it works for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicate_kit._lazy import loader

if TYPE_CHECKING:
    from replicate_kit.simulator._core import Seen, Simulator
    from replicate_kit.simulator._faults.faults import Fault
    from replicate_kit.simulator._models.functions import Canceled
    from replicate_kit.simulator._models.loading import model
    from replicate_kit.simulator._service.context import canceled, log, metric, progress, sleep
    from replicate_kit.simulator._service.limits import RateLimits
    from replicate_kit.simulator._state.clock import Clock
    from replicate_kit.simulator._transport import SimulatorTransport
    from replicate_kit.simulator.defaults import default, install

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

# The transport needs httpx, and the mock backend little of the rest.
_ORIGINS = {
    "Canceled": "_models.functions",
    "Clock": "_state.clock",
    "Fault": "_faults.faults",
    "RateLimits": "_service.limits",
    "Seen": "_core",
    "Simulator": "_core",
    "SimulatorTransport": "_transport",
    "canceled": "_service.context",
    "default": "defaults",
    "install": "defaults",
    "log": "_service.context",
    "metric": "_service.context",
    "model": "_models.loading",
    "progress": "_service.context",
    "sleep": "_service.context",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = loader(__name__, _ORIGINS)
