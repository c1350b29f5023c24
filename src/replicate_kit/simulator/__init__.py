"""Replicate's API in a box, for tests and for work without a network: models are Python functions.

`Simulator` answers HTTP requests without sockets; `default()` is one with a few models that make real things.
Inside a model function, `log`, `progress`, `sleep`, `canceled` and `metric` reach the prediction that it works for.
"""

from __future__ import annotations

from replicate_kit.simulator.clock import Clock
from replicate_kit.simulator.context import Canceled, canceled, log, metric, progress, sleep
from replicate_kit.simulator.core import Seen, Simulator
from replicate_kit.simulator.defaults import default, install
from replicate_kit.simulator.faults import Fault
from replicate_kit.simulator.limits import RateLimits
from replicate_kit.simulator.loading import model
from replicate_kit.simulator.transports import SimulatorTransport

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
