"""What a model function may ask of the prediction that it works for."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from concurrent.futures import Future
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from replicate_kit.simulator._models.functions import Canceled
from replicate_kit.simulator._state.workers import abandoned

if TYPE_CHECKING:
    from replicate_kit.simulator._service.lifecycle import Lifecycle
    from replicate_kit.simulator._state.clock import Clock
    from replicate_kit.simulator._state.entities import Prediction

__all__ = ["Run", "canceled", "current", "log", "metric", "progress", "sleep"]

T = TypeVar("T")

_LOOK_UP = 0.25  # seconds between two looks at whether the program is ending


class Run:
    """One run of a model function."""

    def __init__(self, prediction: Prediction, lifecycle: Lifecycle, clock: Clock) -> None:
        self.prediction, self._lifecycle, self._clock = prediction, lifecycle, clock
        self.ended: Future[None] = lifecycle.ended(prediction)

    def write(self, text: str) -> None:
        """Add to the logs."""
        self.check()
        self._lifecycle.write(self.prediction, text)

    def check(self) -> None:
        """Raise `Canceled` if nobody waits for this run any more."""
        if self.ended.done() or abandoned():
            raise Canceled

    def sleep(self, seconds: float) -> None:
        """Wait on the simulator's clock; raise `Canceled` if that is what happens meanwhile."""
        until = self._clock.now() + seconds
        while self._clock.now() < until:
            self.check()
            self._clock.wait_until(self.ended, until, at_most=_LOOK_UP)
        self.check()


current: ContextVar[Run | None] = ContextVar("replicate_kit_run", default=None)


def log(*values: Any, sep: str = " ", end: str = "\n") -> None:
    """Write to the logs of the prediction that this function works for; takes what `print` takes.

    Outside of a prediction, which is where you try a function out, it writes to standard error.
    """
    run, text = current.get(), sep.join(map(str, values)) + end
    if run is None:
        sys.stderr.write(text)
    else:
        run.write(text)


def progress(steps: Iterable[T], *, total: int | None = None, width: int = 10) -> Iterator[T]:
    """Go through `steps`, writing a line to the logs for each one, as tqdm does (which clients parse).

    `total` is the number of steps, where `steps` has no length.
    """
    count = len(steps) if total is None and isinstance(steps, Sized) else total
    began = time.monotonic()
    log(_bar(0, count, 0.0, width))
    for done, step in enumerate(steps, 1):
        yield step
        log(_bar(done, count, time.monotonic() - began, width))


def _bar(done: int, total: int | None, seconds: float, width: int) -> str:
    """Draw one line of tqdm's."""
    speed = f"{done / seconds:.2f}it/s" if done and seconds > 0 else "?it/s"
    if not total:
        return f"{done}it [{_clock(seconds)}, {speed}]"
    filled = width * done // total
    left = _clock(seconds / done * (total - done)) if done else "?"
    bar = "█" * filled + " " * (width - filled)
    return f"{100 * done // total:3d}%|{bar}| {done}/{total} [{_clock(seconds)}<{left}, {speed}]"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def sleep(seconds: float) -> None:
    """Wait on the simulator's clock, and end at once when the prediction is canceled.

    Outside of a prediction it waits in real time.
    """
    run = current.get()
    if run is None:
        time.sleep(seconds)
    else:
        run.sleep(seconds)


def canceled() -> bool:
    """Whether the prediction that this function works for has been canceled."""
    run = current.get()
    return run is not None and run.ended.done()


def metric(name: str, value: Any) -> None:
    """Add a metric of the model's own to the prediction's `metrics`."""
    run = current.get()
    if run is not None:
        run.prediction.metrics[name] = value
